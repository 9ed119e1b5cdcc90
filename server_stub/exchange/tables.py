"""The tables of the exchange: partners and their accounts, files, wrong passwords, audit log."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table

from server_stub.foundation.audit import Audit
from server_stub.foundation.database import Instant, Whole
from server_stub.foundation.files import Files
from server_stub.foundation.rates import rates_table

metadata = MetaData(info={"role": "exchange"})
audit = Audit(metadata)
files = Files(metadata)
rate_buckets = rates_table(metadata)

partners = Table(
    "partners",
    metadata,
    Column("name", String, primary_key=True),
    Column("password", String),  # argon2 hash; null: derived from the partner key
    Column("state", String, nullable=False),  # open | closed
    Column("house", Boolean, nullable=False),  # our own account, which sees all folders
    Column("addresses", String, nullable=False),  # JSON: networks it may come from; none: any
    Column("folders", String, nullable=False),  # JSON: r | rw by folder
    Column("connections", Integer, nullable=False),  # at once
    Column("file_bytes", Whole, nullable=False),  # of one file
    Column("room_bytes", Whole, nullable=False),  # of all in its folders
    Column("made_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
)
