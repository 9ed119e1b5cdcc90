"""Of several readers with a card the chosen one is taken; without a card, or unplugged, the others go on."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cardreader import choosing
from cardreader.errors import ReaderUnavailable
from cardreader.sim.reader import SimReader

NEVER = threading.Event()
SLOTS: dict[str, SimReader] = {}


class Named:
    """A reader by part of its name, as `PcscReader`; empty is the first with a card."""

    simulated = True

    def __init__(self, wanted: str = "") -> None:
        self.name = wanted

    def _slot(self) -> SimReader:
        if self.name and self.name not in SLOTS:
            raise ReaderUnavailable("it is gone")
        with_card = [slot for slot in SLOTS.values() if slot.card_present()]
        return SLOTS[self.name] if self.name else [*with_card, *SLOTS.values()][0]

    def card_present(self) -> bool:
        return self._slot().card_present()

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> Any:
        return self._slot().wait_for_card(timeout, cancel)

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        self._slot().wait_for_removal(timeout, cancel)


@pytest.fixture(autouse=True)
def _two_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    SLOTS.clear()
    SLOTS.update({"A": SimReader("good"), "B": SimReader("debit-t0")})
    monkeypatch.setattr(choosing, "PcscReader", Named)


def test_the_chosen_reader_is_taken_while_it_has_a_card() -> None:
    reader = choosing.ChoosingReader()
    good, debit = (slot.card.atr for slot in SLOTS.values() if slot.card is not None)
    assert reader.wait_for_card(1, NEVER).atr == good
    reader.choose("B")
    assert reader.wait_for_card(1, NEVER).atr == debit
    assert reader.name == "B"
    SLOTS["B"].pull()
    reader.wait_for_removal(1, NEVER)  # of the card that was used, not of the other reader's
    assert reader.card_present()
    assert reader.wait_for_card(1, NEVER).atr == good
    del SLOTS["B"]
    assert reader.wait_for_card(1, NEVER).atr == good
