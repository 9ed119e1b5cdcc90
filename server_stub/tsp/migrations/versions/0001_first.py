"""The tables as they were before there were revisions."""

import sqlalchemy as sa
from alembic import op

revision = "0001_first"
down_revision = None

FEN = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "boxes",
        sa.Column("box_number", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("box_number"),
    )
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
    )
    op.create_table(
        "issuers",
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("issuer_id"),
    )
    op.create_table(
        "listed_cards",
        sa.Column("card_fingerprint", sa.String(), nullable=False),
        sa.Column("listed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("card_fingerprint"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_outbox_due_at"), "outbox", ["due_at"], unique=False)
    op.create_table(
        "state_moves",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("row", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("legal", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_state_moves_row"), "state_moves", ["row"], unique=False)
    op.create_table(
        "inquiries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("box_number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("card_masked", sa.String(), nullable=False),
        sa.Column("card_fingerprint", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("balance_fen", FEN, nullable=False),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["box_number"],
            ["boxes.box_number"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("box_number", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("term", sa.String(), nullable=False),
        sa.Column("list_fen", sa.Integer(), nullable=False),
        sa.Column("reduction_fen", sa.Integer(), nullable=False),
        sa.Column("reduction_reason", sa.String(), nullable=True),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("renews", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["box_number"],
            ["boxes.box_number"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("orders_to_expire", "orders", ["state", "expires_at"], unique=False)
    op.create_table(
        "payments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("box_number", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_key", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.Column("qr_payload", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["box_number"],
            ["boxes.box_number"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_payments_box_number"), "payments", ["box_number"], unique=False)
    op.create_index(
        "one_live_payment",
        "payments",
        ["order_id"],
        unique=True,
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.create_index("payments_to_expire", "payments", ["state", "expires_at"], unique=False)
    op.create_table(
        "card_debits",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("card_masked", sa.String(), nullable=False),
        sa.Column("card_fingerprint", sa.String(), nullable=False),
        sa.Column("card_sealed", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("balance_before_fen", FEN, nullable=False),
        sa.Column("balance_after_fen", FEN, nullable=True),
        sa.Column("psam", sa.String(), nullable=False),
        sa.Column("terminal_number", sa.String(), nullable=False),
        sa.Column("offline_number", sa.Integer(), nullable=True),
        sa.Column("overdraft_limit_fen", sa.Integer(), nullable=True),
        sa.Column("key_version", sa.Integer(), nullable=True),
        sa.Column("algorithm_id", sa.Integer(), nullable=True),
        sa.Column("random", sa.String(), nullable=True),
        sa.Column("date", sa.String(), nullable=True),
        sa.Column("time", sa.String(), nullable=True),
        sa.Column("terminal_transaction_number", sa.String(), nullable=True),
        sa.Column("tac", sa.String(), nullable=True),
        sa.Column("mac2", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.id"],
        ),
        sa.PrimaryKeyConstraint("payment_id"),
    )
    op.create_index(
        op.f("ix_card_debits_card_fingerprint"), "card_debits", ["card_fingerprint"], unique=False
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_cases_payment_id"), "cases", ["payment_id"], unique=False)
    op.create_table(
        "psam_leases",
        sa.Column("psam", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("acquired_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.id"],
        ),
        sa.PrimaryKeyConstraint("psam"),
        sa.UniqueConstraint("payment_id"),
    )
