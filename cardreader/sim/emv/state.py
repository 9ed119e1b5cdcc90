"""What a simulated debit or credit card keeps without power, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cardreader.emv.bits import Cvr
from cardreader.sim.emv.profile import EmvProfile
from cardreader.sim.store import Contents

_NOTHING = Cvr(0)


@dataclass(frozen=True, slots=True)
class ApplicationState:
    """One application's memory.

    Attributes:
        atc: 9F36.
        last_online_atc: 9F13; 0 is a new card.
        pin: the offline PIN, digits; not printed.
        pin_tries_left: 9F17.
        blocked: by APPLICATION BLOCK, or by the card itself.
        offline_count, offline_total_fen: transactions approved offline since the last online one.
        carried: what the next transaction's CVR tells of this one.
        objects: data objects that PUT DATA has changed.
        records: records that UPDATE RECORD has changed, by (SFI, number).
        log, load_log: newest first.
    """

    atc: int
    last_online_atc: int
    pin: str = field(repr=False)
    pin_tries_left: int
    blocked: bool = False
    offline_count: int = 0
    offline_total_fen: int = 0
    carried: Cvr = _NOTHING
    objects: Mapping[int, bytes] = field(default_factory=dict)
    records: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    log: tuple[bytes, ...] = ()
    load_log: tuple[bytes, ...] = ()

    def to_contents(self) -> Contents:
        """JSON values, for a `Store`."""
        return {
            "atc": self.atc,
            "last_online_atc": self.last_online_atc,
            "pin": self.pin,
            "pin_tries_left": self.pin_tries_left,
            "blocked": self.blocked,
            "offline_count": self.offline_count,
            "offline_total_fen": self.offline_total_fen,
            "carried": int(self.carried),
            "objects": {f"{tag:X}": value.hex().upper() for tag, value in self.objects.items()},
            "records": {f"{sfi}/{number}": raw.hex().upper() for (sfi, number), raw in self.records.items()},
            "log": [record.hex().upper() for record in self.log],
            "load_log": [record.hex().upper() for record in self.load_log],
        }

    @classmethod
    def from_contents(cls, contents: Contents) -> ApplicationState:
        """The other way. Raises KeyError, TypeError, ValueError or AttributeError when these are no such contents."""
        return cls(
            atc=int(contents["atc"]),
            last_online_atc=int(contents["last_online_atc"]),
            pin=str(contents["pin"]),
            pin_tries_left=int(contents["pin_tries_left"]),
            blocked=bool(contents["blocked"]),
            offline_count=int(contents["offline_count"]),
            offline_total_fen=int(contents["offline_total_fen"]),
            carried=Cvr(contents["carried"]),
            objects={int(tag, 16): bytes.fromhex(value) for tag, value in contents["objects"].items()},
            records={_place(place): bytes.fromhex(raw) for place, raw in contents["records"].items()},
            log=tuple(bytes.fromhex(record) for record in contents["log"]),
            load_log=tuple(bytes.fromhex(record) for record in contents["load_log"]),
        )


def _place(text: str) -> tuple[int, int]:
    sfi, number = text.split("/")
    return int(sfi), int(number)


@dataclass(frozen=True, slots=True)
class CardState:
    """The whole card: its applications by AID, and whether CARD BLOCK has ended it."""

    applications: Mapping[bytes, ApplicationState]
    card_blocked: bool = False

    def to_contents(self) -> Contents:
        """JSON values, for a `Store`."""
        return {
            "card_blocked": self.card_blocked,
            "applications": {
                aid.hex().upper(): state.to_contents() for aid, state in self.applications.items()
            },
        }

    @classmethod
    def from_contents(cls, contents: Contents) -> CardState:
        """The other way. Raises KeyError, TypeError, ValueError or AttributeError when these are no such contents."""
        applications: dict[str, Any] = contents["applications"]
        return cls(
            {bytes.fromhex(aid): ApplicationState.from_contents(raw) for aid, raw in applications.items()},
            bool(contents["card_blocked"]),
        )


def fresh(profile: EmvProfile) -> CardState:
    """The card as it comes from its issuer."""
    state = ApplicationState(
        atc=profile.atc,
        last_online_atc=profile.last_online_atc,
        pin=profile.pin,
        pin_tries_left=profile.pin_tries_left,
        blocked=profile.behaviour.blocked,
    )
    applications = {application.aid: state for application in profile.applications}
    return CardState(applications, profile.behaviour.card_blocked)
