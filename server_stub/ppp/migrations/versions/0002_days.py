"""Debits of purses that are uploaded, files of a day, and the jobs that look after them."""

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import first_tables

revision = "0002_days"
down_revision = "0001_first"


def upgrade() -> None:
    first_tables.make_jobs()
    first_tables.make_files()
    op.create_table(
        "purse_debits",
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("amount_fen", first_tables.WHOLE, nullable=False),
        sa.Column("card", sa.String(), nullable=True),
        sa.Column("masked", sa.String(), nullable=True),
        sa.Column("terminal_number", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("date", sa.String(), nullable=False),
        sa.Column("time", sa.String(), nullable=False),
        sa.Column("tac", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("settled_on", sa.String(), nullable=True),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reference"),
        sa.UniqueConstraint("card", "terminal_number", "number", "date", "time", name="one_of_a_debit"),
    )
    op.create_index("purse_debits_of_day", "purse_debits", ["day"])
    op.create_index("transactions_of_day", "transactions", ["at"])
