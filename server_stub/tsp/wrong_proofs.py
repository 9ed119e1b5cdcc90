"""Proofs that a PSAM has called wrong: a PSAM locks itself after some in a row, so a box has few of them.

They count, in the database, until a person has decided their cases.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, select

from server_stub.foundation.statements import Statement
from server_stub.tsp.tables import LIVE, boxes, leases, payments

_BOX = Statement(
    select(boxes.c.box_number)
    .where(boxes.c.box_number == bindparam("box"))
    # No key is changed: rows that refer to the box can be written meanwhile.
    .with_for_update(key_share=True)
)
_WRONG = Statement(
    select(payments.c.id).where(
        LIVE, (payments.c.box_number == bindparam("box")) & (payments.c.state == "mac2-refused")
    )
)
_UNDER_WAY = Statement(
    select(leases.c.psam)
    .join(payments, payments.c.id == leases.c.payment_id)
    .where(
        LIVE,
        (payments.c.box_number == bindparam("box"))
        & (payments.c.id != bindparam("payment"))
        & (leases.c.busy_until > bindparam("now", type_=leases.c.busy_until.type)),
    )
)


def too_many(conn: Connection, box_number: str, most: int) -> bool:
    """Whether so many wrong proofs of a box wait for a person that its cards pay nothing until then."""
    return len(_WRONG.all(conn, {"box": box_number})) >= most


def hinder(
    conn: Connection, payment: Row[Any], most: int, now: datetime
) -> Literal["untrusted", "busy"] | None:
    """Why a payment's proof goes to no PSAM: "untrusted", too many of its box were wrong; "busy", others that are at PSAMs
    at this moment could be too many; None: it does.

    The box's row stays locked: of its payments one at a time asks this and takes its turn.
    """
    _BOX.all(conn, {"box": payment.box_number})
    wrong = len(_WRONG.all(conn, {"box": payment.box_number}))
    if wrong >= most:
        return "untrusted"
    values = {"box": payment.box_number, "payment": payment.id, "now": now}
    return "busy" if wrong + len(_UNDER_WAY.all(conn, values)) >= most else None
