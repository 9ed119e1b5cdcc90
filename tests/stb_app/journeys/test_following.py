"""What a page that tells of an open load hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from stb_app.journeys.following import LOAD_FOLLOWED_S, LOAD_LOOK_S, FollowLoad
from stb_app.tsp.model import Load
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import FastWaits
from tests.stb_app.journeys.dummy_tsp import load_of

OPEN = load_of("load-1", "unknown", "unknown", None, None)
LOADED = load_of("load-1", "loaded", "taken", None, None)
DISPUTED = load_of("load-1", "unknown", "unknown", "load-disputed", None)


class Tsp:
    """Answers a load as it stands, one after the other; the last one for ever."""

    def __init__(self, *answers: Load | Problem) -> None:
        self.answers = list(answers)
        self.asked = 0

    def load(self, load: str) -> Load:
        assert load == "load-1"
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Problem):
            raise answer
        return answer


def heard(tsp: Any, load: Load = OPEN, waits: FastWaits | None = None) -> list[Load]:
    posted: list[Load] = []
    FollowLoad(tsp, waits or FastWaits(), load).run(posted.append)
    return posted


@pytest.mark.parametrize("end", [LOADED, DISPUTED], ids=["loaded", "disputed"])
def test_a_load_is_looked_at_until_its_end_and_only_changes_are_told(end: Load) -> None:
    tsp = Tsp(OPEN, Problem("tsp-unreachable", retryable=True), OPEN, end)
    assert heard(tsp) == [end]
    assert tsp.asked == 4


def test_one_that_is_over_is_not_asked_for() -> None:
    tsp = Tsp(LOADED)
    assert heard(tsp, LOADED) == []
    assert tsp.asked == 0


def test_one_that_never_ends_is_given_up() -> None:
    tsp, waits = Tsp(OPEN), FastWaits()
    assert heard(tsp, waits=waits) == []
    assert tsp.asked == LOAD_FOLLOWED_S / LOAD_LOOK_S


def test_whoever_has_left_the_page_hears_nothing() -> None:
    tsp: Any = Tsp(LOADED)
    follow = FollowLoad(tsp, FastWaits(), OPEN)
    follow.cancel()
    follow.run(lambda load: pytest.fail("nobody looks"))
    assert tsp.asked == 0
