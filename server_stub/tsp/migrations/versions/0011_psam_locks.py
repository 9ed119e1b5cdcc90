"""That a PSAM has locked itself is known to all processes, and after a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0011_psam_locks"
down_revision = "0009_indexes"


def upgrade() -> None:
    op.create_table(
        "psam_locks",
        sa.Column("psam", sa.String(), primary_key=True),
        sa.Column("locked_at", sa.BigInteger(), nullable=False),
    )
