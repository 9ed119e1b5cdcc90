"""The cards in people's hands, with the truth about their money, and a box's slot, where they may be pulled at any command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cardreader import tlv
from cardreader.errors import Cancelled, CardRemoved, CardTimeout
from cardreader.sim.profiles import Profile, SimulatedCard, open_card
from cardreader.sim.store import MemoryStore
from tests.simulation.loop import current_actor

if TYPE_CHECKING:
    from tests.simulation.television import Box
    from tests.simulation.world import Simulation

APDU_S = 0.02
_INIT, _DEBIT = (0x80, 0x50), (0x80, 0x54)
_GENERATE_AC, _TC = (0x80, 0xAE), 0x40
_PUT_DATA = (0x04, 0xDA)
"""With the issuer's MAC."""
_CASH_BALANCE = 0x9F79


@dataclass(frozen=True, slots=True)
class Debit:
    """One debit as it took place on the card.

    Attributes:
        random: what the card answered to INITIALIZE: tells this transaction from all others. Of electronic cash the card's
            transaction counter.
    """

    card: str
    random: str
    amount_fen: int
    at_s: float


class Card:
    """A purse card in a person's hand, and the truth about its money."""

    def __init__(self, simulation: Simulation, profile: Profile) -> None:
        self.name = profile.name
        self.start_fen = profile.balance_fen
        self.debits: list[Debit] = []
        self._simulation = simulation
        self._card = SimulatedCard(profile, MemoryStore(), simulation.random(f"card {self.name}").randbytes)
        self._begun = ""

    @property
    def balance_fen(self) -> int:
        return self._card.state.balance_fen

    def power_on(self) -> None:
        self._card.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        before_fen = self.balance_fen
        data, sw = self._card.transmit(apdu)
        if tuple(apdu[:2]) == _INIT and sw == 0x9000:
            self._begun = data[-4:].hex().upper()
        if tuple(apdu[:2]) == _DEBIT and self.balance_fen != before_fen:
            amount_fen = before_fen - self.balance_fen
            self.debits.append(Debit(self.name, self._begun, amount_fen, self._simulation.loop.time()))
            self._simulation.note(self.name, f"debited {amount_fen} fen")
        return data, sw

    def decides(self, apdu: bytes) -> bool:
        """Whether money may leave the card, or come onto it, at this command."""
        return tuple(apdu[:2]) == _DEBIT


class DebitCard(Card):
    """A debit or credit card: its money is the issuer's to tell; what it says itself are its TCs.

    Attributes:
        certificates: the TCs that it has given.
    """

    balance_fen = start_fen = 0

    def __init__(self, simulation: Simulation, profile: str) -> None:
        self.name = profile
        self.debits = []
        self.certificates: list[bytes] = []
        self._simulation = simulation
        self._card: Any = open_card(profile, None, simulation.random(f"card {profile}").randbytes)

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        data, sw = self._card.transmit(apdu)
        # Format 1 (EMV Book 3, 6.5.5.4): 9F27, 9F36, 9F26, 9F10.
        told = tlv.find(data, 0x80) if tuple(apdu[:2]) == _GENERATE_AC and sw == 0x9000 else None
        if told is not None and told[0] == _TC:
            self.certificates.append(told[3:11])
            self._simulation.note(self.name, "gave its TC")
        return data, sw


class CashCard(DebitCard):
    """The card with electronic cash, whose balance is its own to tell.

    Attributes:
        loads: what came onto it.
    """

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, "electronic-cash")
        (self._application,) = self._card.profile.applications
        self.loads: list[Debit] = []
        self.start_fen = self.balance_fen

    @property
    def _memory(self) -> Any:
        return self._card.state.applications[self._application.aid]

    @property
    def balance_fen(self) -> int:  # type: ignore[override]
        objects = {**self._application.objects, **self._memory.objects}
        return int(objects[_CASH_BALANCE].hex())

    def decides(self, apdu: bytes) -> bool:
        return tuple(apdu[:2]) in (_GENERATE_AC, _PUT_DATA)

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        before_fen = self.balance_fen
        answer = super().transmit(apdu)
        came_fen = self.balance_fen - before_fen
        if came_fen:
            counter = f"{self._memory.atc:04X}"
            moved = Debit(self.name, counter, abs(came_fen), self._simulation.loop.time())
            (self.loads if came_fen > 0 else self.debits).append(moved)
            self._simulation.note(self.name, f"transaction {counter}: {came_fen:+} fen of electronic cash")
        return answer


class Slot:
    """The reader of a box. A card may be pulled before or after any command is carried out."""

    name = "slot"
    simulated = True

    def __init__(self, box: Box) -> None:
        self._box = box
        self.card: Card | None = None
        self.insertions = 0
        self._powered = 0

    def card_present(self) -> bool:
        return self.card is not None

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> _Contact:
        self._wait(lambda: self.card is not None, timeout, cancel)
        assert self.card is not None
        self.card.power_on()
        self._powered = self.insertions
        return _Contact(self._box, self, self.card, self.insertions)

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        powered = self._powered
        self._wait(lambda: self.card is None or 0 < powered < self.insertions, timeout, cancel)

    def _wait(self, arrived: Callable[[], bool], timeout: float, cancel: threading.Event) -> None:
        loop = self._box.simulation.loop
        until = loop.time() + timeout
        while True:
            if cancel.is_set():
                raise Cancelled("waiting for the slot was cancelled")
            if arrived():
                return
            left = until - loop.time()
            if left <= 0:
                raise CardTimeout("nothing happened at the slot")
            current_actor().block(left)


class _Contact:
    """A powered card."""

    def __init__(self, box: Box, slot: Slot, card: Card, insertion: int) -> None:
        self._box, self._slot, self._card, self._insertion = box, slot, card, insertion
        self._open = True

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self._box.apdus += 1
        pulled = self._box.plan.pulls.pop(self._box.apdus, None) if self._box.simulation.faulty else None
        fault, after = self._box.at_debit() if self._card.decides(apdu) else ("", False)
        self._pass(pull=pulled is False or (fault, after) == ("pull", False))
        if (fault, after) == ("cut", False):
            self._box.cut(20.0)
        answer = self._card.transmit(apdu)
        if (fault, after) == ("cut", True):
            self._box.cut(20.0)
        self._pass(pull=pulled is True or (fault, after) == ("pull", True))
        return answer

    def close(self) -> None:
        self._open = False

    def _pass(self, *, pull: bool) -> None:
        current_actor().block(APDU_S * self._box.random.random())
        if pull and self._slot.insertions == self._insertion:
            self._box.pull("in the middle of a command")
        if not self._open or self._slot.card is not self._card or self._slot.insertions != self._insertion:
            raise CardRemoved("the card was pulled out")
