"""The demo cards: purses, one for each thing that can be wrong with a card, and debit and credit cards."""

from __future__ import annotations

import datetime
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cardreader.errors import StateDamaged
from cardreader.pboc.files import CardholderData, LogRecord, PublicApplicationData
from cardreader.purse import AID, LOAD_EP, PURCHASE_EP, pack_pin
from cardreader.sim.card import DemoCard
from cardreader.sim.cos import CardSystem, MasterFile, Random
from cardreader.sim.emv import profile as emv
from cardreader.sim.emv import state as emv_state
from cardreader.sim.emv.card import EmvCard
from cardreader.sim.issuers import FOREIGN, KNOWN, Issuer
from cardreader.sim.purse import PurseApplication
from cardreader.sim.purse_state import PIN_TRIES, Block, PurseState
from cardreader.sim.store import Store, open_store
from cardreader.tlv import Tlv, encode

PIN = "123456"
_EP_ONLY = 2
_SFI_DIR = 0x01
_START = datetime.date(2024, 3, 1)
_EXPIRY = datetime.date(2044, 2, 29)


@dataclass(frozen=True, slots=True)
class Profile:
    """A demo card as it comes from its issuer.

    Attributes:
        name: what testers call it.
        description: one line for people.
        serial: application serial number, 20 digits.
        issuer: whose keys are in it.
        balance_fen: money in it.
        expiry: last day it is valid.
        pin_tries_left: 0 is a blocked PIN.
        block: whether the purse is blocked.
        has_purse: False leaves the card without the application.
        log_needs_pin: the log can be read only after the PIN.
        get_response: a T=0 card, whose answers wait for GET RESPONSE (61xx).
    """

    name: str
    description: str
    serial: str
    issuer: Issuer = KNOWN
    balance_fen: int = 0
    expiry: datetime.date = _EXPIRY
    pin_tries_left: int = PIN_TRIES
    block: Block = Block.NONE
    has_purse: bool = True
    log_needs_pin: bool = False
    get_response: bool = False


def atr(t0: bool) -> bytes:
    """Answer to reset of a demo card (ISO 7816-3, 8.2): T=0 or T=1, historical bytes that say what it is.

    >>> atr(t0=True).hex()
    '3b09806753544254455354'
    """
    historical = bytes((0x80, 0x60 | 7)) + b"STBTEST"
    if t0:
        return bytes((0x3B, len(historical))) + historical
    body = bytes((0x80 | len(historical), 0x01)) + historical
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes((check,))


_ALL = (
    Profile("good", "a card in order, 236.40 yuan in it", "62170018340572162047", balance_fen=23640),
    Profile("little-money", "a card in order, only 3.20 yuan in it", "62170018340572163118", balance_fen=320),
    Profile(
        "foreign-issuer",
        "a card of an issuer this platform does not serve",
        "62259941720936504410",
        issuer=FOREIGN,
        balance_fen=15000,
    ),
    Profile(
        "expired",
        "a card whose validity has ended",
        "62170018340498821306",
        balance_fen=8850,
        expiry=datetime.date(2025, 12, 31),
    ),
    Profile(
        "blocked",
        "a card whose purse its issuer has blocked",
        "62170018340572165509",
        balance_fen=5000,
        block=Block.TEMPORARY,
    ),
    Profile(
        "pin-blocked",
        "a card whose PIN was entered wrong three times",
        "62170018340572166672",
        balance_fen=12000,
        pin_tries_left=0,
    ),
    Profile("no-purse", "a card without a purse", "62170018340572168834", has_purse=False),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}
"""The purse cards."""

EMV_PROFILES = ("debit", "debit-sda", "debit-cda", "debit-t0", "credit", "electronic-cash")
"""The debit and credit cards; each is a file in ``emv/profiles``."""
NAMES = (*PROFILES, *EMV_PROFILES)
FILE_SUFFIX = ".toml"

# What the holder of the good card did lately, newest first: days and hours as people shop, and one load.
_PAST = (
    (PURCHASE_EP, 1500, "110000320417", "20261118", "193205"),
    (PURCHASE_EP, 2880, "110000320417", "20261114", "121840"),
    (PURCHASE_EP, 600, "853100000002", "20261109", "204511"),
    (PURCHASE_EP, 4200, "110000087731", "20261031", "183327"),
    (LOAD_EP, 20000, "110000000101", "20261030", "101502"),
    (PURCHASE_EP, 980, "110000320417", "20261022", "074958"),
    (PURCHASE_EP, 2500, "853100000001", "20261009", "213016"),
    (PURCHASE_EP, 1260, "110000145508", "20260928", "125733"),
)
_FIRST_OFFLINE, _FIRST_ONLINE = 41, 3


def _past_log() -> tuple[tuple[bytes, ...], int, int]:
    """The records of `_PAST`, and the offline and online number the card has come to."""
    offline_number, online_number = _FIRST_OFFLINE, _FIRST_ONLINE
    records: list[bytes] = []
    for transaction_type, amount_fen, terminal_number, day, time in reversed(_PAST):
        number = online_number if transaction_type == LOAD_EP else offline_number
        raw = (
            number.to_bytes(2)
            + bytes(3)
            + amount_fen.to_bytes(4)
            + bytes((transaction_type,))
            + bytes.fromhex(terminal_number + day + time)
        )
        records.insert(0, LogRecord.decode(raw).encode())
        if transaction_type == LOAD_EP:
            online_number += 1
        else:
            offline_number += 1
    return tuple(records), offline_number, online_number


