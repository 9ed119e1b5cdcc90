"""One proposal of a subject waits at a time; of several that do, the first stays."""

import sqlalchemy as sa
from alembic import op

revision = "0003_one_proposal"
down_revision = "0002_totals"
NOTE = '{"message":"A proposal about this waits for a second person already.","values":{}}'


def upgrade() -> None:
    # One that is being done goes before those that are open.
    others = sa.text(
        "UPDATE proposals SET state = 'withdrawn', note = :note WHERE state IN ('open', 'confirmed') "
        "AND state || id > (SELECT min(first.state || first.id) FROM proposals AS first "
        "WHERE first.kind = proposals.kind AND first.subject = proposals.subject "
        "AND first.state IN ('open', 'confirmed'))"
    )
    op.get_bind().execute(others, {"note": NOTE})
    waits = sa.text("state IN ('open', 'confirmed')")
    op.create_index(
        "one_waiting_proposal",
        "proposals",
        ["kind", "subject"],
        unique=True,
        sqlite_where=waits,
        postgresql_where=waits,
    )
