"""Named bits of EMV's bit fields (EMV Book 3, annex C; Book 4, annex A; UnionPay's CVR and TTQ: JR/T 0025).

Each field is one number, its first byte highest; ``to_bytes(n)`` gives the value of the tag.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Ac(IntEnum):
    """Type of an application cryptogram: bits 8 and 7 of the CID and of GENERATE AC's P1 (Book 3, tables 12 and 14)."""

    AAC = 0x00
    TC = 0x40
    ARQC = 0x80


class Aip(IntFlag):
    """Application Interchange Profile, 82, 2 bytes."""

    SDA = 0x4000
    DDA = 0x2000
    CARDHOLDER_VERIFICATION = 0x1000
    TERMINAL_RISK_MANAGEMENT = 0x0800
    ISSUER_AUTHENTICATION = 0x0400
    CDA = 0x0100


class Auc(IntFlag):
    """Application Usage Control, 9F07, 2 bytes."""

    DOMESTIC_CASH = 0x8000
    INTERNATIONAL_CASH = 0x4000
    DOMESTIC_GOODS = 0x2000
    INTERNATIONAL_GOODS = 0x1000
    DOMESTIC_SERVICES = 0x0800
    INTERNATIONAL_SERVICES = 0x0400
    ATM = 0x0200
    OTHER_THAN_ATM = 0x0100
    DOMESTIC_CASHBACK = 0x0080
    INTERNATIONAL_CASHBACK = 0x0040


class Tvr(IntFlag):
    """Terminal Verification Results, 95, 5 bytes."""

    OFFLINE_DATA_AUTHENTICATION_NOT_PERFORMED = 0x80_00000000
    SDA_FAILED = 0x40_00000000
    ICC_DATA_MISSING = 0x20_00000000
    ON_EXCEPTION_FILE = 0x10_00000000
    DDA_FAILED = 0x08_00000000
    CDA_FAILED = 0x04_00000000
    SDA_SELECTED = 0x02_00000000
    DIFFERENT_VERSIONS = 0x80_000000
    EXPIRED = 0x40_000000
    NOT_YET_EFFECTIVE = 0x20_000000
    SERVICE_NOT_ALLOWED = 0x10_000000
    NEW_CARD = 0x08_000000
    CVM_FAILED = 0x80_0000
    UNRECOGNISED_CVM = 0x40_0000
    PIN_TRY_LIMIT_EXCEEDED = 0x20_0000
    PIN_PAD_ABSENT = 0x10_0000
    PIN_NOT_ENTERED = 0x08_0000
    ONLINE_PIN_ENTERED = 0x04_0000
    FLOOR_LIMIT_EXCEEDED = 0x80_00
    LOWER_LIMIT_EXCEEDED = 0x40_00
    UPPER_LIMIT_EXCEEDED = 0x20_00
    SELECTED_RANDOMLY = 0x10_00
    MERCHANT_FORCED_ONLINE = 0x08_00
    DEFAULT_TDOL = 0x80
    ISSUER_AUTHENTICATION_FAILED = 0x40
    SCRIPT_FAILED_BEFORE = 0x20
    SCRIPT_FAILED_AFTER = 0x10


class Tsi(IntFlag):
    """Transaction Status Information, 9B, 2 bytes."""

    OFFLINE_DATA_AUTHENTICATION = 0x8000
    CARDHOLDER_VERIFICATION = 0x4000
    CARD_RISK_MANAGEMENT = 0x2000
    ISSUER_AUTHENTICATION = 0x1000
    TERMINAL_RISK_MANAGEMENT = 0x0800
    SCRIPT_PROCESSING = 0x0400


