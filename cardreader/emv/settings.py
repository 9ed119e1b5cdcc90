"""What a terminal is set up with: who it is, which applications and keys it knows, when it goes online.

What cards.md marks M or L is a field here with that value as its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from cardreader.emv.bits import TerminalCapabilities, Ttq
from cardreader.emv.capk import CaKeys

UNIONPAY_RID = bytes.fromhex("A000000333")


class Interface(StrEnum):
    """How the card is read: it decides between PSE and PPSE."""

    CONTACT = "contact"
    CONTACTLESS = "contactless"


class TransactionType(IntEnum):
    """9C, the first two digits of the ISO 8583 processing code."""

    PURCHASE = 0x00
    CASH = 0x01
    CASHBACK = 0x09
    BALANCE_INQUIRY = 0x31
    LOAD = 0x60
    """Electronic cash from the card's own account."""
    CASH_LOAD = 0x63
    """Electronic cash against cash."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application that the terminal supports.

    Attributes:
        aid: 5 to 16 bytes.
        partial: whether an AID that only begins so is taken, too.
        version: 9F09, 2 bytes.
    """

    aid: bytes
    partial: bool = True
    version: bytes = b"\x00\x30"


UNIONPAY = tuple(
    Application(UNIONPAY_RID + bytes.fromhex(end)) for end in ("010101", "010102", "010103", "010106")
)
"""Debit, credit, quasi-credit, electronic cash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSettings:
    """A terminal. Codes and masks as in their tags; amounts in fen.

    Attributes:
        terminal_id: 9F1C, 8 characters.
        merchant_id: 9F16, 15 characters.
        merchant_name: 9F4E.
        serial_number: 9F1E, 8 characters.
        merchant_category: 9F15, 4 digits.
        acquirer: 9F01, up to 11 digits, or empty.
        country, currency: 9F1A and 5F2A, n 3 in 2 bytes.
        currency_exponent: 5F36.
        terminal_type: 9F35; the second digit says whether it can go online (EMV Book 4, A1).
        capabilities: 9F33.
        additional_capabilities: 9F40, 5 bytes.
        qualifiers: 9F66, told to contactless cards.
        interface: of the reader.
        applications: in the order in which they are tried without a directory.
        ca_keys: see `cardreader.emv.capk`.
        tac_denial, tac_online, tac_default: terminal action codes, 5 bytes (UnionPay's, M).
        floor_limit_fen: from this amount on the terminal goes online.
        random_threshold_fen, random_target, random_maximum: random selection for online (EMV Book 3, 10.6.2; L).
        default_ddol, default_tdol: when the card has none.
        electronic_cash_limit_fen: 9F7B; purchases below it ask for electronic cash (M); 0 for never.
        electronic_cash_threshold: whether the terminal goes online when less than 9F6D would remain (M).
        approved_codes: authorisation response codes with which an issuer approves.
        online_tags: what goes to the issuer in DE55, in this order, when there is a value.
    """

    terminal_id: str
    merchant_id: str
    merchant_name: str = ""
    serial_number: str = "00000001"
    merchant_category: str = "4899"
    acquirer: str = ""
    country: bytes = b"\x01\x56"
    currency: bytes = b"\x01\x56"
    currency_exponent: int = 2
    terminal_type: int = 0x25
    capabilities: TerminalCapabilities = (
        TerminalCapabilities.CONTACTS
        | TerminalCapabilities.PLAINTEXT_PIN
        | TerminalCapabilities.ONLINE_PIN
        | TerminalCapabilities.ENCIPHERED_PIN
        | TerminalCapabilities.NO_CVM
        | TerminalCapabilities.SDA
        | TerminalCapabilities.DDA
        | TerminalCapabilities.CDA
    )
    additional_capabilities: bytes = bytes.fromhex("6000F00001")
    qualifiers: Ttq = Ttq.CONTACTLESS_DEBIT_CREDIT | Ttq.CONTACT | Ttq.ONLINE_PIN
    interface: Interface = Interface.CONTACT
    applications: tuple[Application, ...] = UNIONPAY
    ca_keys: CaKeys = field(default_factory=dict)
    tac_denial: bytes = bytes.fromhex("0010000000")
    tac_online: bytes = bytes.fromhex("D84004F800")
    tac_default: bytes = bytes.fromhex("D84000A800")
    floor_limit_fen: int = 0
    random_threshold_fen: int = 0
    random_target: int = 0
    random_maximum: int = 0
    default_ddol: bytes = bytes.fromhex("9F3704")
    default_tdol: bytes = b""
    electronic_cash_limit_fen: int = 100_000
    electronic_cash_threshold: bool = True
    approved_codes: frozenset[bytes] = frozenset((b"00", b"10", b"11"))
    online_tags: tuple[int, ...] = (
        *(0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03),
        *(0x9F33, 0x9F34, 0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41, 0x9F63, 0x9F74),
    )

    @property
    def online_only(self) -> bool:
        """Whether the terminal approves nothing offline (9F35, second digit 1 or 4)."""
        return self.terminal_type % 0x10 in (1, 4)

    @property
    def offline_only(self) -> bool:
        """Whether the terminal cannot go online (9F35, second digit 3 or 6)."""
        return self.terminal_type % 0x10 in (3, 6)

    @property
    def cash_dispenser(self) -> bool:
        """Whether this is an ATM: a bank's unattended terminal that hands out cash (EMV Book 4, A1 and A3)."""
        return self.terminal_type in (0x14, 0x15, 0x16) and bool(self.additional_capabilities[0] & 0x80)

    def values(self, application: Application) -> dict[int, bytes]:
        """The data objects that do not change between transactions."""
        return {
            0x9F06: application.aid,
            0x9F09: application.version,
            0x9F15: bytes.fromhex(self.merchant_category),
            0x9F16: self.merchant_id.encode("ascii"),
            0x9F1A: self.country,
            0x9F1B: min(self.floor_limit_fen, 0xFFFFFFFF).to_bytes(4),
            0x9F1C: self.terminal_id.encode("ascii"),
            0x9F1E: self.serial_number.encode("ascii"),
            0x9F33: int(self.capabilities).to_bytes(3),
            0x9F35: bytes((self.terminal_type,)),
            0x9F40: self.additional_capabilities,
            0x9F4E: self.merchant_name.encode("gb18030"),
            0x5F2A: self.currency,
            0x5F36: bytes((self.currency_exponent,)),
            0x9F66: int(self.qualifiers).to_bytes(4),
            0x9F7B: bcd(self.electronic_cash_limit_fen),
            **({0x9F01: bytes.fromhex(self.acquirer.rjust(12, "0"))} if self.acquirer else {}),
        }


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is to be done.

    Attributes:
        amount_fen: 9F02, all that is to be paid, with ``other_fen``.
        now: date and time at the terminal's place (9A, 9F21).
        sequence: 9F41, transaction sequence counter, up to 8 digits.
        type: 9C.
        other_fen: 9F03, cashback.
    """

    amount_fen: int
    now: datetime
    sequence: int
    type: TransactionType = TransactionType.PURCHASE
    other_fen: int = 0

    def values(self) -> Mapping[int, bytes]:
        """Its data objects."""
        return {
            0x9F02: bcd(self.amount_fen),
            0x81: min(self.amount_fen, 0xFFFFFFFF).to_bytes(4),
            0x9F03: bcd(self.other_fen),
            0x9F04: min(self.other_fen, 0xFFFFFFFF).to_bytes(4),
            0x9A: bytes.fromhex(f"{self.now:%y%m%d}"),
            0x9F21: bytes.fromhex(f"{self.now:%H%M%S}"),
            0x9C: bytes((self.type,)),
            0x9F41: bytes.fromhex(f"{self.sequence:08}"),
        }


def bcd(amount_fen: int) -> bytes:
    """An amount as n 12, 6 bytes.

    Raises:
        ValueError: negative, or more than twelve digits.

    >>> bcd(1234).hex()
    '000000001234'
    """
    if not 0 <= amount_fen < 10**12:
        raise ValueError(f"no amount: {amount_fen}")
    return bytes.fromhex(f"{amount_fen:012}")


def fen(value: bytes) -> int | None:
    """An amount of format n, or None when there are other digits in it or none at all.

    >>> fen(bytes.fromhex("000000001234"))
    1234
    """
    digits = value.hex()
    return int(digits) if digits.isdigit() else None
