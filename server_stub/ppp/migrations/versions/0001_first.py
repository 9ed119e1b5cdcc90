"""Terminals, accounts, transactions, settlements; books and audit log."""

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import audit, ledger

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    _make_books(whole)
    _make_audit(whole)
    op.create_table(
        "terminals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("working_keys", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pan", sa.String(), nullable=False),
        sa.Column("masked", sa.String(), nullable=False),
        sa.Column("scheme", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sequence_number", sa.String(), nullable=False),
        sa.Column("expiry", sa.String(), nullable=False),
        sa.Column("pin", sa.String(), nullable=False),
        sa.Column("pin_required", sa.Boolean(), nullable=False),
        sa.Column("pin_failures", sa.Integer(), nullable=False),
        sa.Column("atc", sa.Integer(), nullable=False),
        sa.Column("credit_fen", whole, nullable=False),
        sa.Column("limit_fen", whole, nullable=False),
        sa.Column("cash_limit_fen", whole, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("terminal", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("stan", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("atc", sa.Integer(), nullable=True),
        sa.Column("amount_fen", whole, nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("script", sa.String(), nullable=True),
        sa.Column("certificate", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("correlation", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["terminal"], ["terminals.id"]),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("terminal", "batch", "stan", name="one_of_a_stan"),
        sa.UniqueConstraint("account", "atc", name="one_of_an_atc"),
    )
    op.create_index("transactions_of_batch", "transactions", ["terminal", "batch", "state"])
    op.create_table(
        "settlements",
        sa.Column("terminal", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("told", sa.String(), nullable=False),
        sa.Column("counted", sa.String(), nullable=False),
        sa.Column("uploaded", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["terminal"], ["terminals.id"]),
        sa.PrimaryKeyConstraint("terminal", "batch"),
    )
    ledger.make_guards(op.get_bind())
    audit.make_guards(op.get_bind())
    ledger.make_marks(op.get_bind())


def _make_books(whole: sa.types.TypeEngine[int]) -> None:
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
        sa.Column("balance_fen", whole, nullable=False),
        sa.Column("last_journal", sa.String(), nullable=True),
        sa.Column("last_line", sa.Integer(), nullable=True),
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
        sa.Column("amount_fen", whole, nullable=False),
        sa.CheckConstraint("amount_fen <> 0", name="an_entry_moves_something"),
        sa.ForeignKeyConstraint(["journal"], ["ledger_journals.id"], deferrable=True, initially="DEFERRED"),
        sa.PrimaryKeyConstraint("journal", "line"),
    )
    op.create_index("ledger_entries_of_account", "ledger_entries", ["account", "part"])
    ledger.make_triggers(op.get_bind())


def _make_audit(whole: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "audit_log",
        sa.Column("sequence", whole, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", whole, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    audit.make_triggers(op.get_bind())
