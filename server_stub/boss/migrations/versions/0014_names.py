"""Staff find a subscriber by the name."""

from alembic import op

revision = "0014_names"
down_revision = "0013_days"


def upgrade() -> None:
    for name in ("name_zh", "name_en"):
        op.create_index(f"ix_subscribers_{name}", "subscribers", [name])
