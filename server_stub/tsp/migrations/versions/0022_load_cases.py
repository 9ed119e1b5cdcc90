"""Cases about loads of electronic cash; those that were disputed before are cases from now on."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0022_load_cases"
down_revision = "0021_card_loads"


def upgrade() -> None:
    with op.batch_alter_table("cases") as cases:
        cases.alter_column("payment_id", existing_type=sa.String(), nullable=True)
        cases.add_column(sa.Column("load_id", sa.String()))
        cases.create_foreign_key("cases_load_id_fkey", "card_loads", ["load_id"], ["id"])
        cases.create_check_constraint("a_case_is_about_one", "(payment_id IS NULL) <> (load_id IS NULL)")
    op.create_index("ix_cases_load_id", "cases", ["load_id"])
    _ask(op.get_bind())


def _ask(conn: sa.Connection) -> None:
    """Loads that had only a line in a log so far."""
    disputed = sa.text("SELECT * FROM card_loads WHERE state = 'disputed'")
    case = sa.text(
        "INSERT INTO cases (id, load_id, kind, facts, at, correlation)"
        " VALUES (:load, :load, 'load-disputed', :facts, :at, :of)"
    )
    for row in conn.execute(disputed).all():
        facts = {"balance_fen": row.balance_after_fen, "reversal": row.reversal_code or "unanswered"}
        at = row.reversed_at or row.answered_at or row.created_at
        conn.execute(case, {"load": row.id, "facts": json.dumps(facts), "at": at, "of": row.correlation})
