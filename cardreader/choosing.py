"""All readers of the PC/SC service as one; of several that have a card the one that somebody has chosen."""

from __future__ import annotations

import threading
from dataclasses import replace

from cardreader.errors import ReaderUnavailable
from cardreader.pcsc import PcscConnection, PcscReader, Slot, slots


class ChoosingReader:
    """Takes the reader that was chosen whenever that has a card, else what `PcscReader` takes by itself.

    Attributes:
        chosen: name of the reader that was chosen; empty as long as none was.
    """

    def __init__(self) -> None:
        self._any = PcscReader()
        self._one = self._any
        self._powered = self._any
        self.chosen = ""

    @property
    def name(self) -> str:
        return self._powered.name

    @property
    def simulated(self) -> bool:
        return self._powered.simulated

    def slots(self) -> list[Slot]:
        """All readers there are. Raises ReaderUnavailable."""
        return [
            replace(one, silent=self._any.hangs(one.name) or self._one.hangs(one.name)) for one in slots()
        ]

    def choose(self, name: str) -> None:
        """From now on this reader comes first."""
        self.chosen, self._one = name, PcscReader(name)

    def card_present(self) -> bool:
        return self._best().card_present()

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> PcscConnection:
        self._powered = self._best()
        return self._powered.wait_for_card(timeout, cancel)

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        self._powered.wait_for_removal(timeout, cancel)

    def _best(self) -> PcscReader:
        one = self._one
        try:
            return one if one.card_present() else self._any
        except ReaderUnavailable:
            return self._any
