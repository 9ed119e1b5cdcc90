"""BOSS's rules on a subscriber's choice: may it be sold, from when, for how much. No database, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server_stub.boss import terms
from server_stub.foundation.money import percent_off
from server_stub.foundation.text import Text

CONTINUING_PERCENT = 5
CONTINUING_TERMS = ("quarterly", "yearly")
CONTINUING_REASON = Text(zh="连续订购优惠 5%", en="5 % off for staying on")


@dataclass(frozen=True, slots=True)
class Product:
    """A service with its price plans (fen by term; a term that is missing is not sold)."""

    service: str
    extendable: bool
    withdrawn: bool
    exclusive_group: str | None
    prices: Mapping[str, int]


class Cover(Protocol):
    """That a subscriber has or had a service, as far as these rules ask."""

    @property
    def service(self) -> str: ...
    @property
    def valid_until(self) -> datetime: ...
    @property
    def cancelled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Held:
    """One subscription that a subscriber has or had."""

    service: str
    term: str
    valid_from: datetime
    valid_until: datetime
    paid_fen: int
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Fee:
    """What a choice costs, and the period it covers."""

    list_fen: int
    reduction_fen: int
    reduction_reason: Text | None
    valid_from: datetime
    valid_until: datetime

    @property
    def amount_fen(self) -> int:
        return self.list_fen - self.reduction_fen


def status_of(held: Held, now: datetime) -> str:
    """``cancelled``, ``upcoming``, ``active``, ``expired``, or ``used`` for a per-use one that is over."""
    if held.cancelled:
        return "cancelled"
    if now < held.valid_from:
        return "upcoming"
    if now <= held.valid_until:
        return "active"
    return "used" if held.term == "per-use" else "expired"


def covered_until(service: str, held: Iterable[Cover], now: datetime) -> datetime | None:
    """The last instant up to which a subscriber already has the service, upcoming periods included."""
    ends = [one.valid_until for one in held if one.service == service and _runs(one, now)]
    return max(ends, default=None)


def pre_check(
    product: Product,
    term: str,
    held: Iterable[Cover],
    arrears_fen: int,
    groups: Mapping[str, str | None],
    now: datetime,
) -> str | None:
    """May the service be sold to this subscriber for this term? (ONL-4)

    Args:
        groups: exclusive group by service, of all services.

    Returns:
        None, or the code of the refusal.
    """
    if product.withdrawn:
        return "service-withdrawn"
    if term not in product.prices:
        return "term-not-sold"
    if arrears_fen > 0:
        return "subscriber-in-arrears"
    return clash(product, list(held), groups, now)


def clash(
    product: Product, held: Iterable[Cover], groups: Mapping[str, str | None], now: datetime
) -> str | None:
    """Does the service go together with what the subscriber has? The code of the refusal, or None."""
    held = list(held)
    if any(one.service == product.service and _runs(one, now) for one in held):
        return None if product.extendable else "already-subscribed"
    return "order-clash" if clashes_with(product, held, groups, now) is not None else None


def clashes_with(
    product: Product, held: Iterable[Cover], groups: Mapping[str, str | None], now: datetime
) -> str | None:
    """The service that the subscriber has and that excludes this one; of several the one that runs longest."""
    rivals = [
        one
        for one in held
        if one.service != product.service
        and _runs(one, now)
        and product.exclusive_group is not None
        and groups.get(one.service) == product.exclusive_group
    ]
    return max(rivals, key=lambda one: (one.valid_until, one.service)).service if rivals else None


def excludes(product: Product, groups: Mapping[str, str | None]) -> list[str]:
    """The other services of the same exclusive group, in order."""
    group = product.exclusive_group
    return sorted(
        name
        for name, other in groups.items()
        if name != product.service and group is not None and other == group
    )


def fee(product: Product, term: str, held: Iterable[Cover], now: datetime) -> Fee:
    """The fee for a sold term (ONL-2): an extension follows the present period and may be cheaper."""
    present_end = covered_until(product.service, held, now)
    begin, end = terms.period(term, now, present_end)
    list_fen = product.prices[term]
    if present_end is None or term not in CONTINUING_TERMS:
        return Fee(list_fen, 0, None, begin, end)
    return Fee(list_fen, percent_off(list_fen, CONTINUING_PERCENT), CONTINUING_REASON, begin, end)


def _runs(held: Cover, now: datetime) -> bool:
    return not held.cancelled and held.valid_until >= now
