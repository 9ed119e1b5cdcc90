"""Books: accounts, journals, entries, balances; services that were opened are booked."""

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import ledger as triggers

revision = "0003_ledger"
down_revision = "0002_trust"

PARTS = 16


def upgrade() -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ledger_balances",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("balance_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["ledger_accounts.name"]),
        sa.PrimaryKeyConstraint("account", "part"),
    )
    op.create_table(
        "ledger_journals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("correlation", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reference", "step", "kind", name="one_journal_of_a_kind"),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("journal", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("amount_fen <> 0", name="an_entry_moves_something"),
        sa.ForeignKeyConstraint(["journal"], ["ledger_journals.id"], deferrable=True, initially="DEFERRED"),
        sa.PrimaryKeyConstraint("journal", "line"),
    )
    op.create_index("ledger_entries_of_account", "ledger_entries", ["account", "part"])
    triggers.make_triggers(op.get_bind())
    _book(op.get_bind())


def _book(conn: sa.Connection) -> None:
    services = list(conn.execute(sa.text("SELECT service FROM products ORDER BY service")).scalars())
    accounts = {"receivable:platform": "asset"} | {f"revenue:{service}": "income" for service in services}
    balances = sa.text("INSERT INTO ledger_balances (account, part, balance_fen) VALUES (:account, :part, 0)")
    for name, kind in accounts.items():
        opened = sa.text("INSERT INTO ledger_accounts (name, kind) VALUES (:name, :kind)")
        conn.execute(opened, {"name": name, "kind": kind})
        conn.execute(balances, [{"account": name, "part": part} for part in range(PARTS)])
    entry = sa.text(
        "INSERT INTO ledger_entries (journal, line, account, part, amount_fen)"
        " VALUES (:journal, :line, :account, :part, :fen)"
    )
    journal = sa.text(
        "INSERT INTO ledger_journals (id, kind, reference, step, actor, at)"
        " VALUES (:id, 'opened', :reference, 0, 'migration', :at)"
    )
    paid = sa.text(
        "SELECT id, service, amount_fen, created_at FROM orders WHERE state = 'opened' AND amount_fen > 0"
    )
    for row in conn.execute(paid).all():
        name, part, fen = f"{row.id} 0 opened", triggers.part_of(row.id), row.amount_fen
        lines = [("receivable:platform", fen), (f"revenue:{row.service}", -fen)]
        conn.execute(
            entry,
            [
                {"journal": name, "line": line, "account": account, "part": part, "fen": amount}
                for line, (account, amount) in enumerate(lines)
            ],
        )
        conn.execute(journal, {"id": name, "reference": row.id, "at": row.created_at})
