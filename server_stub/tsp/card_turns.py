"""What each step of a card payment needs: its rows, and its turn at the PSAM it has leased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row

from server_stub.foundation import statements
from server_stub.foundation.idempotency import KeyUse
from server_stub.foundation.problems import Problem
from server_stub.tsp import core, psam_pool, wrong_proofs
from server_stub.tsp.core import Core
from server_stub.tsp.tables import debits

LOOK_AGAIN = timedelta(seconds=0.1)
"""How often a step looks whether another process's turn at the PSAM is over."""
Taken = psam_pool.TakenTurn | Literal["settled", "untrusted"]


def find(conn: Connection, box_number: str, payment: str) -> Row[Any]:
    """A box's payment by card, locked. Raises Problem ``not-found``, ``wrong-state`` (paid in another way)."""
    row = core.find_payment(conn, box_number, payment)
    if row.method != "card":
        raise Problem("wrong-state", money=core.money_of(row), method=row.method)
    return row


def debit_of(conn: Connection, payment: str) -> Row[Any]:
    """What is known of the debit of a payment whose card has been checked."""
    row = debit_or_none(conn, payment)
    assert row is not None
    return row


def debit_or_none(conn: Connection, payment: str) -> Row[Any] | None:
    """The same; None before a card came."""
    return statements.one(conn, debits, payment_id=payment)


def purchase(parts: Core, amount_fen: int, sealed: str, begun: Any) -> psam_pool.Purchase:
    """What the PSAM is told of a purchase.

    Args:
        sealed: the card's application serial number, as the vault has sealed it.
        begun: by name what the card said at INITIALIZE FOR PURCHASE, and date and time as hexadecimal digits.
    """
    return psam_pool.Purchase(
        random=bytes.fromhex(begun["random"]),
        offline_number=begun["offline_number"],
        amount_fen=amount_fen,
        date=bytes.fromhex(begun["date"]),
        time=bytes.fromhex(begun["time"]),
        key_version=begun["key_version"],
        algorithm_id=begun["algorithm_id"],
        # The last 8 of the 10 bytes are what a card's keys are diversified with.
        application_serial8=parts.vault.unseal(sealed)[2:],
    )


def take(parts: Core, conn: Connection, payment: Row[Any], psam: str, *, anew: bool) -> Taken:
    """A turn at the PSAM for one step of a payment whose row is locked; none at one that cannot be reached, nor for a
    proof of a box whose proofs were wrong too often.

    Args:
        anew: for a proof, which may come after the lease has run out.
    """
    if psam not in parts.psams:
        return "lost"
    now = parts.clock.now()
    if anew:
        hindered = wrong_proofs.hinder(conn, payment, parts.settings.box_wrong_proofs, now)
        if hindered is not None:
            return hindered
    identity = f"{parts.who} {parts.ids.row()}"
    seconds = parts.settings.unknown_lease_seconds
    return psam_pool.take_turn(conn, payment.id, psam, identity, now, seconds, anew=anew)


async def wait(
    parts: Core, taken: Taken, payment: str, psam: str, use: KeyUse | None, *, anew: bool
) -> Taken:
    """What was taken, or a turn when the one that another process has is over; "settled" where that has come to the
    end with the payment.

    Args:
        use: of the request that wants it; None where nobody has asked.

    Raises:
        Problem: ``psam-none-free``, money unknown: it was not over in time.
        Replayed: the other process has answered this request.
    """

    def look(conn: Connection) -> Taken:
        if use is not None:
            use.recall(conn)
        row = core.load_payment(conn, payment)
        if row.state not in ("card-checked", "mac1-issued"):
            # The PSAM has been given back, and is not taken again for what needs none any more.
            return "settled" if row.paid_at is not None else "lost"
        return take(parts, conn, row, psam, anew=anew)

    clock = parts.clock
    patience = clock.now() + 2 * psam_pool.TURN
    while taken == "busy":
        now = clock.now()
        if now >= patience:
            raise Problem("psam-none-free", money="unknown")
        await clock.sleep_until(now + LOOK_AGAIN)
        taken = await parts.database.write(look)
    return taken
