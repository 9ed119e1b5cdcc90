"""A simulated PSAM: authorises purse debits with the issuer's master key and checks the cards' proofs."""

from __future__ import annotations

import datetime
import hmac
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cardreader.apdu import Command
from cardreader.errors import CardRemoved, ProtocolError, StateDamaged
from cardreader.pboc import crypto
from cardreader.pboc.files import (
    SFI_PSAM_APPLICATION,
    SFI_PSAM_CARD,
    SFI_PSAM_TERMINAL,
    PsamApplication,
    PsamCard,
    PsamInit,
    PsamTerminal,
)
from cardreader.psam import APPLICATION_FID
from cardreader.sim.cos import CardSystem, Handler, MasterFile, Random, Refusal, fci
from cardreader.sim.issuers import ALGORITHM_DES, ISSUERS, KEY_INDEX, KEY_VERSION, Issuer
from cardreader.sim.store import Contents, Store, open_store
from cardreader.tlv import encode

NAME = bytes.fromhex("A0000003869807015053414D")
WRONG_MAC2_UNTIL_LOCKED = 3
_LENGTHS = (0x1C, 0x24, 0x2C)
"""0x14 bytes and one to three diversification factors of 8."""
_FIXED = 0x14
_START = datetime.date(2024, 1, 1)
_EXPIRY = datetime.date(2044, 12, 31)


@dataclass(frozen=True, slots=True)
class PsamState:
    """Everything the PSAM keeps without power."""

    terminal_transaction_number: int = 1
    wrong_mac2: int = 0
    locked: bool = False

    def to_contents(self) -> Contents:
        """JSON values, for a `Store`."""
        return {
            "terminal_transaction_number": self.terminal_transaction_number,
            "wrong_mac2": self.wrong_mac2,
            "locked": self.locked,
        }

    @classmethod
    def from_contents(cls, contents: Contents) -> PsamState:
        """The other way. Raises KeyError, TypeError or ValueError when these are not a PSAM's contents."""
        return cls(
            int(contents["terminal_transaction_number"]),
            int(contents["wrong_mac2"]),
            bool(contents["locked"]),
        )


class PsamPurchase:
    """The PSAM's consumption application.

    Args:
        state: what the PSAM holds now.
        issuer: whose cards it serves.
        terminal_number: 6 bytes.
        store: where changes go before the answer leaves.
        wrong_mac2_until_locked: so many wrong MAC2 in a row lock the application.
    """

    name = NAME
    fid = APPLICATION_FID

    def __init__(
        self,
        state: PsamState,
        issuer: Issuer,
        terminal_number: bytes,
        store: Store,
        wrong_mac2_until_locked: int,
    ) -> None:
        self.state = state
        self._issuer = issuer
        self._terminal_number = terminal_number
        self._store = store
        self._limit = wrong_mac2_until_locked
        self._begun: tuple[bytes, int] | None = None
        self._pending: tuple[bytes, int] | None = None
        self._commands: dict[tuple[int, int], Handler] = {
            (0x80, 0x70): self._initialize,
            (0x80, 0x72): self._credit,
        }

    def select(self) -> bytes:
        self.forget()
        return fci(self.name, encode(0x9F08, b"\x01"))

    def forget(self) -> None:
        self._begun = self._pending = None

    def look(self, state: PsamState) -> None:
        """What the PSAM holds now: another process may have completed a purchase, and with that ended what was
        begun here, since there is only one PSAM.
        """
        if state != self.state:
            self.forget()
            self.state = state

    def before(self, command: Command) -> None:
        self._pending, self._begun = self._begun, None

    def commands(self) -> Mapping[tuple[int, int], Handler]:
        return self._commands

    def binary(self, sfi: int) -> bytes:
        if sfi != SFI_PSAM_APPLICATION:
            raise Refusal(0x6A82)
        return PsamApplication(KEY_INDEX, self._issuer.issuer_id, bytes(8), _START, _EXPIRY).encode()

    def record(self, sfi: int, number: int) -> bytes:
        raise Refusal(0x6A82)

    def challenge(self, random: bytes) -> None:
        """Neither of this application's commands wants a challenge."""

    def _initialize(self, command: Command) -> bytes:
        if self.state.locked:
            raise Refusal(0x9303)
        if (command.p1, command.p2) != (0x00, 0x00):
            raise Refusal(0x6A86)
        if len(command.data) not in _LENGTHS:
            raise Refusal(0x6700)
        data = command.data
        random, offline_number = data[:4], int.from_bytes(data[4:6])
        amount_fen, transaction_type = int.from_bytes(data[6:10]), data[10]
        date, time = data[11:15], data[15:18]
        key_version, algorithm_id = data[18:20]
        if key_version != KEY_VERSION or algorithm_id != ALGORITHM_DES:
            raise Refusal(0x9403)
        if self.state.terminal_transaction_number > 0xFFFFFFFF:
            raise Refusal(0x9402)
        number = self.state.terminal_transaction_number.to_bytes(4)
        session_key = crypto.purchase_session_key(
            self._card_key(data[_FIXED:]), random, offline_number, number
        )
        self._begun = (session_key, amount_fen)
        mac1 = crypto.purchase_mac1(
            session_key, amount_fen, transaction_type, self._terminal_number, date, time
        )
        return PsamInit(number, mac1).encode()

    def _card_key(self, factors: bytes) -> bytes:
        """The card's purchase key. The factors come card first, the key is derived city, bank, card."""
        key = self._issuer.purchase_key
        for start in range(len(factors) - crypto.BLOCK, -1, -crypto.BLOCK):
            key = crypto.diversify(key, factors[start : start + crypto.BLOCK])
        return key

    def _credit(self, command: Command) -> bytes:
        if self.state.locked:
            raise Refusal(0x9303)
        if (command.p1, command.p2) != (0x00, 0x00):
            raise Refusal(0x6A86)
        if len(command.data) != 4:
            raise Refusal(0x6700)
        if self._pending is None:
            raise Refusal(0x6985)
        session_key, amount_fen = self._pending
        if not hmac.compare_digest(command.data, crypto.purchase_mac2(session_key, amount_fen)):
            wrong = self.state.wrong_mac2 + 1
            self._commit(replace(self.state, wrong_mac2=wrong, locked=wrong >= self._limit))
            raise Refusal(0x9302)
        self._commit(PsamState(self.state.terminal_transaction_number + 1))
        return b""

    def _commit(self, state: PsamState) -> None:
        self._store.save(state.to_contents())
        self.state = state


