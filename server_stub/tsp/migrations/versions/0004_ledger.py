"""Books: accounts, journals, entries, balances; payments that stand are booked as they stand."""

import json

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import ledger as triggers

revision = "0004_ledger"
down_revision = "0003_trust"

PARTS = 16
CHART = {
    "receivable:card": "asset",
    "suspense:orders": "liability",
    "suspense:differences": "liability",
    "payable:refunds": "liability",
    "payable:boss": "liability",
    "cash:counter": "asset",
    "unknown:card": "memorandum",
    "unknown:wallet": "memorandum",
    "unknown:contra": "memorandum",
}
STANDING = {
    "mac1-issued": ("unknown:card", "unknown:contra"),
    "mac2-refused": ("unknown:card", "unknown:contra"),
    "contradicted": ("unknown:card", "unknown:contra"),
    "wallet-silent": ("unknown:wallet", "unknown:contra"),
    "paid": (None, "suspense:orders"),
    "service-refused": (None, "suspense:orders"),
    "opened": (None, "payable:boss"),
    "amount-differs": (None, "suspense:differences"),
    "refunding": (None, "payable:refunds"),
}
"""Debit and credit of a payment in a state; no debit: who owes what was paid in its way."""


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
    op.add_column("payments", sa.Column("received_fen", sa.Integer(), nullable=True))
    triggers.make_triggers(op.get_bind())
    _book(op.get_bind())


def _book(conn: sa.Connection) -> None:
    """Each payment's standing as one journal, and what came as far as it can be known."""
    said = sa.text("SELECT id, method, amount_fen, state, created_at FROM payments")
    rows = conn.execute(said).all()
    methods = sorted({f"receivable:{row.method}" for row in rows} - CHART.keys())
    balances = sa.text("INSERT INTO ledger_balances (account, part, balance_fen) VALUES (:account, :part, 0)")
    for name, kind in [*CHART.items(), *((method, "asset") for method in methods)]:
        opened = sa.text("INSERT INTO ledger_accounts (name, kind) VALUES (:name, :kind)")
        conn.execute(opened, {"name": name, "kind": kind})
        conn.execute(balances, [{"account": name, "part": part} for part in range(PARTS)])
    cases = sa.text("SELECT payment_id, facts FROM cases WHERE kind = 'amount-differs' ORDER BY at")
    differing = {row.payment_id: row.facts for row in conn.execute(cases)}
    entry = sa.text(
        "INSERT INTO ledger_entries (journal, line, account, part, amount_fen)"
        " VALUES (:journal, :line, :account, :part, :fen)"
    )
    journal = sa.text(
        "INSERT INTO ledger_journals (id, kind, reference, step, actor, at)"
        " VALUES (:id, 'brought-forward', :reference, 0, 'migration', :at)"
    )
    received = sa.text("UPDATE payments SET received_fen = :fen WHERE id = :id")
    for row in rows:
        if row.state not in STANDING:
            continue
        debit, credit = STANDING[row.state]
        fen = row.amount_fen
        if debit is None:
            debit = f"receivable:{row.method}"
            if row.state in ("amount-differs", "refunding") and row.id in differing:
                fen = json.loads(differing[row.id])["paid_fen"]
            conn.execute(received, {"fen": fen, "id": row.id})
        name, part = f"{row.id} 0 brought-forward", triggers.part_of(row.id)
        lines = [(debit, fen), (credit, -fen)]
        conn.execute(
            entry,
            [
                {"journal": name, "line": line, "account": account, "part": part, "fen": amount}
                for line, (account, amount) in enumerate(lines)
            ],
        )
        conn.execute(journal, {"id": name, "reference": row.id, "at": row.created_at})
