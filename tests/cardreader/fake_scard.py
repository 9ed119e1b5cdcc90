"""The functions of PC/SC (part 5, as pcsc-lite has them) over readers that a test plugs in, takes out, renames and blocks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from smartcard import scard

from cardreader.sim.card import Card


@dataclass(slots=True)
class FakeSlot:
    """A reader. ``events`` goes up with every insertion and removal."""

    card: Card | None = None
    events: int = 0
    exclusive: bool = False
    protocol: int = scard.SCARD_PROTOCOL_T1
    sent: list[bytes] = field(default_factory=list)

    def insert(self, card: Card) -> None:
        self.card, self.events = card, self.events + 1

    def pull(self) -> None:
        self.card, self.events = None, self.events + 1

    @property
    def state(self) -> int:
        present = scard.SCARD_STATE_EMPTY if self.card is None else scard.SCARD_STATE_PRESENT
        used = scard.SCARD_STATE_EXCLUSIVE | scard.SCARD_STATE_INUSE if self.exclusive else 0
        return self.events << 16 | present | used


class FakeScard:
    """Takes the place of the module ``smartcard.scard``, whose constants it has.

    Attributes:
        slots: the readers by name, in the service's order.
        running: the service is.
        blocked: functions that do not come back before ``released``; ``SCardTransmit NAME`` of one reader alone.
        leave_at_listing: the readers leave right after they have been listed.
    """

    def __init__(self) -> None:
        self.slots: dict[str, FakeSlot] = {}
        self.running = True
        self.blocked: set[str] = set()
        self.released = threading.Event()
        self.leave_at_listing: list[str] = []
        self.contexts: set[int] = set()
        self._handles: dict[int, str] = {}
        self._next = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(scard, name)

    def _wait(self, function: str, reader: str = "") -> None:
        if function in self.blocked or f"{function} {reader}" in self.blocked:
            self.released.wait(10)

    def _new(self) -> int:
        self._next += 1
        return self._next

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:
        self._wait("SCardEstablishContext")
        if not self.running:
            return scard.SCARD_E_NO_SERVICE, 0
        self.contexts.add(context := self._new())
        return scard.SCARD_S_SUCCESS, context

    def SCardReleaseContext(self, context: int) -> int:
        self.contexts.discard(context)
        return scard.SCARD_S_SUCCESS

    def SCardListReaders(self, context: int, groups: list[str]) -> tuple[int, list[str]]:
        if not self.running:
            return scard.SCARD_E_NO_SERVICE, []
        if not self.slots:
            return scard.SCARD_E_NO_READERS_AVAILABLE, []
        listed = list(self.slots)
        for name in self.leave_at_listing:
            del self.slots[name]
        self.leave_at_listing = []
        return scard.SCARD_S_SUCCESS, listed

    def SCardGetStatusChange(
        self, context: int, timeout_ms: int, known: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        if not self.running:
            return scard.SCARD_E_NO_SERVICE, []
        if any(name not in self.slots for name, _ in known):
            return scard.SCARD_E_UNKNOWN_READER, [(name, 0, []) for name, _ in known]
        now = [(name, self.slots[name]) for name, _ in known]
        states = [(name, slot.state, list(slot.card.atr if slot.card else b"")) for name, slot in now]
        changed = any(before != after for (_, before), (_, after, _) in zip(known, states, strict=True))
        return (scard.SCARD_S_SUCCESS if changed else scard.SCARD_E_TIMEOUT), states

    def SCardConnect(self, context: int, reader: str, share: int, protocols: int) -> tuple[int, int, int]:
        self._wait("SCardConnect", reader)
        if not self.running:
            return scard.SCARD_E_NO_SERVICE, 0, 0
        slot = self.slots.get(reader)
        if slot is None:
            return scard.SCARD_E_UNKNOWN_READER, 0, 0
        if slot.card is None:
            return scard.SCARD_E_NO_SMARTCARD, 0, 0
        if slot.exclusive:
            return scard.SCARD_E_SHARING_VIOLATION, 0, 0
        if not protocols & slot.protocol:
            return scard.SCARD_E_PROTO_MISMATCH, 0, 0
        slot.card.power_on()
        slot.exclusive = True
        handle = self._new()
        self._handles[handle] = reader
        return scard.SCARD_S_SUCCESS, handle, slot.protocol

    def SCardStatus(self, handle: int) -> tuple[int, str, int, int, list[int]]:
        slot = self._slot(handle)
        if slot is None or slot.card is None:
            return scard.SCARD_W_REMOVED_CARD, "", 0, 0, []
        return scard.SCARD_S_SUCCESS, self._handles[handle], slot.state, slot.protocol, list(slot.card.atr)

    def SCardTransmit(self, handle: int, pci: int, apdu: list[int]) -> tuple[int, list[int]]:
        self._wait("SCardTransmit", self._handles[handle])
        slot = self._slot(handle)
        if not self.running:
            return scard.SCARD_E_NO_SERVICE, []
        if slot is None or slot.card is None:
            return scard.SCARD_W_REMOVED_CARD, []
        wanted = scard.SCARD_PCI_T0 if slot.protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        assert pci == wanted
        slot.sent.append(bytes(apdu))
        data, sw = slot.card.transmit(bytes(apdu))
        return scard.SCARD_S_SUCCESS, [*data, *sw.to_bytes(2)]

    def SCardDisconnect(self, handle: int, disposition: int) -> int:
        slot = self._slot(handle)
        if slot is not None:
            slot.exclusive = False
        return scard.SCARD_S_SUCCESS

    def restart(self) -> None:
        """A new service: nothing of the one before is known to it."""
        self.running = True
        self._handles.clear()
        for slot in self.slots.values():
            slot.exclusive = False

    def _slot(self, handle: int) -> FakeSlot | None:
        return self.slots.get(self._handles.get(handle, ""))
