"""Processing restrictions: each says its bit of the TVR, and nothing else does."""

from __future__ import annotations

from datetime import date

import pytest

from cardreader.emv.bits import Tvr
from cardreader.emv.restrictions import check
from cardreader.emv.settings import TransactionType

CHINA, TODAY = b"\x01\x56", date(2026, 11, 22)
NOTHING = Tvr(0)
GOOD = {0x9F08: "0030", 0x5F24: "261122", 0x5F25: "261122", 0x5F28: "0156", 0x9F07: "FFC0"}


def checked(
    type: TransactionType = TransactionType.PURCHASE, *, cash_dispenser: bool = False, **changes: str | None
) -> Tvr:
    texts = {**GOOD, **{int(tag[1:], 16): value for tag, value in changes.items()}}
    objects = {tag: bytes.fromhex(value) for tag, value in texts.items() if value is not None}
    return check(objects, b"\x00\x30", CHINA, type, TODAY, cash_dispenser=cash_dispenser)


def test_a_good_card_and_one_that_says_nothing() -> None:
    assert checked() == checked(x9F08=None, x5F25=None, x5F28=None, x9F07=None) == NOTHING


@pytest.mark.parametrize(
    ("changes", "tvr"),
    [
        ({"x9F08": "0020"}, Tvr.DIFFERENT_VERSIONS),
        ({"x5F24": "261121"}, Tvr.EXPIRED),
        ({"x5F24": "990101"}, Tvr.EXPIRED),
        ({"x5F24": "AA0101"}, Tvr.EXPIRED),
        ({"x5F24": "270230"}, Tvr.EXPIRED),
        ({"x5F25": "261123"}, Tvr.NOT_YET_EFFECTIVE),
        ({"x5F25": "26"}, Tvr.NOT_YET_EFFECTIVE),
        ({"x9F07": ""}, Tvr.SERVICE_NOT_ALLOWED),
        ({"x9F07": "FE00"}, Tvr.SERVICE_NOT_ALLOWED),  # only at ATMs
        ({"x9F07": "D700"}, Tvr.SERVICE_NOT_ALLOWED),  # only abroad
        ({"x9F07": "2100"}, NOTHING),
        ({"x9F07": "0900"}, NOTHING),
        ({"x9F07": "2100", "x5F28": "0840"}, Tvr.SERVICE_NOT_ALLOWED),
        ({"x9F07": "1100", "x5F28": "0840"}, NOTHING),
    ],
)
def test_each_restriction(changes: dict[str, str], tvr: Tvr) -> None:
    assert checked(**changes) == tvr


@pytest.mark.parametrize(
    ("type", "control", "allowed"),
    [
        (TransactionType.CASH, "8100", True),
        (TransactionType.CASH, "7F00", False),
        (TransactionType.CASHBACK, "2180", True),
        (TransactionType.CASHBACK, "2140", False),
        (TransactionType.CASHBACK, "0180", False),
        (TransactionType.LOAD, "0100", True),
    ],
)
def test_what_a_card_may_be_used_for(type: TransactionType, control: str, allowed: bool) -> None:
    assert checked(type, x9F07=control) == (NOTHING if allowed else Tvr.SERVICE_NOT_ALLOWED)


def test_a_cash_dispenser() -> None:
    assert checked(TransactionType.CASH, cash_dispenser=True, x9F07="8200") == NOTHING
    assert checked(TransactionType.CASH, cash_dispenser=True, x9F07="8100") == Tvr.SERVICE_NOT_ALLOWED
