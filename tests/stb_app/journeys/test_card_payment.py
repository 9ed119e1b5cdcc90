"""A purse payment as a journey: every way it can end, with a real card and PSAM simulator. ONL-3, ONL-5 to ONL-7, ONL-13"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stb_app.journeys.card_payment import CardPayment
from stb_app.journeys.following import Follow
from stb_app.journeys.recovery import DECIDED_S, Recovery
from stb_app.journeys.steps import CardAsked, CardPrompt, CardWanted, Finished, finished
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import BOX, PIN, Bench
from tests.stb_app.journeys.dummy_tsp import ORDER


def test_a_good_card_pays_and_the_result_has_both_balances() -> None:
    bench = Bench("good")
    end = bench.pay()
    assert (end.outcome, end.money, end.money_taken) == ("success", "taken", True)
    assert end.payment is not None
    assert end.payment.card is not None
    assert end.payment.card.balance_before_fen == 23640
    assert end.payment.card.balance_after_fen == bench.balance() == 22140
    assert end.payment.card.number.startswith("6217 00")
    assert "*" in end.payment.card.number
    assert bench.prompts() == [
        "starting", "reading", "enter-pin", "reading", "processing", "processing", "remove",
    ]  # fmt: skip
    assert bench.memory.all() == ()


@pytest.mark.parametrize(
    ("profile", "prompt"),
    [
        ("little-money", "balance-too-low"),
        ("foreign-issuer", "issuer-unknown"),
        ("expired", "expired"),
        ("blocked", "blocked"),
        ("pin-blocked", "pin-blocked"),
        ("no-purse", "no-purse"),
    ],
)
def test_a_card_that_cannot_pay_is_named_and_another_one_may_pay(profile: str, prompt: str) -> None:
    bench = Bench(profile)

    def another() -> None:
        bench.reader.pull()
        bench.answers.pop(prompt)
        bench.reader.insert("good")

    bench.answers[prompt] = another
    assert bench.pay().outcome == "success"
    assert prompt in bench.prompts()


def test_too_little_balance_says_both_amounts() -> None:
    bench = Bench("little-money")
    bench.answers["balance-too-low"] = bench.journey.cancel
    end = bench.pay()
    said = next(
        step for step in bench.steps if isinstance(step, CardPrompt) and step.prompt == "balance-too-low"
    )
    assert (said.balance_fen, said.amount_fen) == (320, 1500)
    assert (end.outcome, end.money) == ("cancelled", "not-taken")
    assert "init" not in bench.tsp.calls


def test_wrong_pin_counts_down_and_the_right_one_still_pays() -> None:
    bench = Bench("good")
    bench.answers["enter-pin"] = lambda: bench.journey.enter_pin("000000")
    bench.answers["wrong-pin"] = lambda: bench.journey.enter_pin(PIN)
    assert bench.pay().outcome == "success"
    assert [s.tries_left for s in bench.steps if isinstance(s, CardPrompt) and s.prompt == "wrong-pin"] == [2]


def test_three_wrong_pins_block_the_card_and_nothing_is_taken() -> None:
    bench = Bench("good")
    bench.answers["enter-pin"] = bench.answers["wrong-pin"] = lambda: bench.journey.enter_pin("000000")
    bench.answers["pin-blocked"] = bench.journey.cancel
    end = bench.pay()
    assert (end.outcome, end.money_taken) == ("cancelled", False)
    assert bench.prompts()[-1] == "pin-blocked"


def test_an_empty_slot_is_waited_for_and_cancelling_takes_nothing() -> None:
    bench = Bench("")
    bench.answers["insert"] = bench.journey.cancel
    end = bench.pay()
    assert (end.outcome, end.money) == ("cancelled", "not-taken")
    assert bench.tsp.current.state == "cancelled"


def test_a_card_pulled_while_the_pin_is_asked_for_can_be_put_back() -> None:
    bench = Bench("good")
    bench.answers["enter-pin"] = lambda: (
        bench.reader.pull(),
        bench.answers.update({"enter-pin": lambda: bench.journey.enter_pin(PIN)}),
    )
    bench.answers["removed-early"] = lambda: bench.reader.insert("good")
    assert bench.pay().outcome == "success"


def test_a_card_swapped_for_another_while_the_pin_is_asked_for_is_noticed_before_a_pin_is_entered() -> None:
    bench = Bench("little-money")
    bench.reader.insert("good")
    numbers: list[str] = []

    def swap() -> None:
        numbers.append(next(s.number for s in reversed(bench.steps) if isinstance(s, CardPrompt)))
        if len(numbers) == 1:
            bench.reader.pull()
            bench.reader.insert("good")
        else:
            bench.journey.enter_pin(PIN)

    bench.answers["enter-pin"] = swap
    assert bench.pay().outcome == "success"
    assert len(numbers) == 2, "the PIN is asked for anew"


@pytest.mark.parametrize(
    ("when", "outcome", "money", "balance"),
    [("before-debit", "failed", "not-taken", 23640), ("after-debit", "success", "taken", 22140)],
)
def test_a_card_pulled_around_the_debit_tells_the_truth_when_it_is_back(
    when: str, outcome: str, money: str, balance: int
) -> None:
    """GET TRANSACTION PROVE; cards.md A4."""
    bench = Bench("good")
    bench.reader.pull_when = when  # type: ignore[assignment]
    bench.answers["put-back"] = lambda: bench.reader.insert("good")
    end = bench.pay()
    assert (end.outcome, end.money) == (outcome, money)
    assert bench.balance() == balance
    assert bench.memory.all() == ()


def test_another_card_is_not_asked_about_this_payment() -> None:
    bench = Bench("good")
    bench.reader.pull_when = "after-debit"
    bench.answers["put-back"] = lambda: bench.reader.insert("little-money")
    bench.answers["other-card"] = lambda: (
        bench.reader.pull(),
        bench.answers.update({"put-back": lambda: bench.reader.insert("good")}),
        bench.reader.insert("good"),
    )
    end = bench.pay()
    assert end.outcome == "success"
    assert "other-card" in bench.prompts()
    assert end.payment is not None
    assert end.payment.card is not None
    prompts = [step for step in bench.steps if isinstance(step, CardPrompt)]
    named = {step.number for step in prompts if step.prompt in ("put-back", "other-card")}
    assert named == {end.payment.card.number}


def test_a_card_that_never_comes_back_leaves_the_money_unknown_and_the_next_time_it_tells(
    tmp_path: Path,
) -> None:
    bench = Bench("good", tmp_path)
    bench.reader.pull_when = "after-debit"
    bench.answers["put-back"] = bench.journey.cancel
    end = bench.pay()
    assert (end.outcome, end.money, end.money_taken, end.reason) == ("pending", "unknown", None, "card-away")
    assert len(bench.memory.all()) == 1

    # Another day, the television was switched off in between; the card is put in for something else.
    again = Bench("good", tmp_path)
    again.reader, again.tsp = bench.reader, bench.tsp
    again.tsp.faults.clear()
    again.journey = CardPayment(
        again.tsp,
        again.reader,
        again.memory,
        again.waits,
        iter(f"k{i}" for i in range(99)).__next__,
        ORDER,
        lambda: datetime(2026, 11, 22, tzinfo=UTC),
        threading.Lock(),
    )  # type: ignore[arg-type]
    again.reader.insert("good")
    first = bench.tsp.current
    assert first.state == "unknown"
    end = again.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert "settling" in again.prompts()
    assert "enter-pin" not in again.prompts(), "the same service is not paid a second time"
    assert again.balance() == 22140
    assert again.memory.all() == ()


@pytest.mark.parametrize("late", [False, True])
def test_cancelling_counts_until_mac1_is_asked_for(late: bool) -> None:
    """The server takes its time with the card: nothing can have been debited before it is asked for MAC1."""
    bench = Bench("good")
    honest, said = bench.tsp.present_card, list[bool]()

    def slow(*arguments: object) -> object:
        said.extend(step.cancellable for step in bench.steps[-1:] if isinstance(step, CardPrompt))
        answer = honest(*arguments)  # type: ignore[arg-type]
        if not late:
            bench.journey.cancel()
        return answer

    init = bench.tsp.init

    def from_here_on(*arguments: object) -> object:
        said.extend(step.cancellable for step in bench.steps[-1:] if isinstance(step, CardPrompt))
        bench.journey.cancel()
        return init(*arguments)  # type: ignore[arg-type]

    bench.tsp.present_card = slow  # type: ignore[method-assign,assignment]
    bench.tsp.init = from_here_on  # type: ignore[method-assign,assignment]
    end = bench.pay()
    if late:
        assert (end.outcome, end.money, said) == ("success", "taken", [True, False])
    else:
        assert (end.outcome, end.money, said) == ("cancelled", "not-taken", [True])
        assert bench.tsp.current.state == "cancelled"
        assert bench.memory.all() == ()


def test_what_is_said_last_before_mac1_is_that_nothing_can_be_cancelled_and_then_a_wish_still_counts() -> (
    None
):
    bench = Bench("good")

    def wish() -> None:
        step = bench.steps[-1]
        if isinstance(step, CardPrompt) and not step.cancellable:
            bench.journey.cancel()

    bench.answers["processing"] = wish
    end = bench.pay()
    assert (end.outcome, end.money) == ("cancelled", "not-taken")
    assert "init" not in bench.tsp.calls
    assert bench.memory.all() == ()


def test_mac1_refused_by_the_card_takes_nothing() -> None:
    bench = Bench("good")
    honest = bench.tsp.init

    def wrong_mac1(payment: str, init: dict[str, object], key: str) -> object:
        from dataclasses import replace

        return replace(honest(payment, init, key), mac1=b"\0\0\0\0")

    bench.tsp.init = wrong_mac1  # type: ignore[method-assign,assignment]
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "mac1-refused")
    assert bench.balance() == 23640


def test_no_psam_free_is_waited_for_and_then_said() -> None:
    bench = Bench("good")
    bench.tsp.faults["present_card"] = [Problem("psam-none-free", retryable=True)] * 2
    assert bench.pay().outcome == "success"
    assert "waiting-psam" in bench.prompts()
    bench = Bench("good")
    bench.tsp.faults["present_card"] = [Problem("psam-none-free", retryable=True)] * 20
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "psam-none-free")
    # The records say what the result said.
    told = bench.tsp.payment("pay-1")
    assert (told.state, finished(told).outcome, told.reason) == ("cancelled", "failed", "psam-none-free")


def test_a_psam_that_refuses_mac2_is_a_case_not_a_failure() -> None:
    bench = Bench("good")
    bench.tsp.faults["debited"] = [Problem("mac2-refused", money="unknown")]
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "mac2-refused")


def test_paid_but_not_opened_is_pending_with_money_taken() -> None:
    bench = Bench("good")
    bench.tsp.opens = False
    bench.tsp.faults["payment"] = ["lost"]
    end = bench.pay()
    assert (end.outcome, end.money) == ("pending", "taken")


def test_that_the_card_has_paid_is_said_before_boss_is_waited_for() -> None:
    bench = Bench("good")
    bench.tsp.opens = False
    bench.tsp.faults["payment"] = ["lost"]
    asked_at_remove: list[int] = []

    def remove() -> None:
        asked_at_remove.append(bench.tsp.calls.count("payment"))
        bench.journey.go_on()

    bench.answers["remove"] = remove
    bench.pay()
    assert asked_at_remove == [0]


@pytest.mark.parametrize("card_in", [True, False])
def test_a_card_that_was_put_back_while_its_result_was_looked_at_is_not_forgotten(card_in: bool) -> None:
    bench = Bench("good")
    bench.tsp.opens = False
    bench.tsp.faults["payment"] = ["lost"]
    end = bench.pay()
    assert end.payment is not None
    if not card_in:
        bench.reader.pull()
    bench.tsp.become(state="done")
    seen: list[Finished] = []
    Follow(bench.tsp, bench.waits, end.payment, 60, bench.reader).run(seen.append)  # type: ignore[arg-type]
    assert [(step.outcome, step.card_in_slot) for step in seen] == [("success", card_in)]


def test_a_fault_of_the_platform_is_not_called_a_queue() -> None:
    bench = Bench("good")
    bench.tsp.faults["present_card"] = [Problem("internal", money="unknown", retryable=True)] * 20
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "internal")
    assert "waiting-psam" not in bench.prompts()


def test_a_refused_proof_never_says_that_nothing_was_taken() -> None:
    bench = Bench("good")
    bench.tsp.faults["debited"] = [Problem("idempotency-key-reused")]
    end = bench.pay()
    assert (end.outcome, end.money) == ("pending", "unknown")


def test_the_same_card_in_the_slot_settles_by_itself(tmp_path: Path) -> None:
    bench = Bench("good", tmp_path)
    bench.reader.pull_when = "after-debit"
    bench.answers["put-back"] = bench.journey.cancel
    assert bench.pay().reason == "card-away"
    told: list[object] = []
    asked: list[CardAsked] = []
    wanted = CardWanted(bench.memory.all())
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]

    def listen(step: object) -> None:
        if isinstance(step, CardAsked):
            asked.append(step)
            return
        told.append(step)
        if step == wanted:
            bench.reader.insert("good")
        elif isinstance(step, Finished):
            recovery.cancel()

    recovery.run(listen)
    assert told[:2] == [wanted, CardWanted(())]
    assert isinstance(told[2], Finished)
    assert (told[2].outcome, told[2].money) == ("success", "taken")
    assert bench.memory.all() == ()
    assert [step.state for step in asked] == ["asking", "told"]


@pytest.mark.parametrize("looked", [False, True])
def test_what_a_person_has_decided_meanwhile_is_heard_without_the_card(tmp_path: Path, looked: bool) -> None:
    """``looked``: somebody opens the records meanwhile, and must not read there what the notice does not know."""
    bench = Bench("good", tmp_path)
    bench.reader.pull_when = "after-debit"
    bench.answers["put-back"] = bench.journey.cancel
    assert bench.pay().reason == "card-away"
    told: list[object] = []
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]
    decided_at_s: list[float] = []
    wait = bench.waits.pause

    def pause(seconds: float, until: threading.Event) -> bool:
        if not decided_at_s and bench.tsp.calls.count("payment"):
            decided_at_s.append(bench.waits.at)
            bench.tsp.become(state="done", money="taken", reason="opened-by-operator")
            if looked:
                bench.memory.left()
        if not bench.memory.unproven() or bench.waits.at > DECIDED_S + 180:
            recovery.cancel()
        return wait(seconds, until)

    bench.waits.pause = pause  # type: ignore[method-assign]
    recovery.run(told.append)
    assert bench.memory.unproven() == ()
    [end] = [step for step in told if isinstance(step, Finished)]
    assert (end.outcome, end.money, end.reason) == ("success", "taken", "opened-by-operator")
    assert bench.tsp.calls.count("payment") < 9
    assert looked == (bench.waits.at < DECIDED_S)


def test_another_card_in_the_slot_is_asked_once_and_left_alone() -> None:
    bench = Bench("good")
    bench.reader.pull_when = "after-debit"
    bench.answers["put-back"] = bench.journey.cancel
    bench.pay()
    bench.reader.insert("little-money")
    asked = 0
    honest = bench.reader.wait_for_card

    def counted(timeout: float, cancel: threading.Event) -> object:
        nonlocal asked
        asked += 1
        return honest(timeout, cancel)

    bench.reader.wait_for_card = counted  # type: ignore[method-assign,assignment]
    rounds = iter(range(5))
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]

    def pause(seconds: float, until: threading.Event) -> bool:
        if next(rounds, None) is None:
            recovery.cancel()
        return until.is_set()

    bench.waits.pause = pause  # type: ignore[method-assign]
    recovery.run(lambda step: None)
    assert asked == 1
    assert bench.memory.unproven() == ("pay-1",)


def test_another_card_while_the_first_may_have_debited_shows_that_payment() -> None:
    bench = Bench("good")
    bench.reader.pull_when = "after-debit"
    bench.answers["put-back"] = bench.journey.cancel
    assert bench.pay().reason == "card-away"
    second = Bench("good")
    second.tsp, second.memory = bench.tsp, bench.memory
    unknown = bench.tsp.current
    refused = Problem("payment-in-progress", money="unknown", facts={"payment": unknown.payment})
    second.journey._client, second.journey._memory = bench.tsp, bench.memory
    bench.tsp.faults["pay"] = [refused]
    end = second.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "card-away")
    assert end.payment == unknown
