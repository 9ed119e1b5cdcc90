"""What BOSS reads from its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, or_, select

from server_stub.boss.rules import Held, Product
from server_stub.boss.tables import boxes, orders, price_plans, products, subscribers, subscriptions
from server_stub.foundation import statements
from server_stub.foundation.problems import Problem
from server_stub.foundation.statements import Statement
from server_stub.foundation.text import Text

_PLANS = Statement(select(price_plans))
_PRODUCTS = Statement(select(products).order_by(products.c.position))
_GROUP = (
    select(products.c.exclusive_group).where(products.c.service == bindparam("service")).scalar_subquery()
)
_TOGETHER = Statement(
    select(products)
    .where(or_(products.c.service == bindparam("service"), products.c.exclusive_group == _GROUP))
    .order_by(products.c.position)
)
_PLANS_OF = Statement(
    select(price_plans)
    .join(products, products.c.service == price_plans.c.service)
    .where(or_(products.c.service == bindparam("service"), products.c.exclusive_group == _GROUP))
)
_WHOSE = Statement(
    select(subscribers, boxes.c.state)
    .join(boxes, boxes.c.subscriber_id == subscribers.c.id)
    .where(boxes.c.box_number == bindparam("box"))
    .with_for_update(of=subscribers)
)
_COVER = Statement(
    select(subscriptions.c.service, func.max(subscriptions.c.valid_until).label("valid_until"))
    .where(subscriptions.c.subscriber_id == bindparam("subscriber"), subscriptions.c.cancelled.is_(False))
    .group_by(subscriptions.c.service)
    .order_by(subscriptions.c.service)
)
_SUBSCRIPTIONS = Statement(
    select(subscriptions)
    .where(subscriptions.c.subscriber_id == bindparam("subscriber"))
    .order_by(subscriptions.c.paid_at, subscriptions.c.id)
)
_BOXES = Statement(
    select(boxes.c.box_number)
    .where(boxes.c.subscriber_id == bindparam("subscriber"))
    .order_by(boxes.c.box_number)
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What people read about a service."""

    name: Text
    summary: Text
    category: Text
    introduction: Text
    icon: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Services in the order to show."""

    products: Mapping[str, Product]
    rows: Mapping[str, Row[Any]]

    def shown(self, service: str) -> Shown:
        """What people read about a service."""
        return _shown(self.rows[service])

    @property
    def groups(self) -> dict[str, str | None]:
        """Exclusive group by service."""
        return {name: product.exclusive_group for name, product in self.products.items()}

    def product(self, service: str) -> Product:
        """Raises Problem ``not-found``."""
        if service not in self.products:
            raise Problem("not-found")
        return self.products[service]


class Until(NamedTuple):
    """How long a subscriber has a service, or had it."""

    service: str
    valid_until: datetime
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    """A subscriber, asked about through one of their boxes.

    Attributes:
        held: one for each service that they have or had.
    """

    id: str
    box_number: str
    name: Text
    arrears_fen: int
    held: tuple[Until, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Everything that a subscriber has and had.

    Attributes:
        payments: (instant, fen) of all, oldest first.
    """

    held: tuple[Held, ...]
    payments: tuple[tuple[datetime, int], ...]


def load_earlier(conn: Connection, customer: Customer, limit: int) -> list[tuple[Held, datetime]]:
    """What the subscriber paid otherwise than with an order of this box, and when; newest first.

    A partner's order carries the subscription it opened: whoever lists their own orders has those already.
    """
    mine = select(orders.c.id).where(
        (orders.c.subscription_id == subscriptions.c.id) & (orders.c.box_number == customer.box_number)
    )
    rows = conn.execute(
        select(subscriptions)
        .where((subscriptions.c.subscriber_id == customer.id) & ~mine.exists())
        .order_by(subscriptions.c.paid_at.desc(), subscriptions.c.id.desc())
        .limit(limit)
    )
    return [(_held(row), row.paid_at) for row in rows]


def load_catalogue(conn: Connection) -> Catalogue:
    """Every service with its prices."""
    return _catalogue(_PRODUCTS.all(conn), _PLANS.all(conn))


def load_offer(conn: Connection, service: str) -> Catalogue:
    """One service, and those that nobody can have together with it."""
    return _catalogue(_TOGETHER.all(conn, {"service": service}), _PLANS_OF.all(conn, {"service": service}))


def _catalogue(rows: Sequence[Row[Any]], plans: Sequence[Row[Any]]) -> Catalogue:
    prices: dict[str, dict[str, int]] = {}
    for plan in plans:
        prices.setdefault(plan.service, {})[plan.term] = plan.price_fen
    return Catalogue(
        {
            row.service: Product(
                row.service,
                row.extendable,
                row.withdrawn,
                row.exclusive_group,
                prices.get(row.service, {}),
            )
            for row in rows
        },
        {row.service: row for row in rows},
    )


def _shown(row: Row[Any]) -> Shown:
    return Shown(
        Text(zh=row.name_zh, en=row.name_en),
        Text(zh=row.summary_zh, en=row.summary_en),
        Text(zh=row.category_zh, en=row.category_en),
        Text(zh=row.introduction_zh, en=row.introduction_en),
        row.icon,
    )


def load_box(conn: Connection, box_number: str) -> Row[Any]:
    """A box that may be served (ONL-11). Raises Problem ``box-unknown``, ``box-suspended`` or ``box-stolen``."""
    row = statements.one(conn, boxes, box_number=box_number)
    _expect_served(row)
    assert row is not None
    return row


def _expect_served(box: Row[Any] | None) -> None:
    if box is None:
        raise Problem("box-unknown")
    if box.state != "active":
        raise Problem("box-stolen" if box.state == "stolen" else "box-suspended")


def load_boxes(conn: Connection, customer: Customer) -> list[str]:
    """The numbers of a subscriber's boxes, also of suspended ones: those may have payments under way."""
    return [row.box_number for row in _BOXES.all(conn, {"subscriber": customer.id})]


def load_customer(conn: Connection, box_number: str) -> Customer:
    """The subscriber behind a box, with what they have and had. Raises as ``load_box``.

    Whoever changes what they have comes here first: two openings for one subscriber take turns.
    """
    person = _WHOSE.one_or_none(conn, {"box": box_number})
    _expect_served(person)
    assert person is not None
    name = Text(zh=person.name_zh, en=person.name_en)
    return Customer(person.id, box_number, name, person.arrears_fen, load_held(conn, person.id))


def load_held(conn: Connection, subscriber: str) -> tuple[Until, ...]:
    """How long a subscriber has or had each service."""
    rows = _COVER.all(conn, {"subscriber": subscriber})
    return tuple(Until(row.service, row.valid_until) for row in rows)


def opened_of(conn: Connection, box_number: str, payments: Sequence[str]) -> list[str]:
    """Which of these payments have opened something for a box."""
    if not payments:
        return []
    mine = orders.c.payment.in_(payments) & (orders.c.box_number == box_number)
    return list(conn.scalars(select(orders.c.payment).where(mine & orders.c.subscription_id.is_not(None))))


def load_history(conn: Connection, customer: Customer) -> History:
    """Everything that they have and had."""
    rows = _SUBSCRIPTIONS.all(conn, {"subscriber": customer.id})
    paid = tuple((row.paid_at, row.paid_fen) for row in rows)
    return History(tuple(_held(row) for row in rows), paid)


def _held(row: Row[Any]) -> Held:
    return Held(row.service, row.term, row.valid_from, row.valid_until, row.paid_fen, row.cancelled)
