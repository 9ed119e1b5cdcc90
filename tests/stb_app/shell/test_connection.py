"""From an address to verbs that can be used: hello, the stored token, enrolment, and what may refuse."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stb_app.journeys.steps import Loaded, Refused
from stb_app.kit.clock import CHINA
from stb_app.shell.box import BoxFiles, BoxUnknown
from stb_app.shell.connection import PAUSES_S, REFUSED_PAUSE_S, Connection
from stb_app.tsp.client import Credentials
from stb_app.tsp.model import Hello

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
    credentials: Credentials | None = None
    url = ""

    def connect(self, url: str) -> None:
        self.url = url


class DummyVerbs:
    """A TSP that knows some tokens. ``unanswered`` hellos get no answer first."""

    def __init__(self, unanswered: int = 0, refuses: str | None = None) -> None:
        self.client = DummyClient()
        self.tokens: set[str] = set()
        self.enrolled: list[tuple[str, ...]] = []
        self._unanswered = unanswered
        self._refuses = refuses

    def hello(self) -> Tell:
        def answer() -> Any:
            self._unanswered -= 1
            return Refused("tsp-unreachable", retryable=True) if self._unanswered >= 0 else HELLO

        return Tell(answer)

    def home(self) -> Tell:
        known = self.client.credentials is not None and self.client.credentials.token in self.tokens
        return Tell(lambda: "home" if known else Refused("not-enrolled"))

    def enrol(self, *papers: str) -> Tell:
        def answer() -> Any:
            if self._refuses:
                return Refused(self._refuses)
            self.enrolled.append(papers)
            token = f"token-{len(self.enrolled)}"
            self.tokens.add(token)
            self.client.credentials = Credentials(papers[0], token)
            return "subscriber"

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
        self.connection = Connection(verbs, box, self.files, self.ready.append, self.refused.append, wait)  # type: ignore[arg-type]


def test_a_new_box_is_enrolled_and_its_token_kept_for_its_owner_only(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(), tmp_path)
    bench.connection.bring_up()
    assert bench.ready == [HELLO]
    assert bench.verbs.enrolled == [(BOX, "8310220477550019", "246810")]
    assert bench.files.token(BOX) == "token-1"
    assert stat.S_IMODE((tmp_path / "enrolment.json").stat().st_mode) == 0o600


def test_a_known_token_is_used_again_and_a_forgotten_one_replaced(tmp_path: Path) -> None:
    verbs = DummyVerbs()
    Bench(verbs, tmp_path).connection.bring_up()
    Bench(verbs, tmp_path).connection.bring_up()
    assert len(verbs.enrolled) == 1
    verbs.tokens.clear()
    Bench(verbs, tmp_path).connection.bring_up()
    assert len(verbs.enrolled) == 2
    assert BoxFiles(tmp_path).token(BOX) == "token-2"


def test_a_token_that_no_header_carries_is_none(tmp_path: Path) -> None:
    files = BoxFiles(tmp_path)
    for token in ("t\u00f6ken", "to\nken"):
        files.keep_token(BOX, token)
        assert files.token(BOX) is None


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


def test_a_box_that_is_refused_is_told_and_tried_again_later(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(refuses="box-suspended"), tmp_path, waits=2)
    bench.connection.bring_up()
    assert bench.ready == []
    assert bench.refused == ["box-suspended"] * 2
    assert bench.pauses == [REFUSED_PAUSE_S] * 2


def test_another_box_needs_its_papers(tmp_path: Path) -> None:
    bench = Bench(DummyVerbs(), tmp_path, box="11112222", waits=1)
    bench.connection.bring_up()
    assert bench.refused == ["not-enrolled"]
    (tmp_path / "boxes.json").write_text(
        json.dumps({"11112222": {"smart_card_number": "8310220477550027", "activation_code": "246810"}})
    )
    bench = Bench(DummyVerbs(), tmp_path, box="11112222")
    bench.connection.bring_up()
    assert bench.verbs.enrolled == [("11112222", "8310220477550027", "246810")]
    assert bench.files.token(BOX) is None


def test_papers_hide_what_is_secret_and_say_what_is_missing(tmp_path: Path) -> None:
    files = BoxFiles(tmp_path)
    assert "246810" not in repr(files.papers(BOX))
    (tmp_path / "boxes.json").write_text("[")
    with pytest.raises(BoxUnknown, match=r"boxes\.json"):
        files.papers("1")
    (tmp_path / "enrolment.json").write_text("[")
    assert files.token(BOX) is None
