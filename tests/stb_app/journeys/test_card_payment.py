"""A purse payment as a journey: every way it can end, with a real card and PSAM simulator. ONL-3, ONL-5 to ONL-7, ONL-13"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cardreader.readers import open_reader
from cardreader.sim.reader import SimReader
from stb_app.journeys.asking import PATIENCE_S
from stb_app.journeys.card_payment import NO_SERVICE_S, CardPayment
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.steps import CardPrompt, CardStep, CardWanted, Finished, finished
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.dummy_tsp import ORDER, DummyTsp

PIN = "123456"


class FastWaits:
    """Pauses take no time but let the clock run; the events are real."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def pause(self, seconds: float, until: threading.Event) -> bool:
        self.at += seconds
        return until.is_set()


class Bench:
    """One box with one slot, and a subscriber who answers prompts as told."""

    def __init__(self, profile: str, folder: Path | None = None) -> None:
        reader = open_reader(f"sim:{profile}")
        assert isinstance(reader, SimReader)
        self.reader = reader
        self.tsp = DummyTsp()
        self.memory = Memory(folder)
        self.waits = FastWaits()
        self.alone = threading.Lock()
        self.steps: list[CardStep] = []
        self.answers: dict[str, Callable[[], object]] = {
            "enter-pin": lambda: self.journey.enter_pin(PIN),
            "remove": lambda: self.journey.go_on(),
        }
        keys = iter(range(10_000))
        self.journey = CardPayment(
            self.tsp,
            self.reader,
            self.memory,
            self.waits,
            lambda: f"key-{next(keys)}",
            ORDER,
            lambda: date(2026, 11, 21),
            self.alone,
        )  # type: ignore[arg-type]

    def pay(self) -> Finished:
        self.journey.run(self._on_step)
        end = self.steps[-1]
        assert isinstance(end, Finished)
        return end

    def prompts(self) -> list[str]:
        return [step.prompt for step in self.steps if isinstance(step, CardPrompt)]

    def balance(self) -> int:
        from cardreader.purse import Purse

        return Purse(self.reader.wait_for_card(1, threading.Event())).balance_fen()

    def _on_step(self, step: CardStep) -> None:
        self.steps.append(step)
        if isinstance(step, CardPrompt) and step.prompt in self.answers:
            self.answers[step.prompt]()


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
        lambda: date(2026, 11, 22),
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


@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_no_answer_to_init_is_settled_by_the_cards_own_proof(fault: str) -> None:
    bench = Bench("good")
    bench.tsp.faults["init"] = [fault]
    end = bench.pay()
    assert (end.outcome, end.money) == ("failed", "not-taken")
    assert end.reason == ("connection-lost" if fault == "unanswered" else "tsp-unreachable")
    assert bench.balance() == 23640
    assert bench.memory.all() == ()
    assert bench.tsp.current.state in ("failed", "cancelled")


@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_the_proof_is_sent_until_it_is_answered(fault: str) -> None:
    bench = Bench("good")
    bench.tsp.faults["debited"] = [fault] * 3
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert bench.tsp.calls.count("debited") == 4


def test_a_server_that_is_gone_after_the_debit_leaves_the_proof_to_the_background() -> None:
    bench = Bench("good")
    bench.tsp.faults["debited"] = ["lost"] * 7
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "taken", "tsp-unreachable")
    assert len(bench.memory.proven()) == 1
    ends: list[Finished] = []
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone)  # type: ignore[arg-type]

    def listen(step: object) -> None:
        if isinstance(step, Finished):
            ends.append(step)
            recovery.cancel()

    recovery.run(listen)
    assert [(e.outcome, e.money) for e in ends] == [("success", "taken")]
    assert bench.memory.all() == ()


def test_a_proof_goes_out_at_once_when_the_server_answers_anybody_again() -> None:
    bench = Bench("good")
    bench.tsp.faults["debited"] = ["lost"] * 12
    bench.pay()
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone)  # type: ignore[arg-type]
    pauses: list[float] = []

    def pause(seconds: float, until: threading.Event) -> bool:
        pauses.append(seconds)
        if len(pauses) == 6:
            # A page has asked for something else, and was answered.
            bench.tsp.faults.clear()
            bench.tsp.came_back()
            assert until.is_set()
        elif len(pauses) == 7:
            recovery.cancel()
        return until.is_set()

    bench.waits.pause = pause  # type: ignore[method-assign]
    told: list[object] = []
    recovery.run(told.append)
    assert pauses == [2, 4, 8, 16, 32, 60, 2]
    assert bench.memory.proven() == ()
    assert [end.outcome for end in told if isinstance(end, Finished)] == ["success"]


@pytest.mark.parametrize("verb", ["pay", "inquire", "present_card"])
@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_a_short_silence_before_the_debit_is_waited_out(verb: str, fault: str) -> None:
    bench = Bench("good")
    bench.tsp.faults[verb] = [fault] * 3
    assert bench.pay().outcome == "success"
    assert "reconnecting" in bench.prompts()
    assert "no-service" not in bench.prompts()


