"""From an address to a television that can be used:
says hello, enrols the box, hands the verbs over. On a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Loaded, Refused
from stb_app.journeys.verbs import Verbs
from stb_app.shell.box import BoxFiles, BoxUnknown, Enrolment, Papers
from stb_app.tsp.model import Hello
from stb_app.tsp.problem import Problem

if TYPE_CHECKING:
    from stb_app.tsp.signing import Identity

log = logging.getLogger(__name__)
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between attempts while nobody answers; the last one from then on."""
REFUSED_PAUSE_S = 30.0
PAPERS_PAUSE_S = 600.0
WRONG_PAPERS = frozenset({"activation-code-wrong", "box-unknown", "too-many-requests"})
"""The platform counts these against the box: whoever comes with the right papers must find some attempts left."""
TOLD_AFTER = 4
"""So many attempts without an answer are still called connecting."""
NOT_ENROLLED = "not-enrolled"
REPLACED = "key-replaced"
KEY_AGE = timedelta(days=90)
"""A key that is older is changed at the next start."""


class Connection:
    """Brings one box to one TSP, as often as it takes.

    Args:
        verbs: made, not connected.
        box_number: this box.
        files: where its papers and its key are.
        ready: gets the TSP's hello; the verbs can be used. Called on this object's thread, again after every
        ``connect``.
        refused: the box is not accepted, for the reason of this code, or nobody answers; it is tried again.
        ours: the TSP is the bundled one, in the box's own keeping: when it was made anew, the box enrols anew.
        now: the present instant by the box's clock.
        wait: waits for seconds and returns True when it was ended by ``close``; a test passes its own.
    """

    def __init__(
        self,
        verbs: Verbs,
        box_number: str,
        files: BoxFiles,
        ready: Callable[[Hello], None],
        refused: Callable[[str], None],
        now: Callable[[], datetime],
        ours: bool = False,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._verbs = verbs
        self._box_number = box_number
        self._files = files
        self._ready = ready
        self._refused = refused
        self._now = now
        self._ours = ours
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
                self._finish_later(turn)
                return
            if problem.retryable or problem.code == "tsp-unreachable":
                pause = PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
                if attempt == TOLD_AFTER - 1:
                    self._refused(problem.code)
            else:
                pause = PAPERS_PAUSE_S if problem.code in WRONG_PAPERS else REFUSED_PAUSE_S
                self._refused(problem.code)
            attempt += 1
            if self._wait(pause):
                return

    def _once(self) -> Refused | None:
        client = self._verbs.client
        enrolment = self._files.enrolment(self._box_number)
        client.identity = None if enrolment is None else self._files.identity(enrolment)
        if enrolment is not None and client.identity is not None:
            client.keep_server_keys = self._keep_server_keys
        hello = answer(self._verbs.hello())
        if isinstance(hello, Refused) and hello.code == REPLACED and enrolment is not None:
            # The TSP signs with a key that this box was to learn, and has heard of the box's new one before.
            self._finish_rotation(enrolment)
            hello = answer(self._verbs.hello())
        if isinstance(hello, Refused) and not (hello.code == "tsp-not-trusted" and self._ours):
            return hello
        known = None if client.identity is None else self._known(enrolment)
        if known is None or known.code == NOT_ENROLLED or (known.code == "tsp-not-trusted" and self._ours):
            client.identity = None
            problem = self._enrol()
            if problem is not None:
                return problem
            hello = answer(self._verbs.hello())
        elif known.code:
            return known
        if isinstance(hello, Refused):
            return hello
        self._ready(hello)
        return None

    def _known(self, enrolment: Enrolment | None) -> Refused:
        """What the TSP says to the stored key; a Refused without a code: it is good."""
        assert enrolment is not None
        self._finish_rotation(enrolment)
        known = answer(self._verbs.home())
        if isinstance(known, Refused):
            return known
        self._rotate_when_old(self._files.enrolment(self._box_number))
        return Refused("")

    def _enrol(self) -> Refused | None:
        try:
            papers = self._files.papers(self._box_number)
        except BoxUnknown as unknown:
            log.error("%s", unknown)
            return Refused(NOT_ENROLLED)
        client = self._verbs.client
        client.not_enrolled_because = None
        problem = enrol(self._verbs, self._files, papers, self._now())
        if problem is not None and not problem.retryable:
            # Nobody who asks for anything from now on is told just that this box is not enrolled.
            client.not_enrolled_because = Problem(problem.code, facts=problem.facts)
        client.keep_server_keys = self._keep_server_keys
        return problem

    def _rotate_when_old(self, enrolment: Enrolment | None) -> None:
        if enrolment is not None and self._now() - enrolment.enrolled_at > KEY_AGE:
            problem = rotate(self._verbs, self._files, enrolment, self._now())
            if problem is not None:
                log.warning("the key is not changed yet: %s", problem.code)

    def _finish_later(self, turn: int) -> None:
        """A television may run for months: the old key ends meanwhile, if the TSP has heard of the new one."""
        while (
            turn == self._round
            and (enrolment := self._files.enrolment(self._box_number)) is not None
            and enrolment.next_key is not None
            and not self._wait(REFUSED_PAUSE_S)
        ):
            self._finish_rotation(enrolment)

    def _finish_rotation(self, enrolment: Enrolment) -> None:
        """The box was interrupted while it changed its key: whether the TSP has heard of the new one is not known."""
        if enrolment.next_key is None:
            return
        problem = rotate(self._verbs, self._files, enrolment, self._now())
        if problem is None or problem.code not in (NOT_ENROLLED, REPLACED):
            return
        new = self._files.identity(enrolment, enrolment.next_key)
        if new is not None:
            self._verbs.client.identity = new
            self._files.keep(replace(enrolment, key_id=new.key_id, next_key=None, enrolled_at=self._now()))

    def _keep_server_keys(self, identity: Identity) -> None:
        enrolment = self._files.enrolment(self._box_number)
        if enrolment is not None:
            self._files.keep(replace(enrolment, server_keys=_hex(identity)))


def enrol(verbs: Verbs, files: BoxFiles, papers: Papers, now: datetime) -> Refused | None:
    """Makes a key, has the box enrolled with it and keeps both. The Refused when it is not."""
    try:
        new = files.new_identity(papers.box_number)
        told = answer(verbs.enrol(new, papers.smart_card_number, papers.activation_code))
        if isinstance(told, Refused):
            return told
        enrolled = verbs.client.identity or new
        files.keep(Enrolment(papers.box_number, enrolled.key_id, now, _hex(enrolled)))
    except OSError:
        log.exception("the key cannot be kept")
        return Refused("box-storage")
    return None


def rotate(verbs: Verbs, files: BoxFiles, enrolment: Enrolment, now: datetime) -> Refused | None:
    """Goes over to a new key, or to the one that was begun with. The Refused when the old one is still in use."""
    try:
        new = files.identity(enrolment, enrolment.next_key) if enrolment.next_key else None
        new = new or files.new_identity(enrolment.box_number)
        files.keep(replace(enrolment, next_key=new.key_id))
        now_used = verbs.client.identity
        # Where the TSP has said yes and the disk was full it is in use already.
        if now_used is None or now_used.key_id != new.key_id:
            told = answer(verbs.rotate(new))
            if isinstance(told, Refused):
                return told
        files.keep(replace(enrolment, key_id=new.key_id, next_key=None, enrolled_at=now))
    except OSError:
        log.exception("the key cannot be kept")
        return Refused("box-storage")
    return None


def _hex(identity: Identity) -> dict[str, str]:
    return {name: key.hex() for name, key in identity.server_keys.items()}


def answer(journey: Journey[Any]) -> Any:
    """Runs a journey that asks one thing, on this thread; its value, or the Refused."""
    steps: list[Any] = []
    journey.run(steps.append)
    last = steps[-1] if steps else Refused("tsp-unreachable", retryable=True)
    return last.value if isinstance(last, Loaded) else last
