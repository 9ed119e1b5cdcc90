"""Data objects that a debit or credit card has said, as they come from boxes (bit 55): what is asked of them here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from cardreader import tlv
from cardreader.errors import ProtocolError
from server_stub.foundation.problems import Money, Problem

ARQC, TC = 0x80, 0x40
"""9F27, its two highest bits."""
KINDS = {ARQC: "no_arqc", TC: "no_tc"}
"""What is wrong where another cryptogram was wanted."""
AMOUNT, CURRENCY, CRYPTOGRAM_INFORMATION, ATC = 0x9F02, 0x5F2A, 0x9F27, 0x9F36
DEDICATED_FILE_NAME = 0x84
CREDIT = (bytes.fromhex("A000000333010102"), bytes.fromhex("A000000333010103"))
"""UnionPay's credit and quasi-credit."""
UNIONPAY = bytes.fromhex("A000000333")
YUAN = bytes.fromhex("0156")


def objects(chip: str, money: Money = "not-taken") -> dict[int, bytes]:
    """Values by tag. Raises Problem ``bad-request``: these are no data objects."""
    try:
        return {one.tag: one.value for one in tlv.parse(bytes.fromhex(chip))}
    except ProtocolError as error:
        raise Problem("bad-request", money=money, field="body.chip", kind="no_tlv") from error


def account_of(chip: str) -> Literal["debit", "credit"] | None:
    """What kind of account a card pays from, by its application (84); None: it has not told, or is no card of UnionPay.

    >>> account_of("8408A000000333010102")
    'credit'
    """
    name = objects(chip).get(DEDICATED_FILE_NAME, b"")
    if name.startswith(CREDIT):
        return "credit"
    return "debit" if name.startswith(UNIONPAY) else None


def expect(chip: str, amount_fen: int, cryptogram: int, money: Money = "not-taken") -> None:
    """The card's cryptogram is about this money, and of this kind. Raises Problem ``bad-request``."""
    found = objects(chip, money)
    if found.get(AMOUNT) != bytes.fromhex(f"{amount_fen:012d}") or found.get(CURRENCY) != YUAN:
        raise Problem("bad-request", money=money, field="body.chip", kind="other_amount")
    if information(chip, money) != cryptogram:
        raise Problem("bad-request", money=money, field="body.chip", kind=KINDS[cryptogram])


def information(chip: str, money: Money = "not-taken") -> int:
    """Which cryptogram it has: ARQC, TC, 0 for an AAC. Raises Problem ``bad-request``: none."""
    found = objects(chip, money).get(CRYPTOGRAM_INFORMATION, b"")
    if len(found) != 1:
        raise Problem("bad-request", money=money, field="body.chip", kind="no_cryptogram")
    return found[0] & 0xC0


def atc_of(chip: str, money: Money = "not-taken") -> int:
    """The card's transaction counter. Raises Problem ``bad-request``: it has told none."""
    found = objects(chip, money).get(ATC, b"")
    if len(found) != 2:
        raise Problem("bad-request", money=money, field="body.chip", kind="no_counter")
    return int.from_bytes(found)


def only(chip: str, tags: Iterable[int]) -> bytes:
    """Of the data objects those that a message wants, in its order."""
    found = objects(chip)
    return b"".join(tlv.encode(tag, found[tag]) for tag in tags if tag in found)
