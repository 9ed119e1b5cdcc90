"""Why a merchant has closed a code, or sent its money back: the page behind the code says so."""

import sqlalchemy as sa
from alembic import op

revision = "0010_reason"
down_revision = "0009_indexes"


def upgrade() -> None:
    op.add_column("codes", sa.Column("reason", sa.String(), nullable=True))
