"""What is still owed is found without reading what was delivered."""

from alembic import op
from sqlalchemy import text

revision = "0009_indexes"
down_revision = "0008_correlation"


def upgrade() -> None:
    op.drop_index("ix_outbox_due_at", "outbox")
    owed = text("due_at IS NOT NULL")
    op.create_index("outbox_owed", "outbox", ["due_at"], sqlite_where=owed, postgresql_where=owed)
