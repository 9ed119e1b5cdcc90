"""Processing restrictions: version, usage control, dates (EMV Book 3, 10.4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from cardreader.emv.bits import Auc, Tvr
from cardreader.emv.certificates import full_year
from cardreader.emv.settings import TransactionType

_NOTHING = Tvr(0)


def check(
    objects: Mapping[int, bytes],
    version: bytes,
    country: bytes,
    type: TransactionType,
    today: date,
    *,
    cash_dispenser: bool = False,
) -> Tvr:
    """What speaks against using the card here and now.

    Args:
        objects: the card's, by tag.
        version: the terminal's, 9F09.
        country: the terminal's, 9F1A.
        type: what is to be done.
        today: at the terminal's place.
        cash_dispenser: the terminal is an ATM.

    Returns:
        Bits of the TVR's byte 2. A date that is none counts as against the card.
    """
    tvr = _NOTHING
    if objects.get(0x9F08, version) != version:
        tvr |= Tvr.DIFFERENT_VERSIONS
    if not _usable(objects, country, type, cash_dispenser):
        tvr |= Tvr.SERVICE_NOT_ALLOWED
    effective = objects.get(0x5F25)
    if effective is not None and ((begin := _date(effective)) is None or begin > today):
        tvr |= Tvr.NOT_YET_EFFECTIVE
    end = _date(objects[0x5F24])
    if end is None or end < today:
        tvr |= Tvr.EXPIRED
    return tvr


def _usable(
    objects: Mapping[int, bytes], country: bytes, type: TransactionType, cash_dispenser: bool
) -> bool:
    control = objects.get(0x9F07)
    if control is None:
        return True
    auc = Auc(int.from_bytes(control[:2].ljust(2, b"\x00")))
    if not auc & (Auc.ATM if cash_dispenser else Auc.OTHER_THAN_ATM):
        return False
    issuer_country = objects.get(0x5F28)
    if issuer_country is None:
        return True
    domestic = issuer_country == country
    if type is TransactionType.CASH:
        return bool(auc & (Auc.DOMESTIC_CASH if domestic else Auc.INTERNATIONAL_CASH))
    if type is TransactionType.CASHBACK and not auc & (
        Auc.DOMESTIC_CASHBACK if domestic else Auc.INTERNATIONAL_CASHBACK
    ):
        return False
    if type in (TransactionType.PURCHASE, TransactionType.CASHBACK):
        allowed = (
            Auc.DOMESTIC_GOODS | Auc.DOMESTIC_SERVICES
            if domestic
            else Auc.INTERNATIONAL_GOODS | Auc.INTERNATIONAL_SERVICES
        )
        return bool(auc & allowed)
    return True


def _date(value: bytes) -> date | None:
    """YYMMDD in 3 bytes BCD, or None when it is no date."""
    digits = value.hex()
    if len(digits) != 6 or not digits.isdigit():
        return None
    try:
        return date(full_year(int(digits[:2])), int(digits[2:4]), int(digits[4:]))
    except ValueError:
        return None
