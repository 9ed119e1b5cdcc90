"""The sandbox's tables: the far side of the demo wallet."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table

from server_stub.foundation import correlation
from server_stub.foundation.database import Instant
from server_stub.foundation.outbox import outbox_table
from server_stub.foundation.states import moves_table

metadata = MetaData(info={"role": "sandbox"})
outbox = outbox_table(metadata)
moves = moves_table(metadata)

codes = Table(
    "codes",
    metadata,
    Column("id", String, primary_key=True),  # what stands in the QR payload
    Column("reference", String, nullable=False, unique=True),  # the merchant's id of the payment
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("amount_fen", Integer, nullable=False),
    Column("subject_zh", String, nullable=False),
    Column("subject_en", String, nullable=False),
    Column("number", String, nullable=False),
    Column("notify_url", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("settle_late", Boolean, nullable=False, default=False),
    Column("refund", String),
    Column("reason", String),  # why the merchant closed it, or has sent its money back
    correlation.column(),
)
