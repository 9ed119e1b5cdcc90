"""The bench buys as the television does."""

from __future__ import annotations

import threading
from typing import Any

from bench.purse import Stopwatch, purchase
from cardreader.psam import Psam
from cardreader.readers import open_reader
from cardreader.sim.psam import open_psam
from tests.stb_app.journeys.test_earlier import Home


class Counted:
    """A slot whose card's commands are counted."""

    def __init__(self) -> None:
        self._reader = open_reader("sim:good")
        self.watches: list[Stopwatch] = []

    def wait_for_card(self, *arguments: Any) -> Stopwatch:
        self.watches.append(Stopwatch(self._reader.wait_for_card(*arguments)))
        return self.watches[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def test_it_sends_the_card_as_many_commands() -> None:
    home, reader = Home(), Counted()
    home.reader = reader  # type: ignore[assignment]
    assert home.pay().outcome == "success"
    card = open_reader("sim:good").wait_for_card(1, threading.Event())
    figures = purchase(card, Psam(open_psam(1, None)))
    assert figures.apdus == sum(watch.apdus for watch in reader.watches)
