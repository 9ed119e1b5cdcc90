"""What a debit or credit card tells of itself: number, validity, electronic cash, its own logs. Nothing is taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

from cardreader.emv.data import LoadRecord, LogRecord
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.settings import TransactionType, fen
from cardreader.errors import ProtocolError
from cardreader.secret import mask_number
from stb_app.journeys.steps import BankCardKind, BankCardRead, CardTransaction, CashHeld

KINDS: Mapping[bytes, BankCardKind] = {
    bytes.fromhex("A000000333010101"): "debit",
    bytes.fromhex("A000000333010102"): "credit",
    bytes.fromhex("A000000333010103"): "credit",
    bytes.fromhex("A000000333010106"): "electronic-cash",
}
"""By the beginning of the application's name; quasi-credit is credit to whoever holds it."""
PAN, EXPIRY, EFFECTIVE = 0x5A, 0x5F24, 0x5F25
DATE, TIME, AMOUNT, TYPE, COUNTER = 0x9A, 0x9F21, 0x9F02, 0x9C, 0x9F36
LOADS = (TransactionType.LOAD, TransactionType.CASH_LOAD)
CASH_BALANCE = 0x9F79


def read_bank_card(card: DebitCredit, today: date) -> BankCardRead:
    """A card that has been read, with its electronic cash and logs.

    Raises:
        StatusError, ProtocolError: what it tells makes no sense. CardRemoved.
    """
    pan, expiry = card.objects.get(PAN, b""), card.objects.get(EXPIRY, b"").hex()
    if not pan or len(expiry) != 6:
        raise ProtocolError("the card has no number or no expiry date")
    name = card.fci.name
    kind: BankCardKind = next((kind for aid, kind in KINDS.items() if name.startswith(aid)), "debit")
    told = card.electronic_cash()
    cash = None
    if told.balance_fen is not None:
        cash = CashHeld(told.balance_fen, told.balance_limit_fen, told.transaction_limit_fen)
    loads = [_load(record) for record in card.load_log() if record.tag == CASH_BALANCE]
    lines = [line for line in (_line(record) for record in card.transaction_log()) if line.kind != "load"]
    lines += [line for line in loads if line is not None]
    usable = card.objects.get(EFFECTIVE, b"").hex() <= f"{today:%y%m%d}" <= expiry
    return BankCardRead(
        mask_number(pan.hex().rstrip("f")), kind, f"20{expiry}", usable, cash,
        tuple(sorted(lines, key=lambda line: line.when, reverse=True)),
    )  # fmt: skip


def _line(record: LogRecord) -> CardTransaction:
    values = record.values
    kinds: dict[int, Literal["load", "purchase"]] = {TransactionType.PURCHASE: "purchase"}
    kinds |= dict.fromkeys(LOADS, "load")
    return CardTransaction(
        kinds.get(int.from_bytes(values.get(TYPE, b"")), "other"), fen(values.get(AMOUNT, b"")) or 0, _when(values), "",
        int.from_bytes(values.get(COUNTER, b"")),
    )  # fmt: skip


def _load(record: LoadRecord) -> CardTransaction | None:
    """None: the balance did not rise."""
    before, after = fen(record.before), fen(record.after)
    if before is None or after is None or after <= before:
        return None
    return CardTransaction(
        "load", after - before, _when(record.values), "", int.from_bytes(record.values.get(COUNTER, b""))
    )


def _when(values: Mapping[int, bytes]) -> str:
    """As the card has it: date and time, the date alone, or nothing."""
    day, time = values.get(DATE, b"").hex(), values.get(TIME, b"").hex()
    if len(day) != 6:
        return ""
    told = f"20{day[:2]}-{day[2:4]}-{day[4:]}"
    return f"{told} {time[:2]}:{time[2:4]}:{time[4:]}" if len(time) == 6 else told
