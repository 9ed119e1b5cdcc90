"""Electronic cash at the box: the real kernel and card, pulled at every command, and a TSP that answers or does not. ONL-7, ONL-13"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cardreader.emv.kernel import DebitCredit
from cardreader.errors import CardRemoved
from cardreader.secret import Pin
from cardreader.sim.reader import SimConnection
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.steps import CardAsked, CardPrompt, Finished
from tests.stb_app.journeys.bench import BOX, Bench
from tests.stb_app.journeys.test_online_payment import pulled_at as pulled_at

HELD_FEN, AMOUNT_FEN = 18650, 1500
COMMANDS = 23
"""Of a payment with electronic cash, the look for a purse among them, and the balance afterwards."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench("electronic-cash", tmp_path)
    bench.tsp.issuer_of = "electronic-cash"
    bench.answers["enter-pin"] = lambda: bench.journey.enter_pin(Pin("123456"))
    return bench


def held(bench: Bench) -> int:
    """What is on the card."""
    connection = bench.reader.wait_for_card(1, threading.Event())
    try:
        return DebitCredit(connection, BOX[0]()).electronic_cash().balance_fen or 0
    finally:
        connection.close()


def recover(bench: Bench, memory: Memory) -> list[object]:
    """What the background has to say of what the box remembers, after one look."""
    recovery = Recovery(bench.tsp, bench.reader, memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]
    told: list[object] = []
    rounds = iter(range(3))

    def pause(seconds: float, until: threading.Event) -> bool:
        if next(rounds, None) is None:
            recovery.cancel()
        return True

    bench.waits.pause = pause  # type: ignore[method-assign]
    recovery.run(told.append)
    return [step for step in told if not isinstance(step, CardAsked)]


def test_it_is_paid_without_a_pin_once_the_subscriber_agrees(bench: Bench) -> None:
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    asked = next(
        step for step in bench.steps if isinstance(step, CardPrompt) and step.prompt == "confirm-cash"
    )
    assert (asked.balance_fen, asked.amount_fen, asked.cancellable) == (HELD_FEN, AMOUNT_FEN, True)
    assert "enter-pin" not in bench.prompts()
    card = end.payment.card if end.payment is not None else None
    assert card is not None
    assert (card.balance_before_fen, card.balance_after_fen) == (HELD_FEN, HELD_FEN - AMOUNT_FEN)
    assert held(bench) == HELD_FEN - AMOUNT_FEN
    assert bench.memory.all() == ()


def test_nothing_leaves_the_card_before_the_subscriber_agrees(bench: Bench) -> None:
    bench.answers["confirm-cash"] = bench.journey.cancel
    end = bench.pay()
    assert (end.outcome, end.money) == ("cancelled", "not-taken")
    assert held(bench) == HELD_FEN
    assert "begin_cash" not in bench.tsp.calls


def test_a_card_that_has_not_enough_asks_its_issuer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(13):  # 13 times 15.00 yuan
        if held(bench) < AMOUNT_FEN:
            break
        again = Bench("electronic-cash")
        again.reader, again.journey._reader = bench.reader, bench.reader
        assert again.pay().outcome == "success"
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert "enter-pin" in bench.prompts()
    assert bench.tsp.with_pin
    assert held(bench) == HELD_FEN - 12 * AMOUNT_FEN


def test_a_terminal_that_cannot_check_the_card_asks_its_issuer(bench: Bench) -> None:
    """Without the CA's key nobody knows whether it is genuine: the PIN and its bank's word are wanted."""
    from dataclasses import replace

    bench.journey._terminal = lambda: replace(BOX[0](), ca_keys={})
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert "enter-pin" in bench.prompts()
    assert held(bench) == HELD_FEN


@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_a_certificate_is_sent_with_its_key_until_it_is_answered(bench: Bench, fault: str) -> None:
    bench.tsp.faults["certified"] = [fault, fault]
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert bench.tsp.calls.count("certified") == 3


def test_a_certificate_survives_a_power_cut(bench: Bench, tmp_path: Path) -> None:
    bench.tsp.faults["certified"] = ["lost"] * 99
    end = bench.pay()
    assert (end.outcome, end.money) == ("pending", "taken")
    bench.tsp.faults.clear()
    told = recover(bench, Memory(tmp_path))
    ends = [step for step in told if isinstance(step, Finished)]
    assert [(end.outcome, end.money) for end in ends] == [("success", "taken")]


def test_a_tsp_that_is_silent_before_the_card_pays_takes_nothing(bench: Bench) -> None:
    bench.tsp.faults["begin_cash"] = ["unanswered"]
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "card-removed")
    assert held(bench) == HELD_FEN


@pytest.mark.parametrize("at", range(1, COMMANDS + 1))
def test_it_is_pulled_at_any_command(bench: Bench, pulled_at: dict[str, int], at: int) -> None:
    """The card is put back: either nothing has left it and it pays, or that is told, or its certificate is here."""
    pulled_at["at"] = at
    end = bench.pay()
    if pulled_at["count"] < at:
        pytest.fail("there are fewer commands")
    pulled_at["at"] = 0
    if end.money == "taken":
        assert held(bench) == HELD_FEN - AMOUNT_FEN
    else:
        assert (end.outcome, end.money) == ("failed", "not-taken")
        assert held(bench) == HELD_FEN
    assert bench.tsp.payments == 1


def answer_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card has given its certificate, and is pulled before it is here."""
    really = SimConnection.transmit

    def transmit(self: SimConnection, apdu: bytes) -> tuple[bytes, int]:
        said = really(self, apdu)
        if apdu[1] == 0xAE:
            monkeypatch.setattr(SimConnection, "transmit", really)
            raise CardRemoved("pulled")
        return said

    monkeypatch.setattr(SimConnection, "transmit", transmit)


def test_a_certificate_that_is_lost_is_for_a_person(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_lost(monkeypatch)
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "certificate-lost")
    assert held(bench) == HELD_FEN - AMOUNT_FEN
    assert "settling" in bench.prompts()


def test_the_card_tells_whenever_it_is_put_in_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_lost(monkeypatch)
    bench.answers["put-back"] = bench.journey.cancel
    bench.tsp.faults["not_certified"] = ["lost"] * 20
    end = bench.pay()
    assert (end.outcome, end.money) == ("pending", "unknown")
    bench.tsp.faults.clear()
    memory = Memory(tmp_path)
    assert memory.waits_for_cash()
    recover(bench, memory)
    assert bench.tsp.current.reason == "certificate-lost"
    assert not memory.waits_for_cash()
