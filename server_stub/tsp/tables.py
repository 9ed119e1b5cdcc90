"""The TSP's tables. A card's number stands here masked, as a keyed fingerprint, and sealed; never plain."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    text,
)

from server_stub.foundation import correlation
from server_stub.foundation.audit import Audit
from server_stub.foundation.database import Fen, Instant
from server_stub.foundation.files import Files
from server_stub.foundation.idempotency import idempotency_table
from server_stub.foundation.jobs import jobs_table
from server_stub.foundation.ledger import Ledger
from server_stub.foundation.outbox import outbox_table
from server_stub.foundation.rates import rates_table
from server_stub.foundation.states import moves_table
from server_stub.reconciliation.book import Book

metadata = MetaData(info={"role": "tsp"})
keys = idempotency_table(metadata)
outbox = outbox_table(metadata)
jobs = jobs_table(metadata)
ledger = Ledger(metadata)
audit = Audit(metadata)
files = Files(metadata)
book = Book(metadata)
moves = moves_table(metadata)
rates = rates_table(metadata)

boxes = Table(
    "boxes",
    metadata,
    Column("box_number", String, primary_key=True),
    Column("enrolled_at", Instant, nullable=False),
)

box_keys = Table(
    "box_keys",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("box_number", ForeignKey("boxes.box_number"), nullable=False, index=True),
    Column("public_key", String, nullable=False),
    Column("generation", Integer, nullable=False),  # of BOSS: which enrolment of the box it is from
    Column("ended", String),  # code of the refusal; null while it is good
    Column("valid_until", Instant),  # of one that was rotated away
    Column("successor", String),  # the key that it has named to follow it: one for good
    Column("word", String),  # BOSS's last: SERVED, or the code of its refusal; null while it has said nothing
    Column("created_at", Instant, nullable=False),
    # Counters up to "floor" were used long ago; "middle" becomes the floor when "turned_at" is long ago too.
    Column("floor", BigInteger, nullable=False, default=0),
    Column("middle", BigInteger, nullable=False, default=0),
    Column("turned_at", Instant, nullable=False),
)

SERVED = "served"
"""BOSS's word on a key that it serves."""

box_nonces = Table(
    "box_nonces",
    metadata,
    Column("key_id", ForeignKey("box_keys.key_id"), primary_key=True),
    Column("counter", BigInteger, primary_key=True, autoincrement=False),
    Column("nonce", String, nullable=False),
    Column("request", String, nullable=False),  # one name in all processes
)

server_keys = Table(
    "server_keys",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("sealed", String, nullable=False),  # PKCS8, in the vault
    Column("created_at", Instant, nullable=False),
    Column("valid_until", Instant),  # null: the present one
)

card_keys = Table(
    "card_keys",
    metadata,
    Column(
        "generation", Integer, primary_key=True, autoincrement=False
    ),  # 1 for the first: one for all processes
    Column("key_id", String, nullable=False, unique=True),
    Column("public_key", String, nullable=False),
    Column("private_key", String, nullable=False),  # a key block of the HSM
    Column("created_at", Instant, nullable=False),
    Column("valid_until", Instant),  # null: the present one
)

