"""A difference of two records that are of two days is found from either."""

import sqlalchemy as sa
from alembic import op

revision = "0029_over_days"
down_revision = "0028_operating"

DAY_OF = {"sqlite": "json_extract({}, '$.day')", "postgresql": "{}::json ->> 'day'"}


def upgrade() -> None:
    op.add_column("breaks", sa.Column("other_day", sa.String(), nullable=True))
    here, there = (DAY_OF[op.get_bind().dialect.name].format(side) for side in ("here", "there"))
    op.execute(
        f"UPDATE breaks SET other_day = CASE WHEN {here} <> day THEN {here} WHEN {there} <> day THEN {there} END"
        " WHERE here IS NOT NULL AND there IS NOT NULL"
    )
    apart = sa.text("other_day IS NOT NULL")
    op.create_index(
        "breaks_over_days", "breaks", ["pair", "other_day"], sqlite_where=apart, postgresql_where=apart
    )
