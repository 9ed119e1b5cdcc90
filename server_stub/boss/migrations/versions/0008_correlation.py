"""The correlation id of the key press that an order or a subscription comes from."""

import sqlalchemy as sa
from alembic import op

revision = "0008_correlation"
down_revision = "0004_audit"


def upgrade() -> None:
    for table in ("subscriptions", "orders"):
        op.add_column(table, sa.Column("correlation", sa.String(), nullable=True))
