"""A service is not paid twice because its first payment by card is not settled. ONL-3, ONL-7"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cardreader.errors import ReaderInUse, ReaderSilent, ReaderUnavailable, ServiceUnavailable
from cardreader.purse import Purse
from cardreader.readers import open_reader
from cardreader.sim.reader import SimReader
from stb_app.journeys.card_payment import CardPayment
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.settling import end_told
from stb_app.journeys.steps import (
    CANCELLABLE_PROMPTS,
    EARLIER_NOT_TAKEN,
    CardAsked,
    CardPrompt,
    CardWanted,
    CodesOpen,
    Finished,
)
from stb_app.journeys.wallet_payment import WalletPayment
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import BOX, PIN, FastWaits
from tests.stb_app.journeys.dummy_tsp import ORDER, SERVICE, DummyTsp

KIDS = replace(ORDER, order="order-kids", service=replace(SERVICE, service="kids"))
FULL, ONCE, TWICE = 23640, 22140, 20640
LOST = Problem("lease-lost", money="unknown")
BUSY = Problem("psam-none-free", money="unknown", retryable=True)
OUT = Problem("not-enrolled")


class Home:
    """One television, whose subscriber pays by card again and again. ``at``: what is done at a prompt."""

    def __init__(self, folder: Path | None = None) -> None:
        reader = open_reader("sim:good")
        assert isinstance(reader, SimReader)
        self.reader = reader
        self.tsp = DummyTsp()
        self.tsp.services["order-kids"] = KIDS.service
        self.memory = Memory(folder)
        self.waits = FastWaits()
        self.alone = threading.Lock()
        self.prompts: list[str] = []
        self._keys = (f"key-{n}" for n in itertools.count())

    def pay(self, order: Any = ORDER, settles: str = "", **at: Callable[[], object]) -> Finished:
        client: Any = self.tsp
        journey = CardPayment(
            client, self.reader, self.memory, self.waits, self._keys.__next__, order,
            lambda: datetime(2026, 11, 21, tzinfo=UTC), self.alone, settles,
        )  # fmt: skip
        self.prompts = []
        self.steps: list[CardPrompt] = []
        does = {"enter_pin": lambda: journey.enter_pin(PIN), "remove": journey.go_on, "leave": journey.cancel}
        ends: list[Finished] = []

        def on_step(step: CardPrompt | Finished) -> None:
            if isinstance(step, Finished):
                ends.append(step)
                return
            self.prompts.append(step.prompt)
            self.steps.append(step)
            word = step.prompt.replace("-", "_")
            act = at.get(word, does.get(word))
            if act is not None:
                does["leave"]() if act == "leave" else act()

        journey.run(on_step)
        return ends[0]

    def pulled(self, order: Any = ORDER, when: Any = "after-debit") -> Finished:
        """Pays, pulls the card in the middle of it, and leaves."""
        self.reader.insert("good")
        self.reader.pull_when = when
        return self.pay(order, put_back="leave")  # type: ignore[arg-type]

    def insert(self) -> None:
        self.reader.insert("good")

    def balance(self) -> int:
        self.insert()
        return Purse(self.reader.wait_for_card(1, threading.Event())).balance_fen()

    def recover(self, rounds: int = 1, then: Callable[[], object] = lambda: None) -> list[Any]:
        """What the background tells in so many rounds; ``then`` is done after the first."""
        left = iter(range(rounds))
        waits: Any = FastWaits()

        def pause(seconds: float, until: threading.Event) -> bool:
            turn = next(left, None)
            if turn is None:
                recovery.cancel()
            elif turn == 1:
                then()
            return until.is_set()

        waits.pause = pause
        told: list[Any] = []
        client: Any = self.tsp
        recovery = Recovery(client, self.reader, self.memory, waits, self.alone, *BOX)
        recovery.run(told.append)

        return [step for step in told if not isinstance(step, CardAsked)]


@pytest.mark.parametrize("card_in", [True, False])
@pytest.mark.parametrize(
    ("fault", "money"), [(LOST, "unknown"), (BUSY, "taken"), ("lost", "taken"), (OUT, "taken")]
)
def test_a_debit_that_the_platform_does_not_accept_yet_is_not_repeated(
    tmp_path: Path, fault: Any, money: str, card_in: bool
) -> None:
    home = Home(tmp_path)
    assert home.pulled().reason == "card-away"
    home.tsp.faults["debited"] = [fault] * 20
    if card_in:
        home.insert()
    end = home.pay(put_back=home.insert)
    assert (end.outcome, end.money) == ("pending", money)
    assert "enter-pin" not in home.prompts
    # Nor the next time, from the proof that waits here; nor by a phone.
    home.tsp.faults["debited"] = [fault] * 20
    end = home.pay(insert=home.insert, enter_pin="leave") if fault is not LOST else end  # type: ignore[arg-type]
    assert (end.outcome, end.money) == ("pending", money)
    assert "enter-pin" not in home.prompts
    assert home.balance() == ONCE
    if fault is not LOST:
        home.tsp.faults.clear()
        assert [(e.outcome, e.money) for e in home.recover() if isinstance(e, Finished)] == [
            ("success", "taken")
        ]


def test_a_debit_proved_before_is_delivered_before_the_next_payment_and_shown() -> None:
    home = Home()
    home.tsp.faults["debited"] = ["lost"] * 7
    assert home.pay().money == "taken"
    end = home.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert end.payment is not None
    assert end.payment.payment == "pay-1"
    assert home.tsp.payments == 1
    assert home.balance() == ONCE


def test_the_card_that_is_wanted_is_asked_for_and_no_other_one_pays() -> None:
    home = Home()
    home.pulled()

    def another() -> None:
        home.reader.pull()
        home.insert()

    end = home.pay(put_back=lambda: home.reader.insert("little-money"), other_card=another)
    assert home.prompts[:4] == ["starting", "put-back", "other-card", "settling"]
    assert (end.outcome, end.money) == ("success", "taken")
    assert home.balance() == ONCE


def test_leaving_without_that_card_does_not_say_that_nothing_was_taken() -> None:
    home = Home()
    home.pulled()
    end = home.pay(put_back="leave")  # type: ignore[arg-type]
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "card-away")
    assert end.payment is not None
    assert end.payment.payment == "pay-1"
    assert end.earlier
    # Nothing of the new order was begun, so nothing of it stands in the records.
    assert list(home.tsp.all) == ["pay-1"]


def test_a_card_that_had_not_debited_pays_now() -> None:
    home = Home()
    home.pulled(when="before-debit")
    end = home.pay(put_back=home.insert)
    assert (end.outcome, end.money) == ("success", "taken")
    assert home.tsp.all["pay-1"].reason == "card-removed"
    assert home.balance() == ONCE


@pytest.mark.parametrize("when", ["before-debit", "after-debit"])
def test_a_card_that_only_has_to_tell_pays_nothing(when: str) -> None:
    home = Home()
    home.pulled(when=when)
    before = home.balance()
    home.reader.pull()
    end = home.pay(settles="pay-1", put_back=home.insert)
    assert "enter-pin" not in home.prompts
    assert list(home.tsp.all) == ["pay-1"]
    assert home.balance() == before
    if when == "before-debit":
        assert (end.reason, end.money) == (EARLIER_NOT_TAKEN, "not-taken")
    else:
        assert (end.outcome, end.money, end.earlier) == ("success", "taken", True)


@pytest.mark.parametrize("when", ["before-debit", "after-debit"])
def test_what_the_background_has_found_out_meanwhile_is_told_as_it_is(when: str) -> None:
    home = Home()
    home.pulled(when=when)
    home.reader.insert("good")
    home.recover()
    end = home.pay(settles="pay-1")
    if when == "before-debit":
        assert (end.reason, end.money) == (EARLIER_NOT_TAKEN, "not-taken")
    else:
        assert (end.outcome, end.money, end.earlier) == ("success", "taken", True)


def test_a_card_that_takes_another_s_place_at_once_is_asked_too() -> None:
    home = Home()
    home.pulled(when="after-debit")
    home.reader.insert("little-money")

    def swap() -> None:
        assert home.memory.unproven() == ("pay-1",)
        home.reader.insert("good")

    home.recover(2, swap)
    assert home.memory.unproven() == ()


def test_what_is_asked_about_an_earlier_payment_names_it_and_its_amount() -> None:
    home = Home()
    home.pulled()
    home.pay(replace(ORDER, order="order-2", term="yearly", amount_fen=12000), put_back="leave")  # type: ignore[arg-type]
    asked = next(step for step in home.steps if step.prompt == "put-back")
    assert (asked.earlier, asked.amount_fen) == (True, ORDER.amount_fen)
    assert asked.payment is not None
    assert (asked.payment.payment, asked.payment.order) == ("pay-1", ORDER.order)


def test_another_service_is_paid_once_the_proof_is_safe() -> None:
    home = Home()
    home.pulled(KIDS)
    home.insert()
    home.tsp.faults["debited"] = [BUSY] * 4
    assert home.pay().outcome == "success"
    assert home.balance() == TWICE
    assert [record.service for record in home.memory.proven()] == ["kids"]


def test_another_service_waits_while_a_card_could_not_tell_that_it_had_not_debited() -> None:
    home = Home()
    home.pulled(KIDS, when="before-debit")
    home.insert()
    home.tsp.faults["not_debited"] = [OUT]
    end = home.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "not-enrolled")
    assert home.balance() == FULL
    assert home.memory.unproven() == ("pay-1",)


@pytest.mark.parametrize("state", ["done", "failed"])
def test_what_a_person_has_settled_wants_no_card(state: str) -> None:
    home = Home()
    home.pulled()
    home.tsp.become("pay-1", state=state, money="taken" if state == "done" else "not-taken")
    home.pay(insert="leave")  # type: ignore[arg-type]
    assert home.prompts == ["starting", "insert"]


def test_a_payment_refused_for_a_proof_that_waits_says_that_it_was_taken() -> None:
    home = Home()
    home.tsp.faults["debited"] = ["lost"] * 7
    home.pay()
    home.tsp.faults["pay"] = [Problem("payment-in-progress", money="unknown", facts={"payment": "pay-1"})]
    client: Any = home.tsp
    ends: list[Any] = []
    WalletPayment(client, home.memory, home.waits, lambda: "key-wallet", ORDER, "wallet:demo").run(
        ends.append
    )
    assert (ends[-1].outcome, ends[-1].money) == ("pending", "taken")


def test_a_code_for_a_service_that_a_card_may_have_paid_asks_for_the_card() -> None:
    home = Home()
    home.pulled()
    home.tsp.faults["pay"] = [Problem("payment-in-progress", money="unknown", facts={"payment": "pay-1"})]
    client: Any = home.tsp
    ends: list[Any] = []
    WalletPayment(client, home.memory, home.waits, lambda: "key-wallet", ORDER, "wallet:demo").run(
        ends.append
    )
    assert (ends[-1].outcome, ends[-1].money, ends[-1].reason) == ("pending", "unknown", "card-away")


# What the card says of no debit is kept until the platform has it


@pytest.mark.parametrize("code", ["not-enrolled", "box-suspended", "not-found", "bad-request", "internal"])
def test_evidence_that_was_refused_for_another_reason_is_delivered_later(code: str) -> None:
    home = Home()
    home.reader.pull_when = "before-debit"
    home.tsp.faults["not_debited"] = [Problem(code)]
    end = home.pay(put_back=home.insert)
    assert (end.outcome, end.money) == ("pending", "unknown")
    assert home.memory.unproven() == ("pay-1",)
    told = [step for step in home.recover() if isinstance(step, Finished)]
    assert [(step.outcome, step.money) for step in told] == [("failed", "not-taken")]
    assert home.memory.all() == ()


def test_evidence_in_other_words_is_another_message() -> None:
    home = Home()
    honest = home.tsp.init

    def wrong_mac1(*arguments: Any) -> Any:
        return replace(honest(*arguments), mac1=b"\0\0\0\0")

    home.tsp.init = wrong_mac1  # type: ignore[method-assign]
    home.tsp.faults["not_debited"] = ["lost"] * 7
    assert home.pay().money == "unknown"  # said with 9302; now it is asked and says 9406
    keys: list[str] = []
    sent = home.tsp.not_debited
    home.tsp.faults["not_debited"] = ["lost"] * 7
    home.tsp.not_debited = lambda *a: (keys.append(a[-1]), sent(*a))[1]  # type: ignore[method-assign]
    home.recover()
    assert len({*keys}) == 1
    assert keys[0].endswith(f"-9406{home.tsp.init_body['offline_number']:04X}{FULL:X}")
    assert len("k" * 43 + keys[0].removeprefix("key-4")) <= 64


def test_evidence_for_a_payment_whose_mac1_never_left_wants_no_card_any_more() -> None:
    home = Home()
    home.tsp.faults["init"] = ["lost"]
    end = home.pay()
    assert (end.outcome, end.money) == ("failed", "not-taken")
    assert home.memory.all() == ()


# The reader goes while the card is wanted


class Unplugged:
    """A reader whose cable was pulled, for so many looks at it."""

    def __init__(self, reader: SimReader) -> None:
        self.left = 0
        self.why = ReaderUnavailable("gone")
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        if name in ("card_present", "wait_for_card") and self.left:
            self.left -= 1
            raise self.why
        return getattr(self._reader, name)


def test_a_reader_that_goes_after_mac1_has_words_of_its_own() -> None:
    home = Home()
    reader: Any = Unplugged(home.reader)
    home.reader.pull_when = "after-debit"
    card, home.reader = home.reader, reader

    def gone() -> None:
        reader.left = 3

    again: list[object] = []

    def back() -> None:
        if not again:
            again.append(card.insert("good"))

    end = home.pay(put_back=lambda: None if again else gone(), reader_away=back)
    assert "reader-away" in home.prompts
    assert "reader-missing" not in home.prompts
    assert "reader-away" not in CANCELLABLE_PROMPTS
    assert (end.outcome, end.money) == ("success", "taken")


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (ReaderUnavailable("gone"), "reader-lost"),
        (ReaderSilent("it hangs"), "reader-lost"),
        (ServiceUnavailable("pcscd has died"), "reader-service-lost"),
        (ReaderInUse("somebody looked at the card that was put back"), "card-removed"),
        (None, "card-removed"),
    ],
)
def test_a_debit_that_the_reader_interrupted_is_not_put_on_whoever_held_the_card(
    lost: ReaderUnavailable | None, reason: str
) -> None:
    home = Home()
    reader: Any = Unplugged(home.reader)
    reader.why = lost
    home.reader.insert("good")
    home.reader.pull_when = "before-debit"
    card, home.reader = home.reader, reader
    steps: list[str] = []

    def put_back() -> None:
        steps.append("put-back")
        if lost and len(steps) == 1:
            reader.left = 3
        else:
            card.insert("good")

    end = home.pay(put_back=put_back, reader_away=lambda: card.insert("good"))
    assert ("reader-away" in home.prompts) is (lost is not None)
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", reason)


@pytest.mark.parametrize(
    ("why", "trouble"),
    [
        (ServiceUnavailable("pcscd does not run"), "service"),
        (ReaderInUse("another program is using the card"), "in-use"),
        (ReaderSilent("the reader does not answer any more"), "silent"),
        (ReaderUnavailable("no reader is plugged in"), "missing"),
    ],
)
def test_what_is_so_is_not_called_a_missing_reader(why: ReaderUnavailable, trouble: str) -> None:
    home = Home()
    home.reader.pull()
    reader: Any = Unplugged(home.reader)
    reader.left, reader.why = 1, why
    home.reader = reader
    home.pay(insert="leave")
    missing = [step for step in home.steps if step.prompt == "reader-missing"]
    assert [step.trouble for step in missing] == [trouble]
    assert home.prompts[-1] == "insert"


def test_a_reader_lost_before_the_debit_is_not_called_a_card_pulled_too_early() -> None:
    home = Home()
    reader: Any = Unplugged(home.reader)
    home.reader.insert("good")
    card, home.reader = home.reader, reader

    def unplugged() -> None:
        card.pull()
        reader.left = 2

    end = home.pay(enter_pin=unplugged, insert="leave", removed_early="leave")  # type: ignore[arg-type]
    assert home.prompts[-2:] == ["reader-missing", "insert"]
    assert "removed-early" not in home.prompts
    assert (end.outcome, end.money) == ("cancelled", "not-taken")


# The power goes between the TSP's answer and the result page. ONL-13


@pytest.mark.parametrize(
    ("when", "outcome", "money"), [(None, "success", "taken"), ("before-debit", "failed", "not-taken")]
)
def test_an_end_that_was_on_no_screen_is_told_at_the_next_start_and_once(
    tmp_path: Path, when: Any, outcome: str, money: str
) -> None:
    home = Home(tmp_path)
    home.reader.pull_when = when
    end = home.pay(put_back=home.insert)
    home.reader.pull()
    assert (end.outcome, end.money) == (outcome, money)
    home.memory = Memory(tmp_path)  # switched on again
    told = home.recover(3)
    # Nobody is asked for a card that has nothing left to explain.
    assert [(step.outcome, step.money) for step in told] == [(outcome, money)]
    assert told[0].payment.payment == "pay-1"
    assert home.memory.untold() == ()
    home.memory = Memory(tmp_path)
    assert home.recover(3) == []


def test_an_end_that_was_on_the_screen_is_not_told_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    end = home.pay()
    home.memory.look_at("pay-1")
    assert home.recover(3) == []
    assert end.payment is not None
    end_told(home.memory, end.payment)
    home.memory.look_away("pay-1")
    assert home.recover(3) == []
    home.memory = Memory(tmp_path)
    assert home.recover(3) == []


def test_a_payment_whose_page_was_left_is_told_also_when_the_platform_is_away_at_first(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    home.pay()
    home.tsp.faults["payment"] = ["lost", "lost"]
    assert [step.outcome for step in home.recover(4)] == ["success"]


def test_a_payment_that_the_platform_has_not_closed_yet_is_still_kept_after_a_power_cut(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    home.pulled()
    home.tsp.become("pay-1", state="preparing", money="not-taken")
    home.memory = Memory(tmp_path)
    assert home.recover(2) == [CardWanted(home.memory.all())]
    assert home.memory.unproven() == ("pay-1",)


def test_what_an_earlier_card_said_where_the_way_is_free_again_is_told_by_the_confirmation(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    home.pulled(when="before-debit")
    end = home.pay(settles="pay-1", put_back=home.insert)
    assert end.reason == EARLIER_NOT_TAKEN
    assert home.recover(2) == []
    assert Memory(tmp_path).all() == ()


# What is told beside the page that shows it


def test_the_card_is_not_asked_for_beside_the_page_that_asks_for_it() -> None:
    home = Home()
    told: list[Any] = []
    home.recover(0)
    home.memory.changed = lambda: told.append(home.memory.asked_for())
    assert home.pulled().reason == "card-away"
    assert set(told) == {()}
    wanted = CardWanted(home.memory.all())
    assert home.recover() == [wanted]
    home.memory.look_at("pay-1")
    assert home.recover() == []
    home.memory.look_away("pay-1")
    home.insert()
    assert wanted in home.recover()


def test_a_proof_in_memory_ends_the_asking_at_once_also_while_the_background_sleeps() -> None:
    home = Home()
    home.pulled()
    wanted = CardWanted(home.memory.all())
    told: list[Any] = []
    client: Any = home.tsp
    waits: Any = FastWaits()

    def asleep(seconds: float, until: threading.Event) -> bool:
        told.append("asleep")
        home.tsp.faults["debited"] = ["lost"] * 20
        assert home.pay(put_back=home.insert).money == "taken"
        recovery.cancel()
        return until.is_set()

    waits.pause = asleep
    recovery = Recovery(client, home.reader, home.memory, waits, home.alone, *BOX)
    recovery.run(told.append)
    assert told == [wanted, "asleep", CardWanted(())]
    assert not any(isinstance(step, CodesOpen) for step in told)


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_proof_is_delivered_as_soon_as_the_box_is_let_in_again(refusals: int) -> None:
    home = Home()
    home.tsp.faults |= {"debited": [OUT], "payment": [OUT, OUT]}
    end = home.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "taken", "not-enrolled")
    home.tsp.faults |= {"debited": [OUT] * refusals, "payment": [OUT] * refusals}
    away, let_in, *told = home.recover(refusals + 1)
    assert (len(away.payments), let_in.payments) == (1, ())
    assert [(step.outcome, step.money) for step in told] == [("success", "taken")]


def test_a_proof_that_is_a_person_s_case_now_is_told() -> None:
    home = Home()
    home.tsp.faults["debited"] = ["lost"] * 7
    home.pay()
    home.tsp.faults["debited"] = [LOST]
    home.tsp.become("pay-1", reason="proof-kept")
    (told,) = home.recover()
    assert (told.outcome, told.money, told.reason) == ("pending", "unknown", "proof-kept")
    assert home.memory.all() == ()
