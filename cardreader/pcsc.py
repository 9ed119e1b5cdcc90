"""Real readers, through the PC/SC service (pcscd). Imported only when a ``pcsc:`` URL asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smartcard import scard

from cardreader.errors import Cancelled, CardRemoved, CardTimeout, ReaderUnavailable

_CANCEL_CHECK_MS = 150
_EVENTS_SHIFT = 16
"""dwEventState counts insertions and removals in its upper half (SCardGetStatusChange); 0 where a stack does not count."""
_VIRTUAL = "Virtual PCD"


class PcscConnection:
    """A powered card in a PC/SC reader, ours alone until it is closed."""

    def __init__(self, context: Any, card: Any, protocol: int) -> None:
        self._context = context
        self._card = card
        self._t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._pci = scard.SCARD_PCI_T0 if self._t0 else scard.SCARD_PCI_T1
        self._open = True

    @property
    def atr(self) -> bytes:
        """The card's answer to reset; empty when the card has left meanwhile."""
        answer = scard.SCardStatus(self._card)
        return bytes(answer[4]) if answer[0] == scard.SCARD_S_SUCCESS else b""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if self._t0 and len(apdu) > 5 and len(apdu) == 6 + apdu[4]:
            # T=0 knows no command with data and Le; the answer waits for GET RESPONSE (ISO 7816-3, 12.2).
            apdu = apdu[:-1]
        result, answer = scard.SCardTransmit(self._card, self._pci, list(apdu))
        if result != scard.SCARD_S_SUCCESS or len(answer) < 2:
            # Whoever forgets a connection to a card that has left must not keep the next one out.
            self.close()
            raise CardRemoved(f"the card does not answer: {scard.SCardGetErrorMessage(result)}")
        return bytes(answer[:-2]), answer[-2] << 8 | answer[-1]

    def close(self) -> None:
        if self._open:
            self._open = False
            # Not powered off here: done to a card that is just leaving, that makes pcscd miss the next one.
            # pcscd does it itself when nobody uses the card, and a SELECT forgets a verified PIN.
            scard.SCardDisconnect(self._card, scard.SCARD_LEAVE_CARD)
            scard.SCardReleaseContext(self._context)


@dataclass(frozen=True, slots=True)
class Slot:
    """A reader of the PC/SC service as it is now.

    Attributes:
        atr: of the card in it; empty without one, or when it does not answer.
        in_use: another program has the card for itself. ``mute``: the card does not answer to reset.
    """

    name: str
    simulated: bool
    card_present: bool
    atr: bytes
    in_use: bool
    mute: bool


def slots() -> list[Slot]:
    """All readers there are, in the service's order. Raises ReaderUnavailable when the service does not answer."""
    with _Context() as context:
        names = context.readers()
        if not names:
            return []
        return [
            Slot(
                name,
                _VIRTUAL in name,
                bool(state & scard.SCARD_STATE_PRESENT),
                bytes(atr),
                bool(state & scard.SCARD_STATE_EXCLUSIVE),
                bool(state & scard.SCARD_STATE_MUTE),
            )
            for name, state, atr in context.look([(name, scard.SCARD_STATE_UNAWARE) for name in names], 0)
        ]


