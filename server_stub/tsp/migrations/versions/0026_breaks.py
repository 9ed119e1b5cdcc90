"""What is known of a key is found at once, however many breaks a pair has had."""

from alembic import op

revision = "0026_breaks"
down_revision = "0025_numbers"


def upgrade() -> None:
    op.drop_index("breaks_of_key", "breaks")
    op.create_index("breaks_of_key", "breaks", ["key", "pair"])
