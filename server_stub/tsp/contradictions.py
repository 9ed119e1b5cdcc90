"""Proofs of cards against what is known here: kept with a case, and the payment is a person's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from server_stub.foundation import rates
from server_stub.foundation.problems import Problem
from server_stub.foundation.rates import Limit
from server_stub.tsp import core, machines
from server_stub.tsp.core import Core
from server_stub.tsp.tables import rates as rate_buckets

CONTRADICTIONS = Limit(60, 3600.0)
"""So many proofs that contradict what is known are kept of a box in an hour."""


def contradict(parts: Core, conn: Connection, row: Row[Any], **proof: Any) -> None:
    """Keeps a proof of a payment that has ended otherwise, or of whose beginning nothing is known, as after a restore.

    Raises:
        Problem: ``too-many-requests``, money unknown.
    """
    # A box may have no end of such proofs; one that is right comes again until it is taken in.
    try:
        rates.take(conn, rate_buckets, f"proofs of box {row.box_number}", CONTRADICTIONS, parts.clock.now())
    except Problem as problem:
        problem.body.money = "unknown"
        raise
    parts.case(conn, row.id, "evidence-contradicts", **proof)
    if row.state in machines.CARD_PREPARING:
        # The card is not known to have been asked: now it will not be any more.
        parts.move(conn, row, "cancelled", actor="box")
        row = core.load_payment(conn, row.id)
    if row.state in machines.ENDED_WITHOUT_MONEY:
        parts.move(conn, row, "contradicted", actor="box", reason="evidence-contradicts")
