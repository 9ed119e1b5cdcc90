"""From an address to verbs that can be used: hello, the stored key, enrolment, and what may refuse."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cardreader.secret import SecretText
from server_stub.settings import Settings
from stb_app.journeys.steps import Loaded, Refused
from stb_app.kit.clock import CHINA
from stb_app.shell.box import BoxFiles, BoxUnknown, Counter, Enrolment
from stb_app.shell.connection import KEY_AGE, PAPERS_PAUSE_S, PAUSES_S, REFUSED_PAUSE_S, Connection
from stb_app.tsp.model import Hello
from stb_app.tsp.signing import Identity

BOX = "85312047"
HELLO = Hello("TSP", "0.1.0", 1, True, datetime(2026, 11, 21, tzinfo=CHINA), "96123")


class Tell:
    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def run(self, post: Callable[[Any], None]) -> None:
        answer = self._answer()
        post(answer if isinstance(answer, Refused) else Loaded(answer))

    def cancel(self) -> None: ...


class DummyClient:
    identity: Identity | None = None
    keep_server_keys: Callable[[Identity], None]
    url = ""

    def connect(self, url: str) -> None:
        self.url = url


class DummyVerbs:
    """A TSP that knows some keys. ``unanswered`` hellos get no answer first."""

    def __init__(self, unanswered: int = 0, refuses: str | None = None) -> None:
        self.client = DummyClient()
        self.keys: set[str] = set()
        self.enrolled: list[tuple[str, ...]] = []
        self.rotated: list[str] = []
        self.says: str | None = None
        self._unanswered = unanswered
        self._refuses = refuses

    def hello(self) -> Tell:
        def answer() -> Any:
            self._unanswered -= 1
            return Refused("tsp-unreachable", retryable=True) if self._unanswered >= 0 else HELLO

        return Tell(answer)

    def home(self) -> Tell:
        known = self.client.identity is not None and self.client.identity.key_id in self.keys
        return Tell(lambda: Refused(self.says) if self.says else "home" if known else Refused("not-enrolled"))

    def enrol(self, identity: Identity, *papers: str) -> Tell:
        def answer() -> Any:
            if self._refuses:
                return Refused(self._refuses)
            self.enrolled.append((identity.box_number, *papers))
            self.keys.add(identity.key_id)
            self.client.identity = identity.believing({"server": bytes(32)})
            return "subscriber"

        return Tell(answer)

    def rotate(self, new: Identity) -> Tell:
        def answer() -> Any:
            if self._refuses:
                return Refused(self._refuses)
            self.rotated.append(new.key_id)
            self.keys.add(new.key_id)
            self.client.identity = new
            return None

        return Tell(answer)


class Bench:
    def __init__(self, verbs: DummyVerbs, folder: Path, box: str = BOX, waits: int = 10) -> None:
        self.verbs = verbs
        self.ready: list[Hello] = []
        self.refused: list[str] = []
        self.pauses: list[float] = []

        def wait(seconds: float) -> bool:
            self.pauses.append(seconds)
            return len(self.pauses) >= waits

        self.files = BoxFiles(folder)
        self.now = HELLO.time
        self.connection = Connection(
            verbs,
            box,
            self.files,
            self.ready.append,
            self.refused.append,
            lambda: self.now,
            wait=wait,  # type: ignore[arg-type]
        )

    @property
    def enrolment(self) -> Enrolment:
        found = self.files.enrolment(BOX)
        assert found is not None
        return found


def test_a_new_box_makes_a_key_which_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(), tmp_path)
    bench.connection.bring_up()
    assert bench.ready == [HELLO]
    assert bench.verbs.enrolled == [(BOX, "8310220477550019", SecretText("246810"))]
    (key,) = (tmp_path / "keys").glob("*.pem")
    assert key.stem == bench.enrolment.key_id
    assert b"BEGIN PRIVATE KEY" in key.read_bytes()
    assert bench.enrolment.server_keys == {"server": bytes(32).hex()}
    for file in (key, tmp_path / "enrolment.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_known_key_is_used_again_and_a_forgotten_one_replaced(tmp_path: Path) -> None:
    verbs = DummyVerbs()
    bench = Bench(verbs, tmp_path)
    bench.connection.bring_up()
    first = bench.enrolment.key_id
    Bench(verbs, tmp_path).connection.bring_up()
    assert len(verbs.enrolled) == 1
    assert bench.enrolment.key_id == first
    verbs.keys.clear()
    Bench(verbs, tmp_path).connection.bring_up()
    assert len(verbs.enrolled) == 2
    assert bench.enrolment.key_id != first
    assert not (tmp_path / "keys" / f"{first}.pem").exists()


@pytest.mark.parametrize(
    "code", ["key-replaced", "key-revoked", "key-copied", "box-stolen", "tsp-not-trusted"]
)
def test_a_box_that_is_told_why_does_not_enrol_by_itself(tmp_path: Path, code: str) -> None:
    verbs = DummyVerbs()
    Bench(verbs, tmp_path).connection.bring_up()
    verbs.says = code
    bench = Bench(verbs, tmp_path, waits=1)
    bench.connection.bring_up()
    assert (bench.refused, len(verbs.enrolled)) == ([code], 1)


def test_an_old_key_is_changed_and_only_then_forgotten(tmp_path: Path) -> None:
    verbs = DummyVerbs()
    bench = Bench(verbs, tmp_path)
    bench.connection.bring_up()
    first = bench.enrolment.key_id
    verbs._refuses = "boss-unreachable"
    bench.now += KEY_AGE + timedelta(seconds=1)
    bench.connection.bring_up()
    begun = bench.enrolment.next_key
    assert bench.enrolment.key_id == first
    assert begun is not None
    assert (tmp_path / "keys" / f"{first}.pem").exists()
    verbs._refuses = None
    bench.connection.bring_up()
    assert verbs.rotated == [begun]
    assert (bench.enrolment.key_id, bench.enrolment.next_key) == (begun, None)
    assert [file.stem for file in (tmp_path / "keys").glob("*.pem")] == [begun]


def test_a_change_of_key_whose_answer_was_lost_is_found_out(tmp_path: Path) -> None:
    verbs = DummyVerbs()
    bench = Bench(verbs, tmp_path)
    bench.connection.bring_up()
    new = bench.files.new_identity(BOX)
    bench.files.keep(replace(bench.enrolment, next_key=new.key_id))
    verbs.keys = {new.key_id}
    verbs._refuses = "key-replaced"
    bench.connection.bring_up()
    assert (bench.enrolment.key_id, bench.enrolment.next_key) == (new.key_id, None)
    assert len(verbs.enrolled) == 1


def test_a_change_of_key_is_finished_while_the_television_runs(tmp_path: Path) -> None:
    verbs = DummyVerbs()
    bench = Bench(verbs, tmp_path)
    bench.connection.bring_up()
    bench.now += KEY_AGE + timedelta(seconds=1)
    verbs._refuses = "tsp-unreachable"
    ready = len(bench.ready)

    def wait(seconds: float) -> bool:
        assert (seconds, len(bench.ready)) == (REFUSED_PAUSE_S, ready + 1)
        bench.pauses.append(seconds)
        if len(bench.pauses) == 2:
            # The TSP has heard of it, and nobody asks with the old key any more.
            verbs.keys = {str(bench.enrolment.next_key)}
            verbs._refuses = "key-replaced"
        return False

    bench.connection._wait = wait
    bench.connection.bring_up()
    assert len(bench.pauses) == 2
    assert {bench.enrolment.key_id} == verbs.keys
    assert verbs.client.identity is not None
    assert verbs.client.identity.key_id == bench.enrolment.key_id


def test_a_new_key_that_is_in_use_already_is_not_told_again(tmp_path: Path) -> None:
    """The disk was full when the TSP had said yes: only the writing is done again."""
    verbs = DummyVerbs()
    bench = Bench(verbs, tmp_path)
    bench.connection.bring_up()
    bench.now += KEY_AGE + timedelta(seconds=1)
    keep, kept = bench.files.keep, list[Enrolment]()

    def full(enrolment: Enrolment) -> None:
        kept.append(enrolment)
        if len(kept) == 2:
            raise OSError("no space left on device")
        keep(enrolment)

    bench.files.keep = full  # type: ignore[method-assign]
    bench.connection.bring_up()
    assert verbs.rotated == [bench.enrolment.key_id]
    assert bench.enrolment.next_key is None


def test_numbers_only_grow_whenever_the_power_goes(tmp_path: Path) -> None:
    path = tmp_path / "count"
    first = Counter(path)
    used = [first.next() for _ in range(Counter.BLOCK + 1)]
    again = Counter(path).next()
    assert used == list(range(1, Counter.BLOCK + 2))
    assert again > used[-1]
    path.write_text("nonsense")
    with pytest.raises(OSError, match="no number"):
        Counter(path).next()


def test_a_key_that_cannot_be_read_is_replaced(tmp_path: Path) -> None:
    verbs = DummyVerbs()
    bench = Bench(verbs, tmp_path)
    bench.connection.bring_up()
    (key,) = (tmp_path / "keys").glob("*.pem")
    for broken in (b"", b"nonsense"):
        key.write_bytes(broken)
        assert bench.files.identity(bench.enrolment) is None
    bench.connection.bring_up()
    assert len(verbs.enrolled) == 2
    assert bench.enrolment.key_id != key.stem


def test_a_tsp_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(unanswered=7), tmp_path)
    bench.connection.bring_up()
    assert bench.ready == [HELLO]
    assert bench.pauses == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    assert bench.refused == ["tsp-unreachable"]


def test_a_tsp_that_is_only_slow_is_not_complained_of(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(unanswered=3), tmp_path)
    bench.connection.bring_up()
    assert bench.ready == [HELLO]
    assert bench.refused == []


@pytest.mark.parametrize(
    ("code", "pause"),
    [
        ("box-suspended", REFUSED_PAUSE_S),
        # The platform counts those: ten an hour, and whoever comes with the right code needs one.
        ("activation-code-wrong", PAPERS_PAUSE_S),
    ],
)
def test_a_box_that_is_refused_is_told_and_tried_again_later(tmp_path: Path, code: str, pause: float) -> None:
    bench = Bench(DummyVerbs(refuses=code), tmp_path, waits=2)
    bench.connection.bring_up()
    assert bench.ready == []
    assert bench.refused == [code] * 2
    assert bench.pauses == [pause] * 2
    assert Settings().enrolment_failures_per_hour > 3600 / PAPERS_PAUSE_S


def test_another_box_needs_its_papers(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(), tmp_path, box="11112222", waits=1)
    bench.connection.bring_up()
    assert bench.refused == ["not-enrolled"]
    (tmp_path / "boxes.json").write_text(
        json.dumps({"11112222": {"smart_card_number": "8310220477550027", "activation_code": "246810"}})
    )
    bench = Bench(DummyVerbs(), tmp_path, box="11112222")
    bench.connection.bring_up()
    assert bench.verbs.enrolled == [("11112222", "8310220477550027", SecretText("246810"))]
    assert bench.files.enrolment(BOX) is None


def test_papers_hide_what_is_secret_and_say_what_is_missing(tmp_path: Path) -> None:
    files = BoxFiles(tmp_path)
    assert "246810" not in repr(files.papers(BOX))
    (tmp_path / "boxes.json").write_text("[")
    with pytest.raises(BoxUnknown, match=r"boxes\.json"):
        files.papers("1")
    (tmp_path / "enrolment.json").write_text("[")
    assert files.enrolment(BOX) is None


def test_the_hotline_outlives_the_power(tmp_path: Path) -> None:
    assert BoxFiles(tmp_path).hotline() == {}
    BoxFiles(tmp_path).keep_hotline("96123")
    BoxFiles(tmp_path).keep_hotline("96124")
    assert BoxFiles(tmp_path).hotline() == {"hotline": "96124"}
    BoxFiles(tmp_path / "gone").keep_hotline("96125")  # nothing can be kept there
    assert BoxFiles(tmp_path / "gone").hotline() == {}
