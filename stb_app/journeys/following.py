"""Following a payment or a load whose end is not known yet, or a payment to which money may still come late."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cardreader.errors import CardReaderError
from cardreader.reader import Reader
from stb_app.journeys.steps import Finished, finished
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import LONG_POLL_S, TspClient
from stb_app.tsp.model import Load, Payment
from stb_app.tsp.problem import Problem

RETRY_S = 2.0
LOAD_LOOK_S, LOAD_FOLLOWED_S = 3.0, 1800.0
"""A load that has no end yet is looked at so often, and so long, by the page that tells of it."""


class Follow:
    """Posts a Finished each time the payment changes, for at most so many seconds; of one by card, with whether a card is in
    the slot: it may have been put back while its result was looked at.
    """

    def __init__(
        self, client: TspClient, waits: Waits, payment: Payment, seconds: float, reader: Reader
    ) -> None:
        self._client = client
        self._waits = waits
        self._payment = payment
        self._seconds = seconds
        self._reader = reader
        self._cancel = threading.Event()

    def run(self, post: Callable[[Finished], None]) -> None:
        until = self._waits.monotonic() + self._seconds
        payment = self._payment
        while not self._cancel.is_set() and (left := until - self._waits.monotonic()) > 0:
            try:
                now = self._client.payment(
                    payment.payment, payment.version, max(1, min(LONG_POLL_S, int(left)))
                )
            except Problem:
                # The screen already says that the end is not known; nothing new has been learnt.
                self._waits.pause(RETRY_S, self._cancel)
                continue
            if (now.state, now.money, now.reason) != (
                payment.state,
                payment.money,
                payment.reason,
            ) and not self._cancel.is_set():
                post(finished(now, card_in_slot=self._card_present()))
            payment = now
            if payment.state in ("done", "failed") or (
                payment.state == "late" and payment.money == "returned"
            ):
                return

    def _card_present(self) -> bool:
        try:
            return self._payment.method == "card" and self._reader.card_present()
        except CardReaderError:
            return False

    def cancel(self) -> None:
        self._cancel.set()


class FollowLoad:
    """Posts a load of electronic cash each time it has changed, until its end, or for so long as a page follows one."""

    def __init__(self, client: TspClient, waits: Waits, load: Load) -> None:
        self._client = client
        self._waits = waits
        self._load = load
        self._cancel = threading.Event()

    def run(self, post: Callable[[Load], None]) -> None:
        until = self._waits.monotonic() + LOAD_FOLLOWED_S
        load = self._load
        while not load.ended and self._waits.monotonic() < until:
            if self._waits.pause(LOAD_LOOK_S, self._cancel):
                return
            try:
                now = self._client.load(load.load)
            except Problem:
                continue  # nothing new has been learnt
            if now != load and not self._cancel.is_set():
                post(now)
            load = now

    def cancel(self) -> None:
        self._cancel.set()
