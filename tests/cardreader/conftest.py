"""The slots of the contract suite: the simulated one, and a real pcscd with the card in another process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cardreader.pcsc import PcscReader
from cardreader.reader import Connection, Reader
from cardreader.sim.reader import PullWhen, SimReader
from tests.cardreader.reader_side import ReaderSide
from tests.pcscd import VIRTUAL_READER, InsertedCard, running_pcscd

WAIT_S = 5.0
NEVER = threading.Event()


class Slot:
    """A reader, and hands that put demo cards into it."""

    reader: Reader
    connection: Connection | None = None

    def insert(self, profile: str, pull: PullWhen | None = None) -> Connection:
        raise NotImplementedError

    def pull(self) -> None:
        raise NotImplementedError


class SimSlot(Slot):
    def __init__(self, state_dir: Path) -> None:
        self.reader = self._reader = SimReader(None, str(state_dir))

    def insert(self, profile: str, pull: PullWhen | None = None) -> Connection:
        self._reader.insert(profile)
        self._reader.pull_when = pull
        return self._reader.wait_for_card(WAIT_S, NEVER)

    def pull(self) -> None:
        self._reader.pull()


class PcscdSlot(Slot):
    def __init__(self, state_dir: Path) -> None:
        self.reader = PcscReader(VIRTUAL_READER)
        self._state_dir = state_dir
        self.card: InsertedCard | None = None

    def insert(self, profile: str, pull: PullWhen | None = None) -> Connection:
        self.pull()
        self.card = InsertedCard(profile, self._state_dir, *(("--pull", pull) if pull else ()))
        self.connection = self.reader.wait_for_card(WAIT_S, NEVER)
        return self.connection

    def pull(self) -> None:
        if self.card is not None:
            self.card.pull()
            self.card = None
            self.reader.wait_for_removal(WAIT_S, NEVER)


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Callable[[], None]]:
    with running_pcscd() as restart:
        yield restart


@pytest.fixture(params=["sim", pytest.param("pcscd", marks=pytest.mark.pcscd)])
def slot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Slot]:
    if request.param == "pcscd":
        request.getfixturevalue("pcscd")
    slot = SimSlot(tmp_path) if request.param == "sim" else PcscdSlot(tmp_path)
    yield slot
    slot.pull()
    if slot.connection is not None:
        slot.connection.close()


@pytest.fixture
def side() -> Iterator[ReaderSide]:
    side = ReaderSide()
    yield side
    side.close()
