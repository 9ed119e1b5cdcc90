"""The order that opened a subscription is found without reading all orders."""

from alembic import op

revision = "0009_indexes"
down_revision = "0008_correlation"


def upgrade() -> None:
    op.create_index("ix_orders_subscription_id", "orders", ["subscription_id"])