@pytest.mark.parametrize("verb", ["pay", "inquire", "present_card"])
@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_a_silence_before_the_debit_is_said_within_seconds_and_can_be_tried_again(
    verb: str, fault: str
) -> None:
    """Payments.md, rule 1: the same key again, so that nothing happens twice."""
    bench = Bench("good")
    bench.tsp.faults[verb] = [fault] * 99
    said_at: list[float] = []

    def back() -> None:
        said_at.append(bench.waits.at)
        bench.tsp.faults.clear()
        bench.journey.try_again()

    bench.answers["no-service"] = back
    assert bench.pay().outcome == "success"
    assert said_at[0] <= PATIENCE_S
    prompts = bench.prompts()
    at = prompts.index("no-service")
    assert prompts[at - 1] == "reconnecting"
    assert prompts.count("enter-pin") == 1, "the PIN is not asked for again"
    assert bench.balance() == 22140
    assert bench.tsp.payments == 1


@pytest.mark.parametrize("verb", ["pay", "inquire", "present_card"])
def test_a_silence_that_is_left_takes_nothing_and_does_not_ask_the_silent_one_again(verb: str) -> None:
    bench = Bench("good")
    bench.tsp.faults[verb] = ["lost"] * 99
    bench.answers["no-service"] = bench.journey.cancel
    end = bench.pay()
    assert (end.outcome, end.money) == ("cancelled", "not-taken")
    assert "cancel" not in bench.tsp.calls
    assert bench.balance() == 23640


def test_a_silence_can_be_left_before_it_has_lasted() -> None:
    bench = Bench("good")
    bench.tsp.faults["inquire"] = ["lost"] * 99
    bench.answers["reconnecting"] = bench.journey.cancel
    assert bench.pay().outcome == "cancelled"
    assert bench.tsp.calls.count("inquire") == 1


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


def test_a_server_that_is_gone_before_the_payment_takes_nothing() -> None:
    bench = Bench("good")
    bench.tsp.faults["pay"] = ["lost"] * 99
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "tsp-unreachable")
    assert bench.waits.at <= PATIENCE_S + NO_SERVICE_S


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


def test_a_disk_that_cannot_remember_stops_before_the_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench("good", tmp_path)

    def full(record: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.memory, "keep", full)
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "box-storage")
    assert bench.balance() == 23640


def test_a_disk_that_is_full_at_the_pin_is_said_before_the_platform_is_asked(tmp_path: Path) -> None:
    """On this television the bundled platform shares the disk: its refusal would have blamed others."""
    bench = Bench("good", tmp_path)

    def fill() -> None:
        for busy in (
            "card-id.key",
            "probe",
        ):  # a folder where the file should be: root can write nowhere else either
            (tmp_path / busy).with_suffix(".new").mkdir(exist_ok=True)
        bench.journey.enter_pin(PIN)

    bench.answers["enter-pin"] = fill
    bench.tsp.faults["present_card"] = [Problem("internal", money="unknown", retryable=True)] * 20
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "box-storage")
    assert "waiting-psam" not in bench.prompts()
    assert "no-service" not in bench.prompts()
    assert "present_card" not in bench.tsp.calls


def test_a_fault_of_the_platform_is_not_called_a_queue() -> None:
    bench = Bench("good")
    bench.tsp.faults["present_card"] = [Problem("internal", money="unknown", retryable=True)] * 20
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "internal")
    assert "waiting-psam" not in bench.prompts()


def test_a_record_that_is_only_half_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        memory.probe()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_background_leaves_a_payment_alone_while_its_journey_lives() -> None:
    """Two senders of one proof with different bodies would make the TSP refuse the second."""
    bench = Bench("good")
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone)  # type: ignore[arg-type]
    tried: list[object] = []

    def meanwhile(*_: object) -> None:
        pauses = iter(range(1))

        def pause(seconds: float, until: threading.Event) -> bool:
            if next(pauses, None) is None:
                recovery.cancel()
            return until.is_set()

        bench.waits.pause = pause  # type: ignore[method-assign]
        recovery.run(tried.append)
        del bench.waits.pause  # type: ignore[method-assign]

    honest = bench.tsp.debited

    def slow(*arguments: object) -> object:
        if not tried and not bench.tsp.faults.get("checked"):
            bench.tsp.faults["checked"] = [None]
            meanwhile()
        return honest(*arguments)  # type: ignore[arg-type]

    bench.tsp.debited = slow  # type: ignore[method-assign,assignment]
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert tried == []
    assert bench.tsp.calls.count("debited") == 1


def test_a_proof_that_was_sent_before_a_power_cut_is_sent_again_word_for_word(tmp_path: Path) -> None:
    bench = Bench("good", tmp_path)
    bench.tsp.faults["debited"] = ["unanswered"] * 7
    assert bench.pay().money == "taken"
    memory = Memory(tmp_path)
    recovery = Recovery(bench.tsp, bench.reader, memory, bench.waits, threading.Lock())  # type: ignore[arg-type]
    ends: list[Finished] = []

    def listen(step: object) -> None:
        if isinstance(step, Finished):
            ends.append(step)
            recovery.cancel()

    recovery.run(listen)
    assert [(e.outcome, e.money) for e in ends] == [("success", "taken")]
    assert ends[0].payment is not None
    assert ends[0].payment.card is not None
    assert ends[0].payment.card.balance_after_fen == 22140


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
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone)  # type: ignore[arg-type]

    def listen(step: object) -> None:
        told.append(step)
        if step == CardWanted(1):
            bench.reader.insert("good")
        elif isinstance(step, Finished):
            recovery.cancel()

    recovery.run(listen)
    assert told[:2] == [CardWanted(1), CardWanted(0)]
    assert isinstance(told[2], Finished)
    assert (told[2].outcome, told[2].money) == ("success", "taken")
    assert bench.memory.all() == ()


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
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone)  # type: ignore[arg-type]

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
