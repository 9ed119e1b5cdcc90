"""Rows that the database numbers are not full after two thousand million."""

from server_stub.foundation import first_tables

revision = "0003_numbers"
down_revision = "0002_days"


def upgrade() -> None:
    first_tables.widen_numbers("file_events")
