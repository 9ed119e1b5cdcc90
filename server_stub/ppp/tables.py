"""The tables of PPP and issuer. A card's number stands nowhere in clear: accounts are found by its keyed fingerprint."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, UniqueConstraint

from server_stub.foundation import correlation
from server_stub.foundation.audit import Audit
from server_stub.foundation.changed_days import ChangedDays
from server_stub.foundation.database import Fen, Instant
from server_stub.foundation.files import Files
from server_stub.foundation.jobs import jobs_table
from server_stub.foundation.ledger import Ledger

metadata = MetaData(info={"role": "ppp"})
ledger = Ledger(metadata)
audit = Audit(metadata)
jobs = jobs_table(metadata)
files = Files(metadata)
changed_days = ChangedDays(metadata)

terminals = Table(
    "terminals",
    metadata,
    Column("id", String, primary_key=True),  # bit 41
    Column("merchant", String, nullable=False),  # bit 42
    Column("batch", Integer, nullable=False),
    Column("working_keys", String),  # sealed; null while it is signed out
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String, primary_key=True),  # fingerprint of the PAN
    Column("pan", String, nullable=False),  # sealed
    Column("masked", String, nullable=False),
    Column("scheme", String, nullable=False),  # debit | credit
    Column("state", String, nullable=False),  # active | blocked | lost | stolen
    Column("sequence_number", String, nullable=False),
    Column("expiry", String, nullable=False),  # YYMM
    Column("pin", String, nullable=False),  # fingerprint of its PIN block
    Column("pin_required", Boolean, nullable=False),
    Column("pin_failures", Integer, nullable=False),
    Column("atc", Integer, nullable=False),  # the last one that came with a good cryptogram
    Column("credit_fen", Fen, nullable=False),
    Column("limit_fen", Fen, nullable=False),  # of one transaction
    Column("cash_limit_fen", Fen, nullable=False),  # of electronic cash on the card
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", String, primary_key=True),
    Column("terminal", ForeignKey("terminals.id"), nullable=False),
    Column("batch", String, nullable=False),
    Column("stan", String, nullable=False),
    Column("kind", String, nullable=False),  # sale | load | balance | cash-sale | unknown
    Column("state", String, nullable=False),  # approved | declined | reversed | barred
    Column("digest", String, nullable=False),  # of what was asked for
    Column("account", ForeignKey("accounts.id")),
    Column("atc", Integer),  # of a good cryptogram
    Column("amount_fen", Fen, nullable=False),
    Column("code", String, nullable=False),  # bit 39
    Column("reason", String, nullable=False),
    Column("answer", String, nullable=False),  # without its MAC, in hex
    Column("script", String),  # done | failed, as the terminal has told
    Column("certificate", String),  # TC: good | wrong
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    correlation.column(),
    UniqueConstraint("terminal", "batch", "stan", name="one_of_a_stan"),
    UniqueConstraint("account", "atc", name="one_of_an_atc"),
)
Index("transactions_of_day", transactions.c.at)
Index("transactions_of_batch", transactions.c.terminal, transactions.c.batch, transactions.c.state)

settlements = Table(
    "settlements",
    metadata,
    Column("terminal", ForeignKey("terminals.id"), primary_key=True),
    Column("batch", String, primary_key=True),
    Column("told", String, nullable=False),  # bit 48 of the terminal
    Column("counted", String, nullable=False),  # ours
    Column("uploaded", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
)

purse_debits = Table(
    "purse_debits",
    metadata,
    Column("reference", String, primary_key=True),  # the platform's payment
    Column("day", String, nullable=False),  # of the file it came in, 2026-06-21
    Column("amount_fen", Fen, nullable=False),
    Column("card", String),  # fingerprint of its serial; null of what was refused
    Column("masked", String),
    Column("terminal_number", String, nullable=False),
    Column("number", String, nullable=False),  # terminal transaction number
    Column("date", String, nullable=False),
    Column("time", String, nullable=False),
    Column("tac", String, nullable=False),
    Column("digest", String, nullable=False),  # of its line
    Column("code", String, nullable=False),  # 00: accepted
    Column("settled_on", String),  # the day it is settled on; null of what was refused
    Column("file", String, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("card", "terminal_number", "number", "date", "time", name="one_of_a_debit"),
)
"""Debits of purses that the platform has uploaded."""
Index("purse_debits_of_day", purse_debits.c.day)
