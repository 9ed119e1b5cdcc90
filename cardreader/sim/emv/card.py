"""A whole simulated debit or credit card: directories, applications, and the store that keeps them."""

from __future__ import annotations

import os
from dataclasses import replace

from cardreader import contactless
from cardreader.errors import StateDamaged
from cardreader.sim.cos import MF_FID, CardSystem, MasterFile, Random
from cardreader.sim.emv.application import Commit, PaymentApplication
from cardreader.sim.emv.personalisation import (
    DIRECTORY_SFI,
    PPSE_NAME,
    PSE_NAME,
    payment_directory,
    personalise,
    proximity_directory,
)
from cardreader.sim.emv.profile import Behaviour, EmvProfile
from cardreader.sim.emv.state import ApplicationState, CardState, fresh
from cardreader.sim.store import Store
from cardreader.tlv import encode

_RANDOM_UID = 0x08
"""The first byte of a UID that is another one each time (ISO 14443-3)."""
_NO_NAME = b"\x00"
"""A name that no terminal asks for: the MF of a card without a PSE."""


def atr(behaviour: Behaviour) -> bytes:
    """Answer to reset as EMV Book 1, 8.2 orders it: T=0, or T=1 with blocks of 254 bytes; without contacts as a reader
    makes it up.

    >>> atr(Behaviour(get_response=True)).hex()
    '3b6600005354422d454d'
    """
    historical = b"STB-EM"
    if behaviour.contactless:
        return contactless.atr(historical)
    if behaviour.get_response:
        return bytes((0x3B, 0x60 | len(historical), 0x00, 0x00)) + historical
    body = bytes((0xE0 | len(historical), 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45)) + historical
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes((check,))


class EmvCard:
    """One card: remembers its state in its store and answers APDUs while it is powered.

    Raises:
        StateDamaged: what it has kept cannot be read, or is of another application than its profile's.
        ProtocolError: its profile cannot be made into a card.
    """

    def __init__(self, profile: EmvProfile, store: Store, random: Random = os.urandom) -> None:
        self.profile = profile
        self.atr = atr(profile.behaviour)
        self._uid = bytes((_RANDOM_UID,)) + random(3) if profile.behaviour.contactless else b""
        self._store = store
        contents = store.load()
        try:
            self._state = fresh(profile) if contents is None else CardState.from_contents(contents)
            states = {item.aid: self._state.applications[item.aid] for item in profile.applications}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateDamaged(f"the state of card {profile.name} is damaged: {error!r}") from error
        applications = tuple(
            PaymentApplication(
                profile, personalise(profile, item), states[item.aid], self._committer(item.aid), random
            )
            for item in profile.applications
        )
        directory = (PSE_NAME, payment_directory(profile)) if profile.pse else (_NO_NAME, ())
        sfi = encode(0x88, bytes((DIRECTORY_SFI,))) + encode(0x5F2D, b"zh") + encode(0x9F11, b"\x01")
        master = MasterFile({}, {DIRECTORY_SFI: directory[1]}, directory[0], MF_FID, sfi)
        proximity = MasterFile({}, {}, PPSE_NAME, b"", proximity_directory(profile))
        self._system = CardSystem(
            master,
            (*((proximity,) if profile.ppse else ()), *applications),
            random,
            lambda: self._state.card_blocked,
            profile.behaviour.get_response,
        )

    @property
    def number(self) -> str:
        """The card's number, as it is printed on it."""
        return self.profile.pan

    @property
    def state(self) -> CardState:
        """What the card holds now, for tests and testers."""
        return self._state

    def power_on(self) -> None:
        """Cold reset."""
        self._system.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Carries out a command APDU and returns (response data, status word); changes are saved by then."""
        if self.profile.behaviour.contactless and apdu == contactless.GET_UID.to_bytes():
            return self._uid, 0x9000
        return self._system.transmit(apdu)

    def _committer(self, aid: bytes) -> Commit:
        def commit(state: ApplicationState, blocks_card: bool) -> None:
            whole = replace(
                self._state,
                applications={**self._state.applications, aid: state},
                card_blocked=self._state.card_blocked or blocks_card,
            )
            self._store.save(whole.to_contents())
            self._state = whole

        return commit