class TerminalCapabilities(IntFlag):
    """Terminal Capabilities, 9F33, 3 bytes."""

    MANUAL_KEY_ENTRY = 0x80_0000
    MAGNETIC_STRIPE = 0x40_0000
    CONTACTS = 0x20_0000
    PLAINTEXT_PIN = 0x80_00
    ONLINE_PIN = 0x40_00
    SIGNATURE = 0x20_00
    ENCIPHERED_PIN = 0x10_00
    NO_CVM = 0x08_00
    SDA = 0x80
    DDA = 0x40
    CARD_CAPTURE = 0x20
    CDA = 0x08


class Ttq(IntFlag):
    """Terminal Transaction Qualifiers, 9F66, 4 bytes (UnionPay)."""

    CONTACTLESS_DEBIT_CREDIT = 0x40_000000
    QPBOC = 0x20_000000
    CONTACT = 0x10_000000
    OFFLINE_ONLY = 0x08_000000
    ONLINE_PIN = 0x04_000000
    SIGNATURE = 0x02_000000
    ONLINE_CRYPTOGRAM_REQUIRED = 0x80_0000
    CVM_REQUIRED = 0x40_0000


class Cvr(IntFlag):
    """Card Verification Results: bytes 2 to 4 of the field in UnionPay's 9F10, 3 bytes (byte 1 is their length, 03).

    The two types of cryptogram are numbers rather than flags: see `cryptograms`.
    """

    SECOND_NOT_REQUESTED = 0x80_0000
    SECOND_TC = 0x40_0000
    FIRST_ARQC = 0x20_0000
    FIRST_TC = 0x10_0000
    ISSUER_AUTHENTICATION_FAILED = 0x08_0000
    OFFLINE_PIN_PERFORMED = 0x04_0000
    OFFLINE_PIN_FAILED = 0x02_0000
    UNABLE_TO_GO_ONLINE = 0x01_0000
    LAST_ONLINE_NOT_COMPLETED = 0x80_00
    PIN_TRY_LIMIT_EXCEEDED = 0x40_00
    VELOCITY_EXCEEDED = 0x20_00
    NEW_CARD = 0x10_00
    LAST_ISSUER_AUTHENTICATION_FAILED = 0x08_00
    ISSUER_AUTHENTICATION_NOT_PERFORMED = 0x04_00
    BLOCKED_BY_PIN_TRIES = 0x02_00
    LAST_SDA_FAILED = 0x01_00
    SCRIPT_COUNT = 0xF0
    SCRIPT_FAILED = 0x08
    LAST_DDA_FAILED = 0x04
    DDA_PERFORMED = 0x02

    @property
    def cryptograms(self) -> tuple[Ac, Ac | None]:
        """What the first and the second GENERATE AC gave; None when there was no second one.

        Raises:
            ValueError: a value that the standard leaves open.

        >>> Cvr(0xA02000).cryptograms
        (<Ac.ARQC: 128>, None)
        """
        kinds = {0: Ac.AAC, 1: Ac.TC, 2: Ac.ARQC}
        first, second = self >> 20 & 3, self >> 22 & 3
        if first not in kinds or second == 3:
            raise ValueError(f"no cryptograms: {self:06X}")
        return kinds[first], None if second == 2 else kinds[second]


_ABBREVIATED = {
    word.upper(): word
    for word in ("ARQC", "ATM", "CDA", "CVM", "DDA", "ICC", "PIN", "qPBOC", "SDA", "TC", "TDOL")
}


def names(field: IntFlag) -> tuple[str, ...]:
    """The names of the bits that are set, highest first, for people.

    >>> names(Tvr.FLOOR_LIMIT_EXCEEDED | Tvr.ONLINE_PIN_ENTERED)
    ('online PIN entered', 'floor limit exceeded')
    """
    return tuple(said(str(bit.name)) for bit in field)


def said(name: str) -> str:
    """A bit's name for people, with what the standards abbreviate as they write it.

    >>> said("LAST_SDA_FAILED")
    'last SDA failed'
    """
    return " ".join(_ABBREVIATED.get(word, word.lower()) for word in name.split("_"))
