"""Whether others may have had a PSAM since the MAC1 of the payment that holds it: of leases from before nobody knows."""

import sqlalchemy as sa
from alembic import op

revision = "0013_leased_again"
down_revision = "0012_guards"


def upgrade() -> None:
    with op.batch_alter_table("psam_leases") as leases:
        leases.add_column(sa.Column("again", sa.Boolean(), nullable=False, server_default=sa.true()))
        leases.alter_column("again", server_default=None)
