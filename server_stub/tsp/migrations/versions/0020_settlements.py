"""What PPP is told beside sales: results of scripts."""

import sqlalchemy as sa
from alembic import op

revision = "0020_settlements"
down_revision = "0019_electronic_cash"


def upgrade() -> None:
    op.add_column("card_authorisations", sa.Column("script_code", sa.String()))
