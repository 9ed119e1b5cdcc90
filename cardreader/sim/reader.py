"""A card slot in this process, with hands that put demo cards in and pull them out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cardreader.errors import Cancelled, CardRemoved, CardTimeout, ProtocolError, ReaderUnavailable
from cardreader.lab.faults import Fault, FaultyCard, order, parse
from cardreader.reader import OwnCard
from cardreader.sim.card import CardLeft, DemoCard
from cardreader.sim.cos import Random
from cardreader.sim.emv.profile import EmvProfile
from cardreader.sim.profiles import FILE_SUFFIX, NAMES, Profile, find_profile, make_card, store_of
from cardreader.sim.store import Store

PullWhen = Literal["before-debit", "after-debit"]
_CANCEL_CHECK_S = 0.1
_AT_DEBIT: dict[PullWhen, Fault] = {"before-debit": parse("pull@8054"), "after-debit": parse("lose@8054")}


class SimReader:
    """A simulated slot. Safe to use from several threads.

    Args:
        profile: the card that is in it from the beginning; None leaves it empty.
        state_dir: folder that keeps the cards' state; None keeps it in memory, as long as the reader lives.
        random: source of the cards' random numbers.
        monotonic: seconds of a clock that only goes forward.

    Raises:
        ReaderUnavailable: no such profile.
        StateDamaged, ProtocolError: as `insert`.
    """

    simulated = True

    def __init__(
        self,
        profile: str | None = None,
        state_dir: str | None = None,
        *,
        random: Random = os.urandom,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "Simulated reader"
        self._state_dir = state_dir
        self._random = random
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._stores: dict[str, Store] = {}
        self._own: dict[str, OwnCard] = {}
        self._files: dict[str, Path] = {}
        """Where those are, absolute."""
        self._card: DemoCard | None = None
        self._faults: list[Fault] = []
        self._faulty: FaultyCard | None = None
        self._profile = ""
        self._insertions = 0
        self._powered = 0
        if profile is not None:
            try:
                self.insert(profile)
            except KeyError:
                raise ReaderUnavailable(
                    f"no demo card {profile!r}; there are {', '.join(NAMES)}, and your own FILE.toml"
                ) from None

    @property
    def profile(self) -> str | None:
        """Name of the profile of the card in the slot, or None."""
        return None if self._card is None else self._profile

    @property
    def own(self) -> tuple[OwnCard, ...]:
        """The cards of files that were to be put in so far, as those were read last."""
        return tuple(self._own.values())

    def read_own(self) -> None:
        """Reads those files again, and what their cards have kept."""
        for name in tuple(self._files):
            with suppress(ProtocolError):
                self._made(name)

    @property
    def card(self) -> DemoCard | None:
        """The card in the slot, for tests."""
        return self._card

    @property
    def faults(self) -> tuple[str, ...]:
        """What was ordered and has not happened yet."""
        return tuple(map(str, tuple(self._faults)))

    @property
    def happened(self) -> tuple[tuple[int, str], ...]:
        """The faults of the card that was put in last, each with the number of its command."""
        faulty = self._faulty
        return () if faulty is None else tuple((number, str(fault)) for number, fault in faulty.happened)

    def order_fault(self, fault: str) -> None:
        """Orders a fault of this card, or of the next one that gets to its command.

        Raises:
            AlreadyOrdered: it waits already; nothing has changed.
            ValueError: it is none.
        """
        ordered = parse(fault)
        with self._changed:
            order(ordered, self._faults)

    def forget_faults(self) -> None:
        """None of those that have not happened yet will."""
        with self._changed:
            self._faults.clear()

    @property
    def pull_when(self) -> PullWhen | None:
        """The fault of a purse: its card leaves at the next DEBIT, before it has debited (``"before-debit"``) or after, but
        before its answer is out (``"after-debit"``). None when none was ordered, or it has happened.
        """
        return next((when for when, fault in _AT_DEBIT.items() if fault in self._faults), None)

    @pull_when.setter
    def pull_when(self, when: PullWhen | None) -> None:
        with self._changed:
            self._faults[:] = [one for one in self._faults if one not in _AT_DEBIT.values()]
            if when is not None:
                self._faults.append(_AT_DEBIT[when])

    def insert(self, profile: str) -> None:
        """Puts a demo card in, in place of one that may be in.

        Args:
            profile: one of the simulator's, or a file ``FOLDER/NAME.toml``: from then on ``NAME.toml`` is that one, wherever
                the program was started, and is read anew each time.

        Raises:
            KeyError: no such profile.
            StateDamaged: the card's state cannot be read.
            ProtocolError: its profile's file cannot.
        """
        with self._changed:
            self._card, self._profile = self._made(profile)
            self._insertions += 1
            self._faulty = FaultyCard(self._card, self._faults, self._dawdle)
            self._changed.notify_all()

    def _made(self, profile: str) -> tuple[DemoCard, str]:
        """A card and its profile's name; what became of it is remembered of a file. Raises as `insert`."""
        if not profile.endswith(FILE_SUFFIX):
            return self._made_of(find_profile(profile))
        name = Path(profile).name
        path = self._files[name] = self._files.get(profile, Path(profile).absolute())
        known = self._own.get(name, OwnCard(name, ""))
        try:
            wanted = find_profile(str(path))
            known = OwnCard(name, wanted.description)
            made = self._made_of(wanted)
        except ProtocolError as error:
            self._own[name] = replace(known, problem=str(error))
            raise
        self._own[name] = known
        return made

    def _made_of(self, wanted: Profile | EmvProfile) -> tuple[DemoCard, str]:
        with self._changed:
            store = self._stores.setdefault(wanted.name, store_of(wanted, self._state_dir))
            return make_card(wanted, store, self._random), wanted.name

    def pull(self) -> None:
        """Pulls the card out. Harmless when the slot is empty."""
        with self._changed:
            self._card = None
            self._changed.notify_all()

    def card_present(self) -> bool:
        return self._card is not None

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> SimConnection:
        with self._changed:
            self._wait(lambda: self._card is not None, timeout, cancel, "no card was put in")
            assert self._faulty is not None
            self._faulty.power_on()
            self._powered = self._insertions
            return SimConnection(self, self._insertions)

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        with self._changed:
            gone = self._powered
            self._wait(
                lambda: self._card is None or 0 < gone < self._insertions,
                timeout,
                cancel,
                "the card was not taken out",
            )

    def _wait(self, arrived: Callable[[], bool], timeout: float, cancel: threading.Event, late: str) -> None:
        deadline = self._monotonic() + timeout
        while True:
            if cancel.is_set():
                raise Cancelled("waiting for the slot was cancelled")
            if arrived():
                return
            left = deadline - self._monotonic()
            if left <= 0:
                raise CardTimeout(f"{late} within {timeout:g} seconds")
            # Condition and event cannot be waited for together: the slot wakes us at once, the event soon.
            self._changed.wait(min(left, _CANCEL_CHECK_S))

    def _transmit(self, insertion: int, apdu: bytes) -> tuple[bytes, int]:
        with self._changed:
            self._still_in(insertion)
            assert self._faulty is not None
            try:
                answer = self._faulty.transmit(apdu)
            except CardLeft as left:
                self.pull()
                raise CardRemoved("the card was pulled out during the command") from left
            self._still_in(insertion)
            return answer

    def _still_in(self, insertion: int) -> None:
        if self._card is None or insertion != self._insertions:
            raise CardRemoved("the card was pulled out")

    def _dawdle(self, seconds: float) -> None:
        """A card that takes its time can be pulled meanwhile."""
        insertion = self._insertions
        self._changed.wait_for(lambda: self._card is None or insertion != self._insertions, seconds)


class SimConnection:
    """A connection to the card that was in the slot when it was made."""

    def __init__(self, reader: SimReader, insertion: int) -> None:
        self._reader = reader
        self._insertion = insertion
        self._open = True
        assert reader.card is not None
        self.atr = reader.card.atr

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if not self._open:
            raise CardRemoved("the connection is closed")
        return self._reader._transmit(self._insertion, apdu)

    def close(self) -> None:
        self._open = False
