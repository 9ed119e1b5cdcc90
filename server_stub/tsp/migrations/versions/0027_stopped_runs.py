"""A run that finds more differences than its pair may have keeps some of them to look at; many breaks are gone through in turns."""

import sqlalchemy as sa
from alembic import op

revision = "0027_stopped_runs"
down_revision = "0026_breaks"


def upgrade() -> None:
    op.add_column("recon_runs", sa.Column("sample", sa.String()))
    op.drop_index("breaks_of_run", "breaks")
    op.create_index("breaks_of_run", "breaks", ["run", "id"])