class PsamConnection:
    """The connection to a PSAM; one command at a time, whatever thread or process it comes from."""

    def __init__(self, system: CardSystem, application: PsamPurchase, store: Store, name: str) -> None:
        self._system = system
        self._application = application
        self._store = store
        self._name = name
        self._lock = threading.Lock()
        self._open = True
        system.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        with self._lock:
            if not self._open:
                raise CardRemoved("the PSAM's connection is closed")
            with self._store.held():
                self._application.look(load_state(self._store, self._name))
                return self._system.transmit(apdu)

    def close(self) -> None:
        with self._lock:
            self._open = False


def load_state(store: Store, name: str) -> PsamState:
    """What the PSAM of that name was left with. Raises StateDamaged when its state file cannot be read."""
    contents = store.load()
    try:
        return PsamState() if contents is None else PsamState.from_contents(contents)
    except (KeyError, TypeError, ValueError) as error:
        raise StateDamaged(f"the state of {name} is damaged: {error!r}") from error


def terminal_number(number: int) -> bytes:
    """Terminal number (6 bytes) of demo PSAM ``number``, 1 to 999."""
    return bytes.fromhex(f"853100000{number:03d}")


def serial(number: int) -> bytes:
    """Serial number (10 bytes) of demo PSAM ``number``, 1 to 999."""
    return bytes.fromhex(f"62170085310000000{number:03d}")


def has_begun(number: int, state_dir: str, issuer: str = "known") -> bool:
    """Whether the folder has a counter of demo PSAM ``number``, be it a damaged one: without one, it begins at 1."""
    try:
        return open_store(state_dir, _name(number, issuer)).load() is not None
    except ProtocolError:
        return True


def _name(number: int, issuer: str) -> str:
    return f"psam-{number:03d}" if issuer == "known" else f"psam-{issuer}-{number:03d}"


def open_psam(
    number: int,
    state_dir: str | None,
    issuer: str = "known",
    *,
    wrong_mac2_until_locked: int = WRONG_MAC2_UNTIL_LOCKED,
    random: Random = os.urandom,
) -> PsamConnection:
    """Powers demo PSAM ``number``.

    Args:
        number: 1 to 999; each has its own terminal number, serial number and counter.
        state_dir: folder that keeps its counter; None forgets it when the connection is dropped.
        issuer: whose cards it serves: ``"known"`` or ``"foreign"``.
        wrong_mac2_until_locked: so many wrong MAC2 in a row lock it.
        random: source of its challenges.

    Raises:
        ValueError: no such number. KeyError: no such issuer.
        StateDamaged: its state file cannot be read.
    """
    if not 1 <= number <= 999:
        raise ValueError(f"demo PSAMs have the numbers 1 to 999, not {number}")
    name = _name(number, issuer)
    store = open_store(state_dir, name)
    state = load_state(store, name)
    own_terminal_number = terminal_number(number)
    files = {
        SFI_PSAM_CARD: PsamCard(serial(number), 1, 1, bytes(2)).encode(),
        SFI_PSAM_TERMINAL: PsamTerminal(own_terminal_number).encode(),
    }
    application = PsamPurchase(state, ISSUERS[issuer], own_terminal_number, store, wrong_mac2_until_locked)
    system = CardSystem(MasterFile(files, {}), (application,), random, lambda: False, get_response=False)
    return PsamConnection(system, application, store, name)
