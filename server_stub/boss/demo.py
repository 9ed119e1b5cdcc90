"""The made-up operator's catalogue and subscribers, loaded into an empty BOSS at its first start."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, time, timedelta
from importlib import resources
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select

from server_stub.boss import tables, terms
from server_stub.boss.keys import activation_hash
from server_stub.foundation.clock import CHINA, Clock
from server_stub.foundation.ids import Ids

ACTIVATION_CODE = "246810"
"""Of all demo boxes."""
LOADED = "subscribers-loaded"


class Past(NamedTuple):
    """A subscription in a demo subscriber's history.

    Args:
        ends_in_days: counted from the day of loading; negative: it is over.
    """

    service: str
    term: str
    paid_fen: int
    ends_in_days: int
    cancelled: bool = False


class Person(NamedTuple):
    """A demo subscriber with a box."""

    box_number: str
    smart_card_number: str
    name: tuple[str, str]
    arrears_fen: int = 0
    box_state: str = "active"
    history: tuple[Past, ...] = ()


PEOPLE = (
    Person(
        "85312047",
        "8310220477550019",
        ("张女士", "Ms Zhang"),
        history=(
            Past("sports", "monthly", 1500, -122),
            Past("sports", "per-use", 500, -96),
            Past("kids", "quarterly", 3300, -54),
            Past("music", "per-use", 400, -75),
            Past("movies", "monthly", 2500, -53),
            Past("movies", "monthly", 2500, -21),
            Past("documentary", "monthly", 1200, -84, cancelled=True),
            Past("sports", "per-use", 500, -40),
            Past("movies", "monthly", 2500, 10),
            Past("learning", "quarterly", 8800, 47),
        ),
    ),
    Person("85312048", "8310220477550027", ("李先生", "Mr Li")),
    Person(
        "85312049",
        "8310220477550035",
        ("王先生", "Mr Wang"),
        arrears_fen=3680,
        history=(Past("news", "monthly", 800, -64), Past("opera", "quarterly", 1600, -12)),
    ),
    Person(
        "85312050",
        "8310220477550043",
        ("陈女士", "Ms Chen"),
        box_state="suspended",
        history=(Past("kids", "yearly", 12000, -33),),
    ),
    Person(
        "85312051",
        "8310220477550050",
        ("刘先生", "Mr Liu"),
        history=tuple(
            Past(service, "quarterly", paid_fen, 20 + 5 * place)
            for place, (service, paid_fen) in enumerate(
                (
                    ("drama", 5600),
                    ("sports", 4200),
                    ("kids", 3300),
                    ("documentary", 3300),
                    ("learning", 8800),
                    ("games", 5000),
                    ("music", 2800),
                    ("news", 2200),
                    ("opera", 1600),
                    ("health", 2500),
                    ("life", 1400),
                )
            )
        ),
    ),
)


def catalogue() -> list[dict[str, Any]]:
    """The catalogue as it stands in its file."""
    text = resources.files("server_stub.boss").joinpath("catalogue.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)
    return entries


def load(conn: Connection, ids: Ids, clock: Clock) -> None:
    """Fills an empty BOSS; one that has services already is left alone. The audit log says what was there at first."""
    now = clock.now()
    if conn.execute(select(func.count()).select_from(tables.products)).scalar_one():
        return
    for position, entry in enumerate(catalogue()):
        _load_product(conn, position, entry)
    for person in PEOPLE:
        _load_person(conn, ids, person, now)
    tables.audit.append(conn, clock, "server", LOADED, "boss", history=history(conn))


def history(conn: Connection) -> str:
    """SHA-256 over the subscriptions that no order has opened; whether they still run is not part of it."""
    table = tables.subscriptions.c
    by_order = select(tables.orders.c.id).where(tables.orders.c.subscription_id == table.id).exists()
    query = select(table.id, table.subscriber_id, table.service, table.term, table.paid_fen)
    query = query.add_columns(table.valid_from, table.valid_until).where(~by_order).order_by(table.id)
    digest = hashlib.sha256()
    for row in conn.execute(query):
        digest.update("|".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()


def _load_product(conn: Connection, position: int, entry: dict[str, Any]) -> None:
    words = {
        f"{name}_{language}": entry[name][place]
        for name in ("name", "summary", "category", "introduction")
        for place, language in enumerate(("zh", "en"))
    }
    conn.execute(
        insert(tables.products).values(
            service=entry["service"],
            position=position,
            icon=entry["icon"],
            extendable=entry.get("extendable", True),
            withdrawn=entry.get("withdrawn", False),
            exclusive_group=entry.get("group"),
            **words,
        )
    )
    for term, price_fen in entry["prices"].items():
        conn.execute(
            insert(tables.price_plans).values(service=entry["service"], term=term, price_fen=price_fen)
        )


def _load_person(conn: Connection, ids: Ids, person: Person, now: datetime) -> None:
    subscriber = ids.row()
    conn.execute(
        insert(tables.subscribers).values(
            id=subscriber,
            name_zh=person.name[0],
            name_en=person.name[1],
            arrears_fen=person.arrears_fen,
        )
    )
    conn.execute(
        insert(tables.boxes).values(
            box_number=person.box_number,
            subscriber_id=subscriber,
            smart_card_number=person.smart_card_number,
            activation_hash=activation_hash(person.box_number, ACTIVATION_CODE),
            state=person.box_state,
        )
    )
    for past in person.history:
        begin, end = _period(past, now)
        conn.execute(
            insert(tables.subscriptions).values(
                id=ids.row(),
                subscriber_id=subscriber,
                service=past.service,
                term=past.term,
                valid_from=begin,
                valid_until=end,
                paid_fen=past.paid_fen,
                paid_at=begin,
                cancelled=past.cancelled,
            )
        )


def _period(past: Past, now: datetime) -> tuple[datetime, datetime]:
    last_day = now.date() + timedelta(days=past.ends_in_days)
    end = datetime.combine(last_day, time(23, 59, 59), CHINA)
    if past.term == "per-use":
        return end - terms.PER_USE + terms.SECOND, end
    first_day = terms.add_months(last_day, -terms.MONTHS[past.term])
    return datetime.combine(first_day, time(19, 42), CHINA), end
