"""Real readers, through the PC/SC service (pcscd). Imported only when a ``pcsc:`` URL asks for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from smartcard import scard

from cardreader.errors import (
    Cancelled,
    CardRemoved,
    CardTimeout,
    ReaderGone,
    ReaderInUse,
    ReaderSilent,
    ReaderUnavailable,
    ServiceUnavailable,
)
from cardreader.sim.recording import ASK, told

_CANCEL_CHECK_MS = 150
_EVENTS_SHIFT = 16
"""dwEventState counts insertions and removals in its upper half (SCardGetStatusChange); 0 where a stack does not count."""
_LISTINGS = 3
"""So often readers are listed anew when one of them leaves just then."""
_VIRTUAL = "Virtual PCD"
SERVICE_S = 5.0
"""After so long a service that does not answer is not there."""
CARD_S = 15.0
"""After so long a card, or the reader it is in, is given up: no command of a purse or bank card takes a second."""


_NO_READER = frozenset(
    {
        scard.SCARD_E_UNKNOWN_READER,
        scard.SCARD_E_READER_UNAVAILABLE,
        scard.SCARD_E_NO_SERVICE,
        scard.SCARD_E_SERVICE_STOPPED,
        scard.SCARD_E_INVALID_HANDLE,
        scard.SCARD_F_COMM_ERROR,
    }
)
"""What SCardConnect and SCardTransmit answer when it is not the card that is missing."""


_NO_SERVICE = frozenset(
    {scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED, scard.SCARD_E_INVALID_HANDLE}
)
"""Those of them that mean the service; the last one, that it is another one than a moment ago."""


class _Hangs(Exception):
    """Nobody has answered in time."""


class _ReaderLeft(ReaderUnavailable):
    """A reader has left, or got another name, since they were listed."""


class _Line:
    """A thread that calls the service: a driver that hangs keeps it, and not whoever asked.

    A call that did not come back in time cannot be broken off. What is asked for afterwards is done when it does: a line that
    hangs is closed, and not used again.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._late = False
        self._thread = threading.Thread(target=self._run, name="pcsc", daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """A call did not come back in time, and has not come back yet."""
        return self._late and self._thread.is_alive()

    def call(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns, which raises nothing. Raises _Hangs."""
        if self._late:
            raise _Hangs
        self._asked.put((function, arguments))
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            self._late = True
            raise _Hangs from None

    def close(self, *last: tuple[Callable[..., Any], tuple[Any, ...]]) -> None:
        """Does these last calls, and ends. Waits for them unless the line hangs."""
        for one in last:
            self._asked.put(one)
        self._asked.put(None)
        if not self._late:
            self._thread.join(SERVICE_S)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            function, arguments = asked
            self._answers.put(function(*arguments))


class PcscConnection:
    """A powered card in a PC/SC reader, ours alone until it is closed."""

    def __init__(self, line: _Line, context: Any, card: Any, protocol: int, simulated: bool = False) -> None:
        self._line = line
        self._simulated = simulated
        self._context = context
        self._card = card
        self._t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._pci = scard.SCARD_PCI_T0 if self._t0 else scard.SCARD_PCI_T1
        self.open = True

    @property
    def atr(self) -> bytes:
        """The card's answer to reset; empty when the card has left meanwhile."""
        if not self.open:
            return b""
        try:
            answer = self._line.call(CARD_S, scard.SCardStatus, self._card)
        except _Hangs:
            return b""
        return bytes(answer[4]) if answer[0] == scard.SCARD_S_SUCCESS else b""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if not self.open:
            raise CardRemoved("the card has left")
        if self._t0 and len(apdu) > 5 and len(apdu) == 6 + apdu[4]:
            # T=0 knows no command with data and Le; the answer waits for GET RESPONSE (ISO 7816-3, 12.2).
            apdu = apdu[:-1]
        try:
            result, answer = self._line.call(CARD_S, scard.SCardTransmit, self._card, self._pci, list(apdu))
        except _Hangs:
            self.close()
            raise CardRemoved(
                f"the card has not answered for {CARD_S:g} seconds; take it out, and unplug the reader if that does not help"
            ) from None
        if result != scard.SCARD_S_SUCCESS or len(answer) < 2:
            # Whoever forgets a connection to a card that has left must not keep the next one out.
            self.close()
            raise _no_answer(result)
        return bytes(answer[:-2]), answer[-2] << 8 | answer[-1]

    def recording(self) -> str:
        """The file whose recording is played as this card; empty where it is none. Raises CardRemoved."""
        return told(*self.transmit(ASK)) if self._simulated else ""

    def close(self) -> None:
        if self.open:
            self.open = False
            # Not powered off here: done to a card that is just leaving, that makes pcscd miss the next one.
            # pcscd does it itself when nobody uses the card, and a SELECT forgets a verified PIN.
            self._line.close(
                (scard.SCardDisconnect, (self._card, scard.SCARD_LEAVE_CARD)),
                (scard.SCardReleaseContext, (self._context,)),
            )


@dataclass(frozen=True, slots=True)
class Slot:
    """A reader of the PC/SC service as it is now.

    Attributes:
        atr: of the card in it; empty without one, or when it does not answer.
        in_use: another program has the card for itself. ``mute``: the card does not answer to reset.
        silent: the reader hangs, as far as it was used here.
    """

    name: str
    simulated: bool
    card_present: bool
    atr: bytes
    in_use: bool
    mute: bool
    silent: bool = False


def slots() -> list[Slot]:
    """All readers there are, in the service's order. Raises ServiceUnavailable when the service does not answer."""
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

    A reader that hangs is given up, and left out until it answers again.

    Args:
        wanted: part of the reader's name; empty takes the first reader that has a card which nobody else uses, else the
            first that has one, else the first.

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
        self._lines: dict[str, _Line] = {}
        """The line over which a reader was used last."""

    def hangs(self, name: str) -> bool:
        """Whether the reader of that name was used last here, and has not come back since."""
        return name in self._lines and self._lines[name].hangs

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
            self._lines[reader] = context.line
            try:
                result, card, protocol = context.line.call(
                    CARD_S,
                    scard.SCardConnect,
                    context.handle,
                    reader,
                    scard.SCARD_SHARE_EXCLUSIVE,
                    scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
                )
            except _Hangs:
                raise ReaderSilent(_hanging(reader)) from None
            if result == scard.SCARD_E_SHARING_VIOLATION:
                raise ReaderInUse(
                    f"another program is using the card in {reader}; end that program, or use another reader"
                )
            if result != scard.SCARD_S_SUCCESS:
                message = scard.SCardGetErrorMessage(result)
                if result in _NO_READER:
                    raise _unavailable(result, f"the reader {reader} is gone")
                raise CardRemoved(f"the card in {reader} does not answer: {message}")
            self._connection = PcscConnection(
                context.line, context.keep(), card, protocol, _VIRTUAL in reader
            )
            return self._connection

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        with _Context() as context:
            self._wait(
                context, self._is_gone, timeout, cancel, "the card was not taken out", self._powered[0]
            )

    def _is_gone(self, name: str, state: int) -> bool:
        """The slot is empty, or gone; or, where events are counted, another card is in it than the one that was powered."""
        reader, events = self._powered
        if state & scard.SCARD_STATE_EMPTY or reader not in ("", name):
            return True
        return bool(events) and state >> _EVENTS_SHIFT != events

    def _wait(
        self,
        context: _Context,
        wanted: Callable[[str, int], bool],
        timeout: float,
        cancel: threading.Event,
        late: str,
        first: str = "",
    ) -> tuple[str, int]:
        """Waits until a reader and the state of its slot are as wanted, and returns them.

        Args:
            first: the reader to look at as long as it is there.
        """
        deadline = time.monotonic() + timeout
        while True:
            if cancel.is_set():
                raise Cancelled("waiting for the slot was cancelled")
            reader, state = self._state(context, first)
            if wanted(reader, state):
                return reader, state
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise CardTimeout(f"{late} within {timeout:g} seconds")
            with suppress(_ReaderLeft):  # the next round sees which there are
                context.status([(reader, state)], min(left_ms, _CANCEL_CHECK_MS))

    def _state(self, context: _Context, first: str = "") -> tuple[str, int]:
        """The reader to use and what is in its slot."""
        for _ in range(_LISTINGS - 1):
            with suppress(_ReaderLeft):
                return self._choose(context, first)
        return self._choose(context, first)

    def _choose(self, context: _Context, first: str) -> tuple[str, int]:
        every = context.readers()
        readers = [name for name in every if self._wanted in name]
        if not readers and every:
            there = ", ".join(every)
            raise ReaderUnavailable(
                f"no reader whose name has {self._wanted!r} in it is plugged in, but {there}"
            )
        if not readers:
            raise ReaderUnavailable("no reader is plugged in")
        working = [name for name in readers if not self.hangs(name)]
        if not working:
            raise ReaderSilent(_hanging(readers[0]))
        if first in working:
            working = [first]
        states = context.status([(name, scard.SCARD_STATE_UNAWARE) for name in working], 0)
        own = self._powered[0] if self._connection is not None and self._connection.open else ""
        chosen = max(states, key=lambda one: _usable(one[1], own=one[0] == own))
        self.name, self.simulated = chosen[0], _VIRTUAL in chosen[0]
        return chosen


def _usable(state: int, *, own: bool) -> int:
    """How good a slot is, by its state; of equal ones the first is taken. Before all is the one whose card we have open."""
    if not state & scard.SCARD_STATE_PRESENT:
        return 0
    if own:
        return 3
    return 1 if state & (scard.SCARD_STATE_EXCLUSIVE | scard.SCARD_STATE_MUTE) else 2


def _no_answer(result: int) -> CardRemoved:
    """What became of a command without an answer; of some cards that were pulled the service says that all went well."""
    message = scard.SCardGetErrorMessage(result)
    if result in _NO_READER:
        return ReaderGone(f"the reader or the reader service (pcscd) has gone: {message}")
    pulled = result == scard.SCARD_S_SUCCESS
    return CardRemoved(f"the card does not answer: {'it may have been pulled' if pulled else message}")


def _unavailable(result: int, what: str) -> ReaderUnavailable:
    """What a call to the service has answered instead of what was asked for.

    Args:
        what: it means where it is not the service that is missing.
    """
    message = scard.SCardGetErrorMessage(result)
    if result in _NO_SERVICE:
        return ServiceUnavailable(f"the reader service (pcscd) does not run: {message}")
    return ReaderUnavailable(f"{what}: {message}")


def _hanging(reader: str) -> str:
    return f"the reader {reader} does not answer any more; unplug it and plug it in again"


class _Context:
    """A connection to the PC/SC service, released at the end of the block unless it is kept."""

    _waiting: ClassVar[_Line | None] = None
    """The line that last waited in vain for the service: one is enough."""

    def __enter__(self) -> _Context:
        if _Context._waiting is not None and _Context._waiting.hangs:
            raise ServiceUnavailable(_SILENT)
        self.line = _Line()
        self._kept = False
        try:
            result, self.handle = self._ask(scard.SCardEstablishContext, scard.SCARD_SCOPE_USER)
        except ReaderUnavailable:
            self.line.close()
            raise
        if result != scard.SCARD_S_SUCCESS:
            self.line.close()
            message = scard.SCardGetErrorMessage(result)
            raise ServiceUnavailable(f"the reader service (pcscd) does not answer: {message}")
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self.line.close((scard.SCardReleaseContext, (self.handle,)))

    def keep(self) -> Any:
        """The handle, which is now the caller's to release, over the same line."""
        self._kept = True
        return self.handle

    def readers(self) -> list[str]:
        result, names = self._ask(scard.SCardListReaders, self.handle, [])
        if result == scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        if result != scard.SCARD_S_SUCCESS:
            raise _unavailable(result, "the reader service failed")
        return list(names)

    def status(self, known: list[tuple[str, int]], timeout_ms: int) -> list[tuple[str, int]]:
        """What is in the slots, as soon as it is not what is known; after the timeout what it was."""
        return [(name, state) for name, state, _ in self.look(known, timeout_ms)]

    def look(self, known: list[tuple[str, int]], timeout_ms: int) -> list[tuple[str, int, list[int]]]:
        """The same, each with the answer to reset of the card in it."""
        result, states = self._ask(scard.SCardGetStatusChange, self.handle, timeout_ms, known)
        if result == scard.SCARD_E_UNKNOWN_READER:
            raise _ReaderLeft("a reader was unplugged")
        if result not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
            raise _unavailable(result, "the reader is gone")
        return [(name, state, answer) for name, state, answer in states]

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Asks the service. Raises ServiceUnavailable when it is silent."""
        try:
            return self.line.call(SERVICE_S, function, *arguments)
        except _Hangs:
            _Context._waiting = self.line
            raise ServiceUnavailable(_SILENT) from None


_SILENT = f"the reader service (pcscd) has not answered for {SERVICE_S:g} seconds"
