"""Staff find a payment by whatever they know of it, among tens of millions."""

import sqlalchemy as sa
from alembic import op

revision = "0024_search"
down_revision = "0023_days"

INDEXES = (
    ("ix_card_loads_number", "card_loads", ["number"]),
    ("payments_of_order", "payments", ["order_id"]),
    ("payments_by_state", "payments", ["state", "method", "id"]),
    ("payments_by_service", "payments", ["service", "term", "method", "id"]),
    ("payments_by_amount", "payments", ["amount_fen", "service", "term", "method", "id"]),
    ("card_debits_by_card", "card_debits", ["card_masked", "payment_id"]),
    ("card_debits_by_psam", "card_debits", ["psam", "payment_id"]),
    ("card_debits_by_terminal", "card_debits", ["terminal_number", "payment_id"]),
    ("card_authorisations_by_card", "card_authorisations", ["card_masked", "payment_id"]),
    ("card_authorisations_by_stan", "card_authorisations", ["stan", "batch", "payment_id"]),
    ("card_certificates_by_card", "card_certificates", ["card_masked", "payment_id"]),
    ("card_certificates_by_stan", "card_certificates", ["stan", "batch", "payment_id"]),
    ("card_loads_by_card", "card_loads", ["card_masked", "id"]),
    ("card_loads_by_stan", "card_loads", ["stan", "batch", "id"]),
    ("card_certificates_by_batch", "card_certificates", ["batch"]),
    ("card_loads_by_batch", "card_loads", ["batch"]),
    ("card_loads_by_state", "card_loads", ["state", "id"]),
    ("card_loads_by_amount", "card_loads", ["amount_fen", "id"]),
    ("cases_by_state", "cases", ["state", "payment_id", "load_id"]),
    ("audit_log_by_subject", "audit_log", ["subject"]),
)
WHERE_THERE_IS_ONE = (
    ("orders_by_correlation", "orders", ["correlation"]),
    ("payments_by_reason", "payments", ["reason", "id"]),
    ("payments_by_correlation", "payments", ["correlation"]),
    ("card_debits_by_number", "card_debits", ["terminal_transaction_number", "payment_id"]),
    ("card_debits_by_offline_number", "card_debits", ["offline_number", "payment_id"]),
    ("card_authorisations_by_retrieval_reference", "card_authorisations", ["retrieval_reference", "payment_id"]),
    ("card_authorisations_by_authorisation_code", "card_authorisations", ["authorisation_code", "payment_id"]),
    ("card_loads_by_reason", "card_loads", ["reason", "id"]),
    ("card_loads_by_retrieval_reference", "card_loads", ["retrieval_reference", "id"]),
    ("card_loads_by_authorisation_code", "card_loads", ["authorisation_code", "id"]),
    ("card_loads_by_correlation", "card_loads", ["correlation"]),
    ("inquiries_by_correlation", "inquiries", ["correlation"]),
    ("outbox_by_correlation", "outbox", ["correlation"]),
)  # fmt: skip
NAMED = {"sqlite": "json_extract(service, '$.service')", "postgresql": "service::json ->> 'service'"}


def upgrade() -> None:
    for table, column in (("payments", "service"), ("payments", "term"), ("card_loads", "number")):
        op.add_column(table, sa.Column(column, sa.String(), nullable=False, server_default=""))
    op.execute("UPDATE card_loads SET number = substr(id, length(id) - 7)")
    named = NAMED[op.get_bind().dialect.name]
    op.execute(
        f"UPDATE payments SET service = (SELECT {named} FROM orders WHERE orders.id = payments.order_id),"
        " term = (SELECT orders.term FROM orders WHERE orders.id = payments.order_id)"
    )
    op.drop_index("ix_card_loads_state", "card_loads")  # another one begins with it
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)
    for name, table, columns in WHERE_THERE_IS_ONE:
        only = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
    otherwise = sa.text("received_fen != amount_fen")
    op.create_index(
        "payments_received_otherwise",
        "payments",
        ["received_fen", "id"],
        sqlite_where=otherwise,
        postgresql_where=otherwise,
    )
