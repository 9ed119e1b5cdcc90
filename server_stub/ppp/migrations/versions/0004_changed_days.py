"""Days that are to be told again, however old."""

from server_stub.foundation import first_tables

revision = "0004_changed_days"
down_revision = "0003_numbers"


def upgrade() -> None:
    first_tables.make_changed_days()
