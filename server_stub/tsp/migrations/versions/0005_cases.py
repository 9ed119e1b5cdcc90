"""Cases are decided; payments are looked at when their time is over."""

import sqlalchemy as sa
from alembic import op

revision = "0005_cases"
down_revision = "0004_ledger"


def upgrade() -> None:
    op.add_column("payments", sa.Column("looks", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cases", sa.Column("state", sa.String(), nullable=False, server_default="open"))
    op.add_column("cases", sa.Column("decided_at", sa.BigInteger(), nullable=True))
    for name in ("decision", "reason", "actor", "second"):
        op.add_column("cases", sa.Column(name, sa.String(), nullable=True))
