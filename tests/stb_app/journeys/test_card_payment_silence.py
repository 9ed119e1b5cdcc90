"""A purse payment whose platform is silent, or whose disk is full: what is said, kept and sent again. ONL-13"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stb_app.journeys.asking import NO_SERVICE_S, PATIENCE_S
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.steps import Finished
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import BOX, PIN, Bench


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
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]

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
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]
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


def test_a_server_that_is_gone_before_the_payment_takes_nothing() -> None:
    bench = Bench("good")
    bench.tsp.faults["pay"] = ["lost"] * 99
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "tsp-unreachable")
    assert bench.waits.at <= PATIENCE_S + NO_SERVICE_S


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
    recovery = Recovery(bench.tsp, bench.reader, bench.memory, bench.waits, bench.alone, *BOX)  # type: ignore[arg-type]
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
    recovery = Recovery(bench.tsp, bench.reader, memory, bench.waits, threading.Lock(), *BOX)  # type: ignore[arg-type]
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
