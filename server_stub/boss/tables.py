"""BOSS's tables."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, UniqueConstraint

from server_stub.foundation import correlation
from server_stub.foundation.audit import Audit
from server_stub.foundation.changed_days import ChangedDays
from server_stub.foundation.database import Instant
from server_stub.foundation.files import Files
from server_stub.foundation.idempotency import idempotency_table
from server_stub.foundation.jobs import jobs_table
from server_stub.foundation.ledger import Ledger

metadata = MetaData(info={"role": "boss"})
keys = idempotency_table(metadata)
ledger = Ledger(metadata)
audit = Audit(metadata)
jobs = jobs_table(metadata)
files = Files(metadata)
changed_days = ChangedDays(metadata)

subscribers = Table(
    "subscribers",
    metadata,
    Column("id", String, primary_key=True),
    Column("name_zh", String, nullable=False, index=True),
    Column("name_en", String, nullable=False, index=True),
    Column("arrears_fen", Integer, nullable=False, default=0),
)

boxes = Table(
    "boxes",
    metadata,
    Column("box_number", String, primary_key=True),
    Column("subscriber_id", ForeignKey("subscribers.id"), nullable=False, index=True),
    Column("smart_card_number", String, nullable=False),
    Column("activation_hash", String, nullable=False),
    Column("state", String, nullable=False),  # active | suspended | stolen
)

box_keys = Table(
    "box_keys",
    metadata,
    Column("key_id", String, primary_key=True),
    # Whose it was stays known when a box is struck off.
    Column("box_number", String, nullable=False, index=True),
    Column("smart_card_number", String, nullable=False),
    Column("subscriber_id", ForeignKey("subscribers.id"), nullable=False),
    Column(
        "generation", Integer, nullable=False
    ),  # counts the enrolments of a box; a rotated key keeps its own
    Column("registered_at", Instant, nullable=False),
    Column("ended", String),  # code of the refusal; null while it is good
    Column("ended_at", Instant),
)

products = Table(
    "products",
    metadata,
    Column("service", String, primary_key=True),
    Column("position", Integer, nullable=False, unique=True),
    Column("icon", String, nullable=False),
    Column("name_zh", String, nullable=False),
    Column("name_en", String, nullable=False),
    Column("summary_zh", String, nullable=False),
    Column("summary_en", String, nullable=False),
    Column("category_zh", String, nullable=False),
    Column("category_en", String, nullable=False),
    Column("introduction_zh", String, nullable=False),
    Column("introduction_en", String, nullable=False),
    Column("extendable", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("exclusive_group", String),  # at most one active service of a group
)

price_plans = Table(
    "price_plans",
    metadata,
    Column("service", ForeignKey("products.service"), primary_key=True),
    Column("term", String, primary_key=True),
    Column("price_fen", Integer, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String, primary_key=True),
    Column("subscriber_id", ForeignKey("subscribers.id"), nullable=False),
    Column("service", ForeignKey("products.service"), nullable=False),
    Column("term", String, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant, nullable=False),
    Column("paid_fen", Integer, nullable=False),
    Column("paid_at", Instant, nullable=False),
    Column("cancelled", Boolean, nullable=False, default=False),
    correlation.column(),
)
# How long a home has each service is told with every order and opening: it is read from this alone.
Index(
    "subscriptions_of_home",
    subscriptions.c.subscriber_id,
    subscriptions.c.cancelled,
    subscriptions.c.service,
    subscriptions.c.valid_until,
)

orders = Table(
    "orders",
    metadata,
    Column("id", String, primary_key=True),
    Column("box_number", ForeignKey("boxes.box_number"), nullable=False),
    Column("service", ForeignKey("products.service"), nullable=False),
    Column("term", String, nullable=False),
    Column("list_fen", Integer, nullable=False),
    Column("reduction_fen", Integer, nullable=False),
    Column("amount_fen", Integer, nullable=False),
    Column("state", String, nullable=False),  # quoted | opened | refused | cancelled
    Column("refusal", String),
    Column("payment", String),
    Column("subscription_id", ForeignKey("subscriptions.id"), index=True),
    Column("created_at", Instant, nullable=False),
    Column("opened_at", Instant, index=True),
    correlation.column(),
    UniqueConstraint("payment"),
)
