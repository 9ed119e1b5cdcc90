"""Several processes: a delivery belongs to whoever has claimed it, and a PSAM to whoever began last."""

import sqlalchemy as sa
from alembic import op

revision = "0002_claims"
down_revision = "0001_first"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("claimed_by", sa.String(), nullable=True))
    op.add_column("outbox", sa.Column("claimed_until", sa.BigInteger(), nullable=True))
    op.add_column("psam_leases", sa.Column("begun_by", sa.String(), nullable=True))
    op.add_column("psam_leases", sa.Column("busy_until", sa.BigInteger(), nullable=True))