def fresh_state(profile: Profile) -> PurseState:
    """The card as it comes from its issuer (with a past, so that there is something to see in its log)."""
    log, offline_number, online_number = _past_log()
    public = PublicApplicationData(
        issuer_id=profile.issuer.issuer_id,
        application_type=_EP_ONLY,
        version=1,
        application_serial=bytes.fromhex(profile.serial),
        start_date=min(_START, profile.expiry.replace(year=profile.expiry.year - 8, day=1)),
        expiry_date=profile.expiry,
        issuer_fci=bytes(2),
    )
    holder = CardholderData(
        card_type=0, staff=0, name="张敏", certificate_number="110101199001010000", certificate_type=0
    )
    return PurseState(
        public=public.encode(),
        cardholder=holder.encode(),
        pin=pack_pin(PIN),
        balance_fen=profile.balance_fen,
        offline_number=offline_number,
        online_number=online_number,
        pin_tries_left=profile.pin_tries_left,
        block=profile.block,
        log=log,
    )


class SimulatedCard:
    """One demo card: remembers its state in its store and answers APDUs while it is powered.

    Raises:
        StateDamaged: its state file cannot be read.
    """

    def __init__(self, profile: Profile, store: Store, random: Random = os.urandom) -> None:
        self.profile = profile
        self.atr = atr(profile.get_response)
        contents = store.load()
        try:
            state = fresh_state(profile) if contents is None else PurseState.from_contents(contents)
        except (KeyError, TypeError, ValueError) as error:
            raise StateDamaged(f"the state of card {profile.name} is damaged: {error!r}") from error
        keys = profile.issuer.card_keys(bytes.fromhex(profile.serial))
        self._purse = PurseApplication(state, keys, store, random, log_needs_pin=profile.log_needs_pin)
        applications = (self._purse,) if profile.has_purse else ()
        entry = encode(0x61, (Tlv(0x4F, AID), Tlv(0x50, b"PBOC")))
        records = {_SFI_DIR: (encode(0x70, entry),)} if profile.has_purse else {}
        self._system = CardSystem(
            MasterFile({}, records),
            applications,
            random,
            lambda: self.state.card_blocked,
            profile.get_response,
        )

    @property
    def number(self) -> str:
        """The card's number, 20 digits."""
        return self.profile.serial

    @property
    def state(self) -> PurseState:
        """What the card holds now, for tests and testers."""
        return self._purse.state

    def power_on(self) -> None:
        """Cold reset."""
        self._system.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Carries out a command APDU and returns (response data, status word); changes are saved by then."""
        return self._system.transmit(apdu)


def find_profile(name: str) -> Profile | emv.EmvProfile:
    """The profile of that name, or that a tester has written into a file ``NAME.toml``.

    Raises:
        KeyError: no such profile.
        ProtocolError: the file cannot be read, or is no profile.
    """
    if name.endswith(FILE_SUFFIX):
        return emv.load(Path(name))
    if name in EMV_PROFILES:
        raw = files("cardreader.sim.emv").joinpath("profiles", name + FILE_SUFFIX).read_bytes()
        return emv.parse(raw, name)
    return PROFILES[name]


def make_card(profile: Profile | emv.EmvProfile, store: Store, random: Random = os.urandom) -> DemoCard:
    """The card of a profile, with the state that its store holds. Raises ProtocolError: see the two cards."""
    if isinstance(profile, emv.EmvProfile):
        return EmvCard(profile, store, random)
    return SimulatedCard(profile, store, random)


def store_of(profile: Profile | emv.EmvProfile, state_dir: str | None) -> Store:
    """Where the card of a profile keeps its state; None is memory."""
    return open_store(state_dir, f"card-{profile.name}")


def open_card(name: str, state_dir: str | None, random: Random = os.urandom) -> DemoCard:
    """The demo card of a profile, with the state it was left in.

    Raises:
        KeyError: no such profile.
        StateDamaged: its state file cannot be read.
        ProtocolError: its profile's file cannot.
    """
    profile = find_profile(name)
    return make_card(profile, store_of(profile, state_dir), random)


def in_slot(name: str, state_dir: str) -> AbstractContextManager[None]:
    """Meanwhile the card of a profile is in a slot. Raises CardElsewhere when it is in one already; else as `find_profile`."""
    return store_of(find_profile(name), state_dir).in_slot()


def list_profiles() -> list[tuple[str, str]]:
    """Name and one-line description of every profile."""
    return [(name, find_profile(name).description) for name in NAMES]


def reset(name: str, state_dir: str) -> None:
    """Makes the card of a profile as it came from its issuer. It must not be in a slot. Raises as `open_card`."""
    profile = find_profile(name)
    state = emv_state.fresh(profile) if isinstance(profile, emv.EmvProfile) else fresh_state(profile)
    store_of(profile, state_dir).save(state.to_contents())
