"""What a box has under way is found without reading all that it ever paid."""

from alembic import op
from sqlalchemy import text

revision = "0015_live_of_box"
down_revision = "0014_standing"


def upgrade() -> None:
    live = text("live")
    op.create_index(
        "live_payments_of_box", "payments", ["box_number"], sqlite_where=live, postgresql_where=live
    )
