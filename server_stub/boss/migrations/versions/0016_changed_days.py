"""Days that are to be told again, however old; first those of services that were taken back before that was noted."""

from alembic import op

from server_stub.foundation import first_tables

revision = "0016_changed_days"
down_revision = "0015_numbers"


def upgrade() -> None:
    first_tables.make_changed_days()
    op.execute(
        "INSERT INTO changed_days (at) SELECT opened_at FROM orders"
        " WHERE state = 'cancelled' AND opened_at IS NOT NULL ORDER BY opened_at"
    )
