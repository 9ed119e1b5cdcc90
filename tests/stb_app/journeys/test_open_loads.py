"""A load whose page was left without an end: box, card and platform find it out, and the subscriber is told, once. ONL-7, ONL-13"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from cardreader.errors import CardRemoved
from cardreader.sim.reader import SimConnection, SimReader
from stb_app.journeys.memory import Memory, OpenLoad
from stb_app.journeys.open_loads import OpenLoads
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.steps import CardAsked, Loaded, LoadEnded, LoadsOpen, LoadTold
from stb_app.journeys.verbs import Verbs
from stb_app.kit.texts import last_four
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Records
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import BOX, FastWaits
from tests.stb_app.journeys.dummy_tsp import load_of
from tests.stb_app.journeys.test_cash_load import AMOUNT_FEN, LoadBench
from tests.stb_app.journeys.test_cash_load import bench as bench
from tests.stb_app.journeys.test_electronic_cash import HELD_FEN, held, recover

SILENT = ["lost"] * 9999


@pytest.fixture
def pulled(bench: LoadBench, monkeypatch: pytest.MonkeyPatch) -> LoadBench:
    """The card is pulled when its script was carried out, before anybody has heard that."""
    really = SimConnection.transmit

    def transmit(self: SimConnection, apdu: bytes) -> tuple[bytes, int]:
        said = really(self, apdu)
        if apdu[:2] == b"\x04\xda":
            monkeypatch.setattr(SimConnection, "transmit", really)
            bench.reader.pull()
            raise CardRemoved("pulled")
        return said

    monkeypatch.setattr(SimConnection, "transmit", transmit)
    return bench


def told(steps: list[object]) -> list[tuple[str, str | None]]:
    return [(step.load.state, step.load.reason) for step in steps if isinstance(step, LoadTold)]


def left_without_the_card(bench: LoadBench) -> None:
    bench.answers["put-back"] = lambda: bench.loading.cancel()
    assert bench.load().reason == "card-away"


def test_what_the_card_has_said_is_told_also_after_a_power_cut(bench: LoadBench, tmp_path: Path) -> None:
    bench.tsp.faults |= {"complete_load": SILENT[:], "load": SILENT[:]}
    assert bench.load().outcome == "unknown"
    bench.reader.pull()
    bench.tsp.faults.clear()
    memory = Memory(tmp_path)
    assert not memory.waits_for_cash()
    assert told(recover(bench, memory)) == [("loaded", None)]
    assert (memory.open_loads(), list(tmp_path.glob("*.load"))) == ((), [])


def test_the_page_that_was_not_left_tells_what_becomes_known(bench: LoadBench) -> None:
    bench.tsp.faults["complete_load"] = ["lost"] * 40
    assert bench.load().outcome == "loaded"
    assert [step.outcome for step in bench.told if isinstance(step, LoadEnded)] == ["unknown", "loaded"]
    assert recover(bench, bench.memory) == []


def test_nobody_puts_the_card_back_until_later(pulled: LoadBench, tmp_path: Path) -> None:
    left_without_the_card(pulled)
    memory = Memory(tmp_path)
    first, *_ = steps = recover(pulled, memory)
    assert isinstance(first, LoadsOpen)
    (record,) = first.loads
    assert (record.amount_fen, last_four(record.card_number), record.time[:10]) == (
        AMOUNT_FEN,
        "4204",
        "2026-11-21",
    )
    assert told(steps) == []
    pulled.reader.insert("electronic-cash")
    steps = recover(pulled, memory)
    assert told(steps) == [("loaded", None)]
    assert steps[-2:].count(LoadsOpen(())) == 1
    assert held(pulled) == HELD_FEN + AMOUNT_FEN


def test_a_card_that_comes_after_its_money_went_back_contradicts(pulled: LoadBench, tmp_path: Path) -> None:
    left_without_the_card(pulled)
    pulled.tsp.load_now = load_of("load-1", "failed", "not-taken", "card-away", None)
    assert told(recover(pulled, pulled.memory)) == [("failed", "card-away")]
    # Told once, also after a power cut; and nobody asks for the card.
    memory = Memory(tmp_path)
    assert recover(pulled, memory) == []
    pulled.reader.insert("electronic-cash")
    assert told(recover(pulled, memory)) == [("unknown", "load-disputed")]
    assert not memory.waits_for_cash()


def test_a_card_that_comes_and_agrees_says_nothing_new(bench: LoadBench) -> None:
    bench.tsp.faults |= {"complete_load": SILENT[:], "load": SILENT[:]}
    bench.tsp.issuer = ""
    bench.answers["processing"] = lambda: bench.loading.cancel()
    bench.load()
    bench.tsp.faults.clear()
    assert told(recover(bench, bench.memory)) == [("failed", "ppp-silent")]
    assert recover(bench, bench.memory) == []
    assert held(bench) == HELD_FEN


def test_a_platform_that_answers_nothing_is_told_that_the_card_heard_nothing(bench: LoadBench) -> None:
    """The issuer may have booked it: it goes back at once, not when everybody has given the card up."""
    bench.tsp.faults |= {"authorise_load": ["unanswered"] * 99, "load": SILENT[:], "complete_load": SILENT[:]}
    assert bench.load().outcome == "unknown"
    bench.tsp.faults.clear()
    bench.reader.pull()
    assert told(recover(bench, bench.memory)) == [("failed", "card-removed")]
    assert held_later(bench) == HELD_FEN


def test_whoever_puts_a_card_in_is_told_what_it_is_asked(pulled: LoadBench) -> None:
    """It must stay in as long as it is; another card is said to be another; and then it may go."""
    left_without_the_card(pulled)
    pulled.reader.insert("debit")
    (number,) = pulled.memory.missed_cards()
    assert number.endswith("4204")
    does = iter((lambda: pulled.reader.insert("electronic-cash"), pulled.reader.pull, lambda: None))
    steps: list[object] = []

    def pause(seconds: float, until: threading.Event) -> bool:
        if any(isinstance(step, CardAsked) for step in steps):
            next(does, recovery.cancel)()
        return False

    pulled.waits.pause = pause  # type: ignore[method-assign]
    recovery = Recovery(pulled.tsp, pulled.reader, pulled.memory, pulled.waits, pulled.alone, *BOX)  # type: ignore[arg-type]
    recovery.run(steps.append)
    said = [(step.state, step.wanted) for step in steps if isinstance(step, CardAsked)]
    wanted = (number,)
    assert said == [
        *(("asking", wanted), ("other", wanted), ("asking", wanted), ("told", wanted)),
        ("gone", ()),
    ]
    assert told(steps) == [("loaded", None)]


def held_later(bench: LoadBench) -> int:
    bench.reader.insert("electronic-cash")
    return held(bench)


def test_a_load_is_explained_before_the_same_card_is_loaded_again(pulled: LoadBench) -> None:
    left_without_the_card(pulled)
    (record,) = pulled.memory.open_loads()
    explained: list[OpenLoad | None] = []
    pulled.answers["processing"] = lambda: explained.append(pulled.memory.load(record.load))
    pulled.reader.insert("electronic-cash")
    assert pulled.load().outcome == "loaded"
    assert explained == [record.explained(HELD_FEN + AMOUNT_FEN, logged=True, chip=None)]


def test_a_record_of_before_is_understood(bench: LoadBench, tmp_path: Path) -> None:
    old = {"load": "load-9", "card": "0" * 64, "atc": 3, "key": "k", "correlation": ""}
    (tmp_path / "load-9.load").write_text(json.dumps(old))
    bench.tsp.load_now = load_of("load-9", "loaded", "taken", None, None)
    memory = Memory(tmp_path)
    assert told(recover(bench, memory)) == [("loaded", None)]
    assert memory.open_loads() == ()


def test_a_platform_that_does_not_know_it_will_never_tell(bench: LoadBench, tmp_path: Path) -> None:
    (tmp_path / "load-9.load").write_text(
        json.dumps({"load": "load-9", "card": "0" * 64, "atc": 3, "key": "k"})
    )
    bench.tsp.faults["load"] = [Problem("not-found")]
    memory = Memory(tmp_path)
    recover(bench, memory)
    assert memory.open_loads() == ()


def test_what_the_records_tell_the_notices_tell_too(pulled: LoadBench) -> None:
    """The platform has given the card up meanwhile: nobody reads of an end on one place and of none on another."""
    left_without_the_card(pulled)
    loads = OpenLoads(pulled.tsp, pulled.memory, pulled.waits)  # type: ignore[arg-type]
    steps: list[LoadTold] = []
    assert loads.follow(steps.append)
    pulled.tsp.load_now = load_of("load-1", "failed", "not-taken", "card-away", None)
    loads.follow(steps.append)
    assert steps == []  # it is looked at again in a minute
    loads.look_now()
    loads.follow(steps.append)
    assert [step.load.state for step in steps] == ["failed"]


def test_reading_the_records_wakes_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(None)
    verbs = Verbs(TspClient(), SimReader(), memory, FastWaits(), lambda: BOX[1]())
    woken: list[str] = []
    memory.left = lambda: woken.append("left")
    monkeypatch.setattr(TspClient, "records", lambda self: Records((), ()))
    steps: list[object] = []
    verbs.records().run(steps.append)
    assert steps[-1] == Loaded(Records((), ()))
    assert woken == ["left"]
