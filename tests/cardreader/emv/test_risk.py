"""Terminal risk management and action analysis: limits at their edges."""

from __future__ import annotations

import pytest

from cardreader.emv import actions, risk
from cardreader.emv.bits import Ac, Tvr
from tests.cardreader.emv.bench import settings

LIMITS = {0x9F14: b"\x02", 0x9F23: b"\x05"}
OFFLINE = {"floor_limit_fen": 10_000}


def never(tag: int) -> bytes | None:
    raise AssertionError(f"{tag:X} was asked for")


def counters(atc: int | None, last_online: int | None):
    values = {0x9F36: atc, 0x9F13: last_online}

    def get_data(tag: int) -> bytes | None:
        value = values[tag]
        return None if value is None else value.to_bytes(2)

    return get_data


@pytest.mark.parametrize(("amount_fen", "tvr"), [(9_999, Tvr(0)), (10_000, Tvr.FLOOR_LIMIT_EXCEEDED)])
def test_the_floor_limit(amount_fen: int, tvr: Tvr) -> None:
    assert risk.check(amount_fen, settings(**OFFLINE), {}, never, lambda: 1) == tvr


@pytest.mark.parametrize(
    ("amount_fen", "drawn", "selected"),
    [
        (999, 10, True),
        (999, 11, False),
        (1_000, 10, True),
        (5_500, 30, True),
        (5_500, 31, False),
        (9_999, 50, True),
        (9_999, 51, False),
    ],
)
def test_random_selection_rises_to_the_floor_limit(amount_fen: int, drawn: int, selected: bool) -> None:
    terminal = settings(**OFFLINE, random_threshold_fen=1_000, random_target=10, random_maximum=50)
    tvr = risk.check(amount_fen, terminal, {}, never, lambda: drawn)
    assert (tvr == Tvr.SELECTED_RANDOMLY) == selected


@pytest.mark.parametrize(
    ("atc", "last_online", "tvr"),
    [
        (12, 10, Tvr(0)),
        (13, 10, Tvr.LOWER_LIMIT_EXCEEDED),
        (15, 10, Tvr.LOWER_LIMIT_EXCEEDED),
        (16, 10, Tvr.LOWER_LIMIT_EXCEEDED | Tvr.UPPER_LIMIT_EXCEEDED),
        (1, 0, Tvr.NEW_CARD),
        (10, 10, Tvr.LOWER_LIMIT_EXCEEDED | Tvr.UPPER_LIMIT_EXCEEDED),
        (None, 10, Tvr.LOWER_LIMIT_EXCEEDED | Tvr.UPPER_LIMIT_EXCEEDED),
        (12, None, Tvr.LOWER_LIMIT_EXCEEDED | Tvr.UPPER_LIMIT_EXCEEDED),
    ],
)
def test_velocity(atc: int | None, last_online: int | None, tvr: Tvr) -> None:
    assert risk.check(1, settings(**OFFLINE), LIMITS, counters(atc, last_online), lambda: 99) == tvr


def test_a_terminal_that_is_always_online_asks_for_no_counters() -> None:
    terminal = settings(terminal_type=0x24)
    assert risk.check(1, terminal, LIMITS, never, lambda: 99) == Tvr.FLOOR_LIMIT_EXCEEDED


ONLINE_PIN = Tvr.ONLINE_PIN_ENTERED
IAC = {0x9F0E: "0010000000", 0x9F0F: "0000040000", 0x9F0D: "0000000000"}


def objects(**changes: str) -> dict[int, bytes]:
    return {tag: bytes.fromhex(value) for tag, value in IAC.items()} | {
        int(tag[1:], 16): bytes.fromhex(value) for tag, value in changes.items()
    }


@pytest.mark.parametrize(
    ("tvr", "type", "first", "unable"),
    [
        (Tvr(0), 0x25, Ac.TC, Ac.TC),
        (Tvr(0), 0x24, Ac.ARQC, Ac.AAC),
        (ONLINE_PIN, 0x25, Ac.ARQC, Ac.TC),
        (Tvr.FLOOR_LIMIT_EXCEEDED, 0x25, Ac.ARQC, Ac.AAC),
        (Tvr.SERVICE_NOT_ALLOWED | ONLINE_PIN, 0x25, Ac.AAC, Ac.TC),
        (ONLINE_PIN, 0x26, Ac.TC, Ac.TC),
        (Tvr.FLOOR_LIMIT_EXCEEDED, 0x26, Ac.AAC, Ac.AAC),
    ],
)
def test_action_analysis(tvr: Tvr, type: int, first: Ac, unable: Ac) -> None:
    terminal = settings(terminal_type=type)
    assert actions.first(tvr, objects(), terminal) is first
    assert actions.unable_to_go_online(tvr, objects(), terminal) is unable


def test_a_card_without_action_codes_goes_online_for_anything_and_is_never_denied() -> None:
    assert actions.first(Tvr.NEW_CARD, {}, settings()) is Ac.ARQC
    assert actions.first(Tvr(0), {}, settings()) is Ac.TC
    assert actions.unable_to_go_online(Tvr.NEW_CARD, {}, settings()) is Ac.AAC
