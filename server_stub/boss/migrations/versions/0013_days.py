"""Files of a day, the jobs that send them, and when an order was opened."""

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import first_tables

revision = "0013_days"
down_revision = "0012_marks"


def upgrade() -> None:
    first_tables.make_jobs()
    first_tables.make_files()
    op.add_column("orders", sa.Column("opened_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_orders_opened_at", "orders", ["opened_at"])
    op.execute(
        "UPDATE orders SET opened_at = (SELECT at FROM ledger_journals"
        " WHERE reference = orders.id AND kind = 'opened') WHERE state = 'opened'"
    )
