"""No entry moves its balance twice, amounts are whole, and triggers look only at the role's own tables."""

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import ledger

revision = "0012_marks"
down_revision = "0011_homes"


def upgrade() -> None:
    op.add_column("ledger_balances", sa.Column("last_journal", sa.String(), nullable=True))
    op.add_column("ledger_balances", sa.Column("last_line", sa.Integer(), nullable=True))
    ledger.make_marks(op.get_bind())