class PcscReader:
    """A reader of the PC/SC service. Each method opens its own context, so threads do not disturb each other.

    Args:
        wanted: part of the reader's name; empty takes the first reader that has a card, else the first.

    Attributes:
        name: of the reader used last, or what was asked for as long as none was.
        simulated: the reader used last is vsmartcard's virtual one.
    """

    def __init__(self, wanted: str = "") -> None:
        self._wanted = wanted
        self.name = wanted or "PC/SC"
        self.simulated = _VIRTUAL in wanted
        self._connection: PcscConnection | None = None
        self._powered = ("", 0)
        """Reader and event count of the card that was powered last."""

    def card_present(self) -> bool:
        with _Context() as context:
            return bool(self._state(context)[1] & scard.SCARD_STATE_PRESENT)

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> PcscConnection:
        if self._connection is not None:
            # One slot, one session: the one before may have been forgotten with its card in exclusive use.
            self._connection.close()
        with _Context() as context:
            reader, state = self._wait(
                context,
                lambda name, state: bool(state & scard.SCARD_STATE_PRESENT),
                timeout,
                cancel,
                "no card was put in",
            )
            # Counted before it is powered: a card that is swapped just now is rather noticed twice than never.
            self._powered = reader, state >> _EVENTS_SHIFT
            result, card, protocol = scard.SCardConnect(
                context.handle,
                reader,
                scard.SCARD_SHARE_EXCLUSIVE,
                scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
            )
            if result == scard.SCARD_E_SHARING_VIOLATION:
                raise ReaderUnavailable(f"another program is using the card in {reader}")
            if result != scard.SCARD_S_SUCCESS:
                message = scard.SCardGetErrorMessage(result)
                raise CardRemoved(f"the card in {reader} does not answer: {message}")
            self._connection = PcscConnection(context.keep(), card, protocol)
            return self._connection

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        with _Context() as context:
            self._wait(context, self._is_gone, timeout, cancel, "the card was not taken out")

    def _is_gone(self, name: str, state: int) -> bool:
        """The slot is empty; or, where events are counted, another card is in it than the one that was powered."""
        if state & scard.SCARD_STATE_EMPTY:
            return True
        reader, events = self._powered
        return bool(events) and reader == name and state >> _EVENTS_SHIFT != events

    def _wait(
        self,
        context: _Context,
        wanted: Callable[[str, int], bool],
        timeout: float,
        cancel: threading.Event,
        late: str,
    ) -> tuple[str, int]:
        """Waits until a reader and the state of its slot are as wanted, and returns them."""
        deadline = time.monotonic() + timeout
        while True:
            if cancel.is_set():
                raise Cancelled("waiting for the slot was cancelled")
            reader, state = self._state(context)
            if wanted(reader, state):
                return reader, state
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise CardTimeout(f"{late} within {timeout:g} seconds")
            context.status([(reader, state)], min(left_ms, _CANCEL_CHECK_MS))

    def _state(self, context: _Context) -> tuple[str, int]:
        """The reader to use and what is in its slot."""
        readers = [name for name in context.readers() if self._wanted in name]
        if not readers:
            what = f"no reader whose name has {self._wanted!r} in it" if self._wanted else "no reader"
            raise ReaderUnavailable(f"{what} is plugged in")
        states = context.status([(name, scard.SCARD_STATE_UNAWARE) for name in readers], 0)
        chosen = next((item for item in states if item[1] & scard.SCARD_STATE_PRESENT), states[0])
        self.name, self.simulated = chosen[0], _VIRTUAL in chosen[0]
        return chosen


class _Context:
    """A connection to the PC/SC service, released at the end of the block unless it is kept."""

    def __enter__(self) -> _Context:
        result, self.handle = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        if result != scard.SCARD_S_SUCCESS:
            raise ReaderUnavailable(
                f"the reader service (pcscd) does not answer: {scard.SCardGetErrorMessage(result)}"
            )
        self._kept = False
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            scard.SCardReleaseContext(self.handle)

    def keep(self) -> Any:
        """The handle, which is now the caller's to release."""
        self._kept = True
        return self.handle

    def readers(self) -> list[str]:
        result, names = scard.SCardListReaders(self.handle, [])
        if result == scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        if result != scard.SCARD_S_SUCCESS:
            raise ReaderUnavailable(f"the reader service failed: {scard.SCardGetErrorMessage(result)}")
        return list(names)

    def status(self, known: list[tuple[str, int]], timeout_ms: int) -> list[tuple[str, int]]:
        """What is in the slots, as soon as it is not what is known; after the timeout what it was."""
        return [(name, state) for name, state, _ in self.look(known, timeout_ms)]

    def look(self, known: list[tuple[str, int]], timeout_ms: int) -> list[tuple[str, int, list[int]]]:
        """The same, each with the answer to reset of the card in it."""
        result, states = scard.SCardGetStatusChange(self.handle, timeout_ms, known)
        if result not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
            raise ReaderUnavailable(f"the reader is gone: {scard.SCardGetErrorMessage(result)}")
        return [(name, state, answer) for name, state, answer in states]