orders = Table(
    "orders",
    metadata,
    Column("id", String, primary_key=True),
    Column("box_number", ForeignKey("boxes.box_number"), nullable=False),
    Column("number", String, nullable=False, unique=True),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("service", String, nullable=False),  # JSON, as BOSS last described it
    Column("term", String, nullable=False),
    Column("list_fen", Integer, nullable=False),
    Column("reduction_fen", Integer, nullable=False),
    Column("reduction_reason", String),  # JSON
    Column("amount_fen", Integer, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant, nullable=False),
    Column("renews", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    correlation.column(),
)
Index("orders_to_expire", orders.c.state, orders.c.expires_at)

payments = Table(
    "payments",
    metadata,
    Column("id", String, primary_key=True),
    Column("order_id", ForeignKey("orders.id"), nullable=False),
    Column("box_number", ForeignKey("boxes.box_number"), nullable=False, index=True),
    # Of the order, once more: payments are found by them.
    Column("service", String, nullable=False, server_default=""),
    Column("term", String, nullable=False, server_default=""),
    Column("method", String, nullable=False),
    Column("amount_fen", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("live", Boolean, nullable=False, default=True),
    Column("reason", String),
    Column("created_key", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("paid_at", Instant),
    Column("received_fen", Integer),  # what came, once anything has
    # How often it was looked at since it stands where nobody asks any more; "expires_at" says when next.
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("valid_until", Instant),
    Column("qr_payload", String),
    correlation.column(),
)
OF_PAYMENT = tuple(column for column in payments.c if column.name not in ("service", "term"))
"""A payment's own columns, for queries that have its order's service and term beside them."""
LIVE = text("payments.live")
"""The condition of a query for live payments, written as the indexes below have it: SQLite does not see that ``live = 1``
is the same, and would read every payment there ever was."""
Index("payments_to_expire", payments.c.state, payments.c.expires_at)
Index("payments_of_day", payments.c.paid_at)
Index(
    "one_live_payment",
    payments.c.order_id,
    unique=True,
    sqlite_where=payments.c.live,
    postgresql_where=payments.c.live,
)

# A box that has paid for years has the same few of them as a new one.
Index(
    "live_payments_of_box",
    payments.c.box_number,
    sqlite_where=payments.c.live,
    postgresql_where=payments.c.live,
)

debits = Table(
    "card_debits",
    metadata,
    Column("payment_id", ForeignKey("payments.id"), primary_key=True),
    Column("card_masked", String, nullable=False),
    Column("card_fingerprint", String, nullable=False, index=True),
    Column("card_sealed", String, nullable=False),
    Column("issuer_id", String, nullable=False),
    Column("balance_before_fen", Fen, nullable=False),
    Column("balance_after_fen", Fen),
    Column("psam", String, nullable=False),
    Column("terminal_number", String, nullable=False),
    Column("offline_number", Integer),
    Column("overdraft_limit_fen", Integer),
    Column("key_version", Integer),
    Column("algorithm_id", Integer),
    Column("random", String),
    Column("date", String),
    Column("time", String),
    Column("terminal_transaction_number", String),
    Column("tac", String),
    Column("mac2", String),
)

pos_terminals = Table(
    "pos_terminals",
    metadata,
    Column("id", String, primary_key=True),  # bit 41 at PPP
    Column("batch", String, nullable=False),
    Column("stan", Integer, nullable=False),  # the last one that was used
    Column("pik", String),  # key blocks of the HSM; null before the first sign-in
    Column("mak", String),
    Column("tdk", String),
    Column("signed_in_at", Instant),
    Column("closing", String),  # the batch that takes nothing more
    Column("tmk", String),  # a key block, of what custodians have brought
    Column("tmk_at", Instant),
)

settlements = Table(
    "settlements",
    metadata,
    Column("terminal", String, primary_key=True),
    Column("batch", String, primary_key=True),
    Column("state", String, nullable=False),  # closing | closed | uploaded | agreed | differs | decided
    Column("begun_at", Instant, nullable=False),
    Column("told_fen", Fen, nullable=False),
    Column("told_count", Integer, nullable=False),
    Column("settled_at", Instant),
    Column("counted_fen", Fen),  # by PPP
    Column("counted_count", Integer),
    Column("ended_at", Instant),  # everything is uploaded
    Column("reason", String),  # of whoever has decided about what differs
    Column("actor", String),
)

authorisations = Table(
    "card_authorisations",
    metadata,
    Column("payment_id", ForeignKey("payments.id"), primary_key=True),
    Column("card_masked", String, nullable=False),
    Column("card_fingerprint", String, nullable=False, index=True),
    Column("card_sealed", String, nullable=False),  # by the HSM
    Column("batch", String, nullable=False),
    Column("stan", String, nullable=False),
    Column("chip", String, nullable=False),  # bit 55 of the sale, in hex
    Column("asked_at", Instant, nullable=False),
    Column("response_code", String),  # bit 39
    Column("retrieval_reference", String),  # bit 37
    Column("authorisation_code", String),  # bit 38
    Column("chip_answer", String),  # bit 55 of the answer
    Column("answered_at", Instant),
    Column("chip_end", String),  # what the card said at its second GENERATE AC
    Column("reversal_reason", String),  # bit 39 of the reversal
    Column("reversal_code", String),  # bit 39 of its answer
    Column("reversed_at", Instant),
    Column("script_code", String),  # bit 39 of the answer to the script result
    Column("certificate_code", String),  # bit 39 of the answer to the card's TC, after the batch
)
Index("authorisations_of_day", authorisations.c.asked_at)
Index("one_of_a_slip", authorisations.c.batch, authorisations.c.stan, unique=True)

certificates = Table(
    "card_certificates",
    metadata,
    Column("payment_id", ForeignKey("payments.id"), primary_key=True),
    Column("card_masked", String, nullable=False),
    Column("card_fingerprint", String, nullable=False, index=True),
    Column("card_sealed", String, nullable=False),  # by the HSM
    Column("sequence_number", Integer),  # 5F34
    Column("balance_before_fen", Fen, nullable=False),  # 9F79
    Column("atc", Integer, nullable=False),  # 9F36 of the transaction
    Column("begun_at", Instant, nullable=False),
    Column("chip", String),  # bit 55, in hex, with the card's TC
    Column("balance_after_fen", Fen),
    Column("batch", String),
    Column("stan", String),
    Column("response_code", String),  # bit 39
    Column("answered_at", Instant),
)
Index("certificates_of_day", certificates.c.answered_at)
"""Purchases with electronic cash: what the card has said, and what PPP says to that."""

loads = Table(
    "card_loads",
    metadata,
    Column("id", String, primary_key=True),
    Column(
        "number", String, nullable=False, server_default="", index=True
    ),  # what people have, without its space
    Column("box_number", ForeignKey("boxes.box_number"), nullable=False, index=True),
    Column("amount_fen", Fen, nullable=False),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("reason", String),
    Column("created_at", Instant, nullable=False),
    Column("card_masked", String),
    Column("card_fingerprint", String),
    Column("balance_before_fen", Fen),  # 9F79
    Column("balance_after_fen", Fen),
    Column("batch", String),
    Column("stan", String),
    Column("chip", String),  # bit 55 of the 0200, in hex
    Column("asked_at", Instant),
    Column("response_code", String),  # bit 39
    Column("retrieval_reference", String),  # bit 37
    Column("authorisation_code", String),  # bit 38
    Column("chip_answer", String),  # bit 55 of the answer
    Column("answered_at", Instant),
    Column("chip_end", String),  # what the card said at its end, with DF31
    Column("script_code", String),  # bit 39 of the answer to 0620
    Column("reversal_reason", String),  # bit 39 of the reversal
    Column("reversal_code", String),  # bit 39 of its answer
    Column("reversed_at", Instant),
    correlation.column(),
)
"""Loads of electronic cash: what PPP was asked, and what the card has done about it."""

operating = Table(
    "operating",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
"""The settings that commands decide by, too, as the server that started last has them."""

upload_days = Table(
    "upload_days",
    metadata,
    Column("day", String, primary_key=True),  # 2026-06-21
    Column("state", String, nullable=False),  # made | sent | answered
    Column("count", Integer, nullable=False),
    Column("fen", Fen, nullable=False),
    Column("accepted_count", Integer),
    Column("accepted_fen", Fen),
    Column("refused_count", Integer),
    Column("made_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("answered_at", Instant),
)
"""Days whose debits of purses PPP was told of, or is to be."""

uploads = Table(
    "uploads",
    metadata,
    Column("payment_id", ForeignKey("payments.id"), primary_key=True),
    Column("day", ForeignKey("upload_days.day"), index=True),  # null: it goes with the next one
    Column("code", String),  # of PPP's answer; 00: accepted
    Column("settled_on", String),
)
"""Which day's file each debit of a purse is in, and what PPP has answered."""

refused_uploads = Table(
    "refused_uploads",
    metadata,
    Column("payment_id", ForeignKey("payments.id"), primary_key=True),
    Column("day", ForeignKey("upload_days.day"), primary_key=True, index=True),
    Column("code", String, nullable=False),  # empty: of a time when it was not kept
)
"""In which days' files before debits of purses are that were presented again."""

leases = Table(
    "psam_leases",
    metadata,
    Column("psam", String, primary_key=True),
    Column("payment_id", ForeignKey("payments.id"), nullable=False, unique=True),
    Column("acquired_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("begun_by", String),  # the turn that sent the PSAM its last command
    Column("busy_until", Instant),  # a turn has commands under way, at the longest until then
    Column("again", Boolean, nullable=False),  # others may have had the PSAM since the payment's MAC1
)

psam_locks = Table(
    "psam_locks",
    metadata,
    Column("psam", String, primary_key=True),
    Column("locked_at", Instant, nullable=False),
)
"""PSAMs that have said that they are locked, until the operator says that they are not any more."""

issuers = Table(
    "issuers",
    metadata,
    Column("issuer_id", String, primary_key=True),
    Column("name_zh", String, nullable=False),
    Column("name_en", String, nullable=False),
)

listed_cards = Table(
    "listed_cards",
    metadata,
    Column("card_fingerprint", String, primary_key=True),
    Column("listed_at", Instant, nullable=False),
)

inquiries = Table(
    "inquiries",
    metadata,
    Column("id", String, primary_key=True),
    Column("box_number", ForeignKey("boxes.box_number"), nullable=False),
    Column("kind", String, nullable=False),
    Column("card_masked", String, nullable=False),
    Column("card_fingerprint", String, nullable=False),
    Column("issuer_id", String, nullable=False),
    Column("balance_fen", Fen, nullable=False),
    Column("refusal", String),
    Column("at", Instant, nullable=False),
    correlation.column(),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),
    Column("payment_id", ForeignKey("payments.id"), index=True),
    Column("load_id", ForeignKey("card_loads.id"), index=True),
    Column("kind", String, nullable=False),
    Column("facts", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("state", String, nullable=False, server_default="open"),  # open | decided
    Column("decided_at", Instant),
    Column("decision", String),  # what was done; "settled": the payment has come to its end by itself
    Column("reason", String),
    Column("actor", String),
    Column("second", String),  # the second person, above the limit
    correlation.column(),
    CheckConstraint("(payment_id IS NULL) <> (load_id IS NULL)", name="a_case_is_about_one"),
)
"""What a person has to look at: about a payment, or a load of electronic cash."""


# What staff search for. Ids are ordered by time, so each of these has what it finds newest first, one equal value at a time;
# where a column has few values the next one follows it, and "service and amount" is found as quickly as either.


def _found_by(name: str, table: Table, *columns: str, only: ColumnElement[bool] | None = None) -> None:
    Index(name, *(table.c[one] for one in columns), sqlite_where=only, postgresql_where=only)


_found_by("orders_by_correlation", orders, "correlation", only=orders.c.correlation.is_not(None))
_found_by("payments_of_order", payments, "order_id")
_found_by("payments_by_state", payments, "state", "method", "id")
_found_by("payments_by_service", payments, "service", "term", "method", "id")
_found_by("payments_by_amount", payments, "amount_fen", "service", "term", "method", "id")
_found_by("payments_by_reason", payments, "reason", "id", only=payments.c.reason.is_not(None))
_found_by("payments_by_correlation", payments, "correlation", only=payments.c.correlation.is_not(None))
# What came is nearly always what was asked for.
OTHERWISE = payments.c.received_fen != payments.c.amount_fen
_found_by("payments_received_otherwise", payments, "received_fen", "id", only=OTHERWISE)
_found_by("card_debits_by_card", debits, "card_masked", "payment_id")
_found_by("card_debits_by_psam", debits, "psam", "payment_id")
_found_by("card_debits_by_terminal", debits, "terminal_number", "payment_id")
_found_by(
    "card_debits_by_number",
    debits,
    "terminal_transaction_number",
    "payment_id",
    only=debits.c.terminal_transaction_number.is_not(None),
)
_found_by(
    "card_debits_by_offline_number",
    debits,
    "offline_number",
    "payment_id",
    only=debits.c.offline_number.is_not(None),
)
for _table, _id in ((authorisations, "payment_id"), (certificates, "payment_id"), (loads, "id")):
    _found_by(f"{_table.name}_by_card", _table, "card_masked", _id)
    _found_by(f"{_table.name}_by_stan", _table, "stan", "batch", _id)
for _table in (certificates, loads):  # authorisations have one_of_a_slip
    _found_by(f"{_table.name}_by_batch", _table, "batch")
for _table, _id in ((authorisations, "payment_id"), (loads, "id")):
    for _name in ("retrieval_reference", "authorisation_code"):
        _found_by(f"{_table.name}_by_{_name}", _table, _name, _id, only=_table.c[_name].is_not(None))
_found_by("card_loads_by_state", loads, "state", "id")
_found_by("card_loads_by_reason", loads, "reason", "id", only=loads.c.reason.is_not(None))
_found_by("card_loads_by_amount", loads, "amount_fen", "id")
_found_by("card_loads_by_correlation", loads, "correlation", only=loads.c.correlation.is_not(None))
_found_by("inquiries_by_correlation", inquiries, "correlation", only=inquiries.c.correlation.is_not(None))
_found_by("outbox_by_correlation", outbox, "correlation", only=outbox.c.correlation.is_not(None))
_found_by("cases_by_state", cases, "state", "payment_id", "load_id")
_found_by("audit_log_by_subject", audit.records, "subject")
