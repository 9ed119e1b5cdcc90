"""Hands off the books: entries without their journal, balances and the audit log's head."""

from alembic import op

from server_stub.foundation import audit, ledger

revision = "0012_guards"
down_revision = "0011_psam_locks"


def upgrade() -> None:
    ledger.make_guards(op.get_bind())
    audit.make_guards(op.get_bind())
