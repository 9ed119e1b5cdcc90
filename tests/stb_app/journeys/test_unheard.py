"""What is said of an earlier payment, and of money, while the payment service is silent or knows more than this box. ONL-3, ONL-7"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.settling import end_told
from stb_app.journeys.steps import CardWanted, Finished, Unheard
from stb_app.tsp.client import PAYING_S
from stb_app.tsp.model import CardStanding
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import BOX, FastWaits
from tests.stb_app.journeys.dummy_tsp import ORDER
from tests.stb_app.journeys.test_earlier import KIDS, OUT, Home

QUARTERLY = replace(ORDER, order="order-2", number="9999 9999", term="quarterly", amount_fen=3300)
GONE = Problem("not-found")


def _of_the_earlier_one(end: Finished) -> None:
    assert end.earlier
    assert end.payment is not None
    payment = end.payment
    assert (payment.payment, payment.order, payment.number) == ("pay-1", "order-1", "4C7F 20A1")
    assert (payment.term, payment.amount_fen, payment.method) == ("monthly", 1500, "card")
    assert payment.card is not None
    assert payment.card.number.endswith("2047")


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ({"payment": ["lost"] * 9, "debited": ["lost"] * 9}, "tsp-unreachable"),
        ({"payment": ["lost", GONE, GONE], "debited": [GONE]}, "not-found"),
    ],
)
def test_a_debit_that_the_silent_platform_is_told_is_that_of_the_earlier_payment(
    tmp_path: Path, faults: dict[str, list[Any]], reason: str
) -> None:
    home = Home(tmp_path)
    home.pulled()
    home.memory = Memory(tmp_path)  # switched off and on
    home.tsp.faults |= faults
    end = home.pay(QUARTERLY, put_back=home.insert)
    assert (end.outcome, end.money, end.reason) == ("pending", "taken", reason)
    _of_the_earlier_one(end)
    # What is shown can be followed: the platform's own word is newer.
    assert end.payment is not None
    assert end.payment.version < home.tsp.all["pay-1"].version


def test_leaving_while_the_platform_is_silent_tells_of_the_earlier_payment() -> None:
    home = Home()
    home.pulled()
    home.tsp.faults["payment"] = ["lost"] * 9
    end = home.pay(QUARTERLY, put_back="leave")  # type: ignore[arg-type]
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "card-away")
    _of_the_earlier_one(end)


def test_a_card_that_is_asked_for_while_the_platform_is_silent_is_named() -> None:
    home = Home()
    home.pulled()
    home.tsp.faults["payment"] = ["lost"] * 9
    home.pay(QUARTERLY, put_back="leave")  # type: ignore[arg-type]
    (asked,) = (step for step in home.steps if step.prompt == "put-back")
    assert asked.number.endswith("2047")
    assert asked.amount_fen == 1500


def test_before_the_platform_was_asked_nobody_says_that_nothing_was_taken() -> None:
    home = Home()
    home.tsp.faults["debited"] = ["lost"] * 9
    assert home.pay().money == "taken"
    home.tsp.faults["debited"] = ["lost"] * 9
    end = home.pay(QUARTERLY)
    assert home.prompts[:2] == ["starting", "reconnecting"]
    assert all(step.earlier for step in home.steps)
    assert (end.outcome, end.money) == ("pending", "taken")
    _of_the_earlier_one(end)


def test_a_payment_that_cannot_begin_says_how_the_earlier_one_stands() -> None:
    home = Home()
    home.pulled(when="before-debit")
    home.insert()
    home.tsp.faults["not_debited"] = [OUT]
    end = home.pay(QUARTERLY)
    assert (end.outcome, end.money, end.earlier) == ("pending", "unknown", True)
    assert end.payment is not None
    assert end.payment.payment == "pay-1"


# Two cards, two payments


def test_a_card_that_has_explained_its_own_payment_is_not_the_one_that_is_wanted() -> None:
    home = Home()
    home.pulled()
    (wanted,) = home.memory.all()
    # Another card was used for it; the one at hand has a payment of its own to explain.
    home.memory.forget(wanted.payment)
    home.pulled(KIDS)
    home.memory.keep(replace(wanted, card="of another card", card_number="6217 00** **** **** 1111"))
    home.insert()
    end = home.pay(QUARTERLY, other_card="leave")  # type: ignore[arg-type]
    assert "enter-pin" not in home.prompts
    assert home.prompts[-1] == "other-card"
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "card-away")
    assert home.tsp.all["pay-2"].state == "done"


# Another television of the household


@pytest.mark.parametrize("verb", ["pay", "present_card"])
@pytest.mark.parametrize(
    ("code", "money", "reason"),
    [
        ("payment-in-progress", "unknown", "paying-elsewhere"),
        ("already-paid", "taken", "paid-elsewhere"),
    ],
)
def test_what_another_television_may_have_taken_is_not_called_untouched(
    verb: str, code: str, money: Any, reason: str
) -> None:
    home = Home()
    home.tsp.faults[verb] = [Problem(code, money=money)]
    end = home.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", money, reason)
    assert end.payment is None


def test_a_payment_closed_by_another_television_says_so() -> None:
    home = Home()

    def elsewhere() -> None:
        home.tsp.become("pay-1", state="cancelled", reason="paying-elsewhere")

    home.tsp.faults["present_card"] = [Problem("wrong-state")]
    end = home.pay(processing=elsewhere)
    assert (end.outcome, end.money, end.reason) == ("cancelled", "not-taken", "paying-elsewhere")


def test_a_card_that_has_to_tell_another_television_first_is_sent_there() -> None:
    home = Home()
    refusal = CardStanding(None, False, "card-unsettled")
    home.tsp.inquire = lambda *_: refusal  # type: ignore[method-assign]
    end = home.pay(unsettled="leave")  # type: ignore[arg-type]
    assert home.prompts[-1] == "unsettled"
    assert (end.outcome, end.money) == ("cancelled", "not-taken")


# The platform falls silent during the debit


class Slow:
    """A platform that lets every request run into its time-out, once it hangs."""

    def __init__(self, home: Home, seconds: float) -> None:
        for verb in ("init", "not_debited", "debited"):
            honest = getattr(home.tsp, verb)

            def hang(*arguments: Any, honest: Any = honest, verb: str = verb) -> Any:
                if home.tsp.faults.get(verb):
                    home.waits.at += seconds
                return honest(*arguments)

            setattr(home.tsp, verb, hang)


@pytest.mark.parametrize(
    ("verbs", "prompt", "money"),
    [
        (("init", "not_debited"), "silent", "unknown"),
        (("debited",), "silent-paid", "taken"),
    ],
)
def test_silence_during_the_debit_is_said_at_once_and_not_waited_out_for_minutes(
    verbs: tuple[str, ...], prompt: str, money: str
) -> None:
    home = Home()
    Slow(home, PAYING_S)
    home.tsp.faults |= {verb: ["lost"] * 99 for verb in verbs}
    said: list[float] = []
    end = home.pay(**{prompt.replace("-", "_"): lambda: said.append(home.waits.at)})
    assert said[0] <= 10
    assert home.waits.at <= 40
    assert (end.outcome, end.money, end.reason) == ("pending", money, "tsp-unreachable")
    assert home.memory.all() != ()


@pytest.mark.parametrize("verb", ["not_debited", "debited"])
def test_who_leaves_while_the_platform_is_silent_need_not_wait(verb: str) -> None:
    home = Home()
    home.tsp.faults = {verb: ["lost"] * 99, "init": ["unanswered"] if verb == "not_debited" else []}
    end = home.pay(silent="leave", silent_paid="leave")  # type: ignore[arg-type]
    assert home.tsp.calls.count(verb) == 1
    assert end.outcome == "pending"
    # The background goes on.
    home.tsp.faults = {}
    assert [step.outcome for step in home.recover() if isinstance(step, Finished)] == [
        "failed" if verb == "not_debited" else "success"
    ]


# The television is switched on again while the platform is away


def test_a_proof_on_the_disk_is_told_until_the_platform_has_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.tsp.faults["debited"] = ["lost"] * 99
    assert home.pay().money == "taken"
    home.memory = Memory(tmp_path)  # switched off and on
    (record,) = home.memory.proven()
    assert (record.service_name, record.amount_fen) == (dict(ORDER.service.name), 1500)
    assert home.recover() == [Unheard((record,))]
    home.tsp.faults["debited"] = ["lost"]
    told = home.recover(3)
    assert told[:2] == [Unheard((record,)), Unheard(())]
    assert [step.outcome for step in told[2:]] == ["success"]


@pytest.mark.parametrize("proven", [True, False])
def test_a_payment_is_told_of_while_the_platform_turns_this_box_away(tmp_path: Path, proven: bool) -> None:
    """The box was registered elsewhere in the middle of it: nobody tells this one anything any more."""
    home = Home(tmp_path)
    away = [Problem("key-replaced")] * 99
    home.tsp.faults |= {"debited": list(away), "payment": list(away)}
    if proven:
        assert home.pay().money == "taken"
    else:
        home.pulled()
    home.memory = Memory(tmp_path)  # switched off and on
    (record,) = home.memory.all()
    assert (record.tac is not None) == proven
    assert Unheard((record,)) in home.recover()
    home.tsp.faults = {}
    assert home.recover(2)[-1] != Unheard((record,))


def test_a_payment_without_a_proof_is_told_of_until_the_platform_answers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.pulled()
    home.memory = Memory(tmp_path)
    home.tsp.faults["payment"] = ["lost"]
    (record,) = home.memory.all()
    assert home.recover() == [CardWanted((record,)), Unheard((record,)), Unheard(())]
    # A page that tells of it itself needs no line below it.
    home.memory.look_at("pay-1")
    home.tsp.faults["payment"] = ["lost"] * 9
    assert home.recover() == []


def test_a_record_of_before_the_name_was_kept_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.pulled()
    (path,) = tmp_path.glob("*.json")
    old = json.loads(path.read_bytes())
    del old["service_name"]
    path.write_text(json.dumps(old))
    (record,) = Memory(tmp_path).all()
    assert record.service_name == {}


# The money was taken, and BOSS takes its time


@pytest.mark.parametrize(
    ("state", "reason", "outcome"),
    [("done", None, "success"), ("paid", "service-not-opened", "pending"), ("late", None, "late")],
)
def test_a_service_that_was_being_switched_on_is_told_of_until_it_is_or_will_not_be(
    tmp_path: Path, state: str, reason: str | None, outcome: str
) -> None:
    home = Home(tmp_path)
    home.tsp.opens = False
    home.tsp.faults["debited"] = ["lost"] * 7
    home.pay()
    home.tsp.faults.clear()
    pauses: list[float] = []
    told: list[Any] = []

    def pause(seconds: float, until: threading.Event) -> bool:
        pauses.append(seconds)
        if len(pauses) == 6:
            home.tsp.become("pay-1", state=state, reason=reason)
        if len(pauses) == 9:
            recovery.cancel()
        return until.is_set()

    waits: Any = FastWaits()
    waits.pause = pause
    client: Any = home.tsp
    recovery = Recovery(client, home.reader, home.memory, waits, home.alone, *BOX)
    recovery.run(told.append)
    ends = [(end.outcome, end.reason) for end in told if isinstance(end, Finished)]
    assert ends == [("pending", None), (outcome, reason)]
    # Asked at once after the first word, then less and less often; after the last word not any more.
    assert pauses == [2, 2, 4, 8, 10, 10, 2, 2, 2]
    assert list(tmp_path.glob("*.json")) == []


def test_what_a_result_has_told_of_such_a_payment_is_not_the_last_that_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.tsp.opens = False
    home.tsp.faults["payment"] = ["lost"]  # BOSS is not waited for
    end = home.pay()
    assert end.payment is not None
    end_told(home.memory, end.payment)
    home.memory.look_away("pay-1")
    told = home.recover(3, lambda: home.tsp.become("pay-1", state="done"))
    assert [step.outcome for step in told if isinstance(step, Finished)] == ["pending", "success"]
    assert list(tmp_path.glob("*.json")) == []
