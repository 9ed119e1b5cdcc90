"""Watching the card slot beside a page that stays: the card is taken out, and then another one, or the same, is put in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from cardreader.errors import Cancelled, CardTimeout, ReaderUnavailable
from cardreader.reader import Reader
from stb_app.journeys.steps import CardMoved
from stb_app.journeys.waiting import Waits

log = logging.getLogger(__name__)
SLICE_S = 60.0
LOOK_S = 0.5
"""How often it looks whether a card has come: it powers none, for the slot may be somebody else's meanwhile."""


class SlotWatch:
    """Posts when the card that was powered last has left, then when there is one again, and is over."""

    def __init__(self, reader: Reader, waits: Waits) -> None:
        self._reader = reader
        self._waits = waits
        self._cancel = threading.Event()

    def run(self, post: Callable[[CardMoved], None]) -> None:
        try:
            self._until_gone()
            post(CardMoved(inside=False))
            while not self._card_present():
                if self._waits.pause(LOOK_S, self._cancel):
                    return
            post(CardMoved(inside=True))
        except Cancelled:
            return
        except Exception:
            log.exception("watching the card slot")

    def cancel(self) -> None:
        self._cancel.set()

    def _until_gone(self) -> None:
        while True:
            try:
                self._reader.wait_for_removal(SLICE_S, self._cancel)
            except CardTimeout:
                continue
            except ReaderUnavailable:  # and its card with it
                return
            return

    def _card_present(self) -> bool:
        try:
            return self._reader.card_present()
        except ReaderUnavailable:
            return False
