"""Commands decide by the settings of the server, whatever their own environment says."""

import sqlalchemy as sa
from alembic import op

revision = "0028_operating"
down_revision = "0027_stopped_runs"


def upgrade() -> None:
    op.create_table(
        "operating",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
