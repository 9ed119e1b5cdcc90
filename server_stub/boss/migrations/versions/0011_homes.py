"""A home's boxes, and how long it has which service, are found without reading what belongs to others, or is long over."""

from alembic import op

revision = "0011_homes"
down_revision = "0010_guards"


def upgrade() -> None:
    op.create_index("ix_boxes_subscriber_id", "boxes", ["subscriber_id"])
    op.drop_index("ix_subscriptions_subscriber_id", "subscriptions")
    columns = ["subscriber_id", "cancelled", "service", "valid_until"]
    op.create_index("subscriptions_of_home", "subscriptions", columns)
