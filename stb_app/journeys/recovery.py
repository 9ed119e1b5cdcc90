"""Delivering the proofs that are still on this box: after a power cut, after a night without a network."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.steps import Finished, finished
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.problem import Problem

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


class Recovery:
    """Runs as long as the television does. Posts a Finished for every payment that it could bring to its end."""

    def __init__(self, client: TspClient, memory: Memory, waits: Waits) -> None:
        self._client = client
        self._memory = memory
        self._waits = waits
        self._cancel = threading.Event()

    def run(self, post: Callable[[Finished], None]) -> None:
        pause = FIRST_PAUSE_S
        while not self._waits.pause(pause, self._cancel):
            failed = False
            for record in self._memory.proven():
                end = self._deliver(record)
                if end is None:
                    failed = True
                else:
                    post(end)
            pause = min(pause * 2, LONGEST_PAUSE_S) if failed else FIRST_PAUSE_S

    def cancel(self) -> None:
        self._cancel.set()

    def _deliver(self, record: OpenPayment) -> Finished | None:
        """None while nobody answers. A refusal closes the record here: the payment is a case at the TSP."""
        assert record.tac is not None
        assert record.mac2 is not None
        try:
            payment = self._client.debited(
                record.payment, bytes.fromhex(record.tac), bytes.fromhex(record.mac2), None, record.proof_key
            )
        except Problem as problem:
            if problem.unanswered or problem.retryable or problem.code == "not-enrolled":
                return None
            self._memory.forget(record.payment)
            return Finished("pending", problem.money, problem.code, None, problem.facts)
        self._memory.forget(record.payment)
        return finished(payment)
