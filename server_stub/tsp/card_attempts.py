"""How often a card may come to paying: a PIN is tried on the box, and this is what the TSP sees of it.

A card is asked about before its PIN, and comes to its PSAM after it. Who tries PINs is seen coming and never arriving.
"""

from __future__ import annotations

from sqlalchemy import Connection

from server_stub.foundation import rates
from server_stub.foundation.rates import Limit
from server_stub.tsp.core import Core
from server_stub.tsp.tables import rates as rate_buckets

HOUR_S = 3600.0


def came(conn: Connection, parts: Core, box_number: str, card: str) -> None:
    """A card was put in and asked about.

    Args:
        card: its fingerprint.

    Raises:
        Problem: ``too-many-requests``.
    """
    for name, limit in _buckets(parts, box_number, card):
        rates.take(conn, rate_buckets, name, limit, parts.clock.now())


def arrived(conn: Connection, parts: Core, box_number: str, card: str) -> None:
    """Its PIN was right: that was no guess."""
    for name, limit in _buckets(parts, box_number, card):
        rates.give_back(conn, rate_buckets, name, limit, parts.clock.now())


def _buckets(parts: Core, box_number: str, card: str) -> tuple[tuple[str, Limit], ...]:
    amount = parts.settings.card_attempts_per_hour
    # In one home there is more than one card.
    return (
        (f"card {card}", Limit(amount, HOUR_S)),
        (f"cards of box {box_number}", Limit(3 * amount, HOUR_S)),
    )
