"""The contract of every reader and card connection."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cardreader.pcsc import Slot


@runtime_checkable
class Connection(Protocol):
    """A powered card. One method, bytes in, bytes out."""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Sends one command APDU as it stands and returns (response data, status word).

        No GET RESPONSE, no Le correction: that is ``apdu.Channel``'s work.

        Raises:
            CardRemoved: the card left; whether it carried the command out is not known.
        """
        ...

    def close(self) -> None:
        """Lets go of the card (power off where the reader can do so safely). Idempotent."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A slot into which a person puts a card."""

    @property
    def name(self) -> str:
        """As the reader service calls it; shown to testers."""
        ...

    @property
    def simulated(self) -> bool:
        """True when no real card can be in it: the television shows its TEST mark."""
        ...

    def card_present(self) -> bool:
        """Whether a card is in the slot now. Raises ReaderUnavailable."""
        ...

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> Connection:
        """Waits until a card is in the slot (it may be in already), powers it and returns the connection.

        Args:
            timeout: seconds, > 0.
            cancel: set by another thread to stop waiting at once (within 0.2 s).

        Raises:
            CardTimeout, Cancelled, ReaderUnavailable; CardRemoved when it was pulled while being powered.
        """
        ...

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        """Waits until the slot is empty, or holds another card than the one that was powered last (a quick hand). Raises CardTimeout, Cancelled, ReaderUnavailable."""
        ...


@runtime_checkable
class SeveralSlots(Protocol):
    """What a reader has besides that is all those of a service."""

    chosen: str
    """Name of the reader that was chosen; empty as long as none was."""

    def slots(self) -> list[Slot]:
        """All readers there are. Raises ReaderUnavailable."""
        ...

    def choose(self, name: str) -> None:
        """From now on this reader is taken whenever it has a card."""
        ...


@dataclass(frozen=True, slots=True)
class OwnCard:
    """A card of a tester's own file.

    Attributes:
        name: what ``SimulatedSlot.insert`` takes.
        description: one line about it; empty as long as it could not be read.
        problem: why it cannot be put in; empty when it can.
    """

    name: str
    description: str
    problem: str = ""


@runtime_checkable
class SimulatedSlot(Protocol):
    """What a ``sim:`` reader has besides: hands that put a card in and pull it out."""

    profile: str | None
    """Name of the profile of the card in the slot, or None."""

    @property
    def own(self) -> tuple[OwnCard, ...]:
        """The cards of a tester's own files that were to be put in so far, as their files were read last."""
        ...

    def read_own(self) -> None:
        """Reads those files again: what is wrong with one may have been mended."""
        ...

    def insert(self, profile: str) -> None:
        """Puts the card of that profile in; its state persists between insertions.

        Raises: nothing is put in.
            KeyError: no such profile.
            StateDamaged: its stored state cannot be read.
            ProtocolError: its profile's file cannot.
        """
        ...

    @property
    def faults(self) -> tuple[str, ...]:
        """What was ordered and has not happened yet, as ``order_fault`` takes it."""
        ...

    @property
    def happened(self) -> tuple[tuple[int, str], ...]:
        """The faults of the card that was put in last, each with the number of its command."""
        ...

    def order_fault(self, fault: str) -> None:
        """Orders a fault (``cardreader.lab.faults.FORMS``) of this card, or of the next one that gets to its command.

        Raises:
            ValueError: it is none, or waits already (``cardreader.lab.faults.AlreadyOrdered``); the text says what is wrong.
        """
        ...

    def forget_faults(self) -> None:
        """None of those that have not happened yet will."""
        ...

    def pull(self) -> None:
        """Pulls the card out: its connection raises CardRemoved from now on. Harmless when empty."""
        ...
