"""Rows that the database numbers are not full after two thousand million."""

from server_stub.foundation import first_tables

revision = "0025_numbers"
down_revision = "0024_search"


def upgrade() -> None:
    first_tables.widen_numbers("outbox", "state_moves", "break_events", "file_events")
