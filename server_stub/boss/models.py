"""What BOSS answers, as docs/boss-api.md describes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from server_stub.foundation import wire
from server_stub.foundation.money import MOST_FEN
from server_stub.foundation.secret import ActivationCode
from server_stub.foundation.text import Text
from server_stub.foundation.wire import Service, Subscriber, Subscription, Term

REFERENCE = r"^[A-Za-z0-9_-]{8,64}$"
"""An id that a partner has made."""


def _is_reasonable(instant: datetime) -> datetime:
    # At the calendar's ends there is nothing to add a term to, and no other zone.
    if not 2000 <= instant.year < 2200:
        raise ValueError("not an instant of this system's time")
    return instant


Reasonable = Annotated[AwareDatetime, AfterValidator(_is_reasonable)]


class Home(wire.Home):
    """What the home page shows.

    Attributes:
        counted: of the payments that were asked about, those whose amounts are in ``spending``.
    """

    counted: list[str]


class ServiceDetail(Service):
    introduction: Text
    terms: list[Term]
    subscriptions: list[Subscription]
    clashes_with: Text | None = None
    renews: bool = False


class Sale(BaseModel):
    """What stands against selling a service now, and the numbers of all boxes of the subscriber.

    Attributes:
        covered_until: the last instant up to which the subscriber has the service now, which a new period follows.
        excludes: other services that nobody can have together with this one.
    """

    refusal: str | None
    clashes_with: Text | None
    covered_until: datetime | None
    excludes: list[str]
    boxes: list[str]


class Earlier(BaseModel):
    """Something that was paid, but not with an order of the box that asks."""

    service: Service
    term: str
    date: date
    amount_fen: int
    status: str


class AllEarlier(BaseModel):
    earlier: list[Earlier]


KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
"""JWK thumbprint (RFC 7638) of an Ed25519 key."""


class KeyClaim(BaseModel):
    """A box that wants to be enrolled with a key."""

    smart_card_number: str = Field(pattern=r"^[0-9]{16,20}$")
    activation_code: ActivationCode
    key_id: KeyId


class KeySuccessor(BaseModel):
    """The key that a box goes over to."""

    key_id: KeyId
    old_valid_until: Reasonable


class KeyEnd(BaseModel):
    """Why a key is not good any more."""

    reason: Literal["key-copied"]


class EndedKey(BaseModel):
    key_id: str
    ended: str


class RegisteredKey(BaseModel):
    """A key that speaks for a box, and whose box it is.

    Attributes:
        generation: counts the enrolments of a box; a key that was rotated to has that of the one before.
    """

    key_id: str
    generation: int
    subscriber: Subscriber


class OrderRequest(BaseModel):
    """The TSP's id of the order, and the choice."""

    order: str = Field(pattern=REFERENCE)
    service: str
    term: str


class Order(BaseModel):
    order: str
    service: Service
    term: str
    list_fen: int
    reduction_fen: int
    reduction_reason: Text | None
    amount_fen: int
    valid_from: datetime
    valid_until: datetime
    renews: bool = False


class Opening(BaseModel):
    """A payment for an order: id, amount and way."""

    payment: str = Field(pattern=REFERENCE)
    amount_fen: int = Field(gt=0, le=MOST_FEN)
    method: str = Field(max_length=64)
    paid_at: Reasonable


class Opened(BaseModel):
    order: str
    valid_from: datetime
    valid_until: datetime
    service: Service
