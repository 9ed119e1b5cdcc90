"""From an address to a television that can be used:
says hello, enrols the box, hands the verbs over. On a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Loaded, Refused
from stb_app.journeys.verbs import Verbs
from stb_app.shell.box import BoxFiles, BoxUnknown
from stb_app.tsp.client import Credentials
from stb_app.tsp.model import Hello
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between attempts while nobody answers; the last one from then on."""
REFUSED_PAUSE_S = 30.0
TOLD_AFTER = 4
"""So many attempts without an answer are still called connecting."""
NOT_ENROLLED = "not-enrolled"


class Connection:
    """Brings one box to one TSP, as often as it takes.

    Args:
        verbs: made, not connected.
        box_number: this box.
        files: where its papers and its token are.
        ready: gets the TSP's hello; the verbs can be used. Called on this object's thread, again after every
        ``connect``.
        refused: the box is not accepted, for the reason of this code, or nobody answers; it is tried again.
        wait: waits for seconds and returns True when it was ended by ``close``; a test passes its own.
    """

    def __init__(
        self,
        verbs: Verbs,
        box_number: str,
        files: BoxFiles,
        ready: Callable[[Hello], None],
        refused: Callable[[str], None],
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._verbs = verbs
        self._box_number = box_number
        self._files = files
        self._ready = ready
        self._refused = refused
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._round = 0

    def connect(self, url: str) -> threading.Thread:
        """Begins, or begins anew with another address."""
        self._round += 1
        self._verbs.client.connect(url)
        thread = threading.Thread(target=self.bring_up, args=(self._round,), name="connection", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self._closing.set()

    def bring_up(self, turn: int = 0) -> None:
        """Returns when the box is connected, or another ``connect`` or ``close`` has come in between."""
        attempt = 0
        while turn == self._round and not self._closing.is_set():
            problem = self._once()
            if problem is None:
                return
            if problem.retryable or problem.code == "tsp-unreachable":
                pause = PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
                if attempt == TOLD_AFTER - 1:
                    self._refused(problem.code)
            else:
                pause = REFUSED_PAUSE_S
                self._refused(problem.code)
            attempt += 1
            if self._wait(pause):
                return

    def _once(self) -> Refused | None:
        hello = answer(self._verbs.hello())
        if isinstance(hello, Refused):
            return hello
        client = self._verbs.client
        token = self._files.token(self._box_number)
        if token is not None:
            client.credentials = Credentials(self._box_number, token)
            known = answer(self._verbs.home())
            if isinstance(known, Refused) and known.code != NOT_ENROLLED:
                return known
            token = None if isinstance(known, Refused) else token
        if token is None:
            problem = self._enrol()
            if problem is not None:
                return problem
        self._ready(hello)
        return None

    def _enrol(self) -> Refused | None:
        try:
            papers = self._files.papers(self._box_number)
        except BoxUnknown as unknown:
            log.error("%s", unknown)
            return Refused(NOT_ENROLLED)
        client = self._verbs.client
        client.not_enrolled_because = None
        subscriber = answer(
            self._verbs.enrol(papers.box_number, papers.smart_card_number, papers.activation_code)
        )
        if isinstance(subscriber, Refused):
            if not subscriber.retryable:
                # Nobody who asks for anything from now on is told just that this box is not enrolled.
                client.not_enrolled_because = Problem(subscriber.code, facts=subscriber.facts)
            return subscriber
        credentials = client.credentials
        if credentials is not None:
            self._files.keep_token(credentials.box_number, credentials.token)
        return None


def answer(journey: Journey[Any]) -> Any:
    """Runs a journey that asks one thing, on this thread; its value, or the Refused."""
    steps: list[Any] = []
    journey.run(steps.append)
    last = steps[-1] if steps else Refused("tsp-unreachable", retryable=True)
    return last.value if isinstance(last, Loaded) else last
