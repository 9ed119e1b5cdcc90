"""What all of the TSP's services share: its parts, one way to move a payment, one way to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, bindparam, func, select, update

from server_stub.foundation import statements, states, wire
from server_stub.foundation.changes import Changes
from server_stub.foundation.clock import CHINA
from server_stub.foundation.database import Database
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, Idempotency
from server_stub.foundation.locks import KeyedLocks
from server_stub.foundation.problems import Money, Problem
from server_stub.foundation.statements import Statement
from server_stub.foundation.vault import Vault
from server_stub.tsp import chip_data, machines, models, psam_pool
from server_stub.tsp.boss_client import BossClient
from server_stub.tsp.moves import Moves, borne
from server_stub.tsp.psam_queue import PsamQueue
from server_stub.tsp.tables import OF_PAYMENT, authorisations, certificates, debits, orders, payments
from server_stub.wallets.provider import Wallet

T = TypeVar("T")
BY_OPERATOR = "opened-by-operator"
"""The reason that is told of a payment whose service is open and that the operator bears."""
_SHOWN = Statement(
    select(
        *OF_PAYMENT,
        *(orders.c[name] for name in ("number", "service", "term")),
        func.coalesce(debits.c.card_masked, authorisations.c.card_masked, certificates.c.card_masked).label(
            "card_masked"
        ),
        *(
            func.coalesce(debits.c[name], certificates.c[name]).label(name)
            for name in ("balance_before_fen", "balance_after_fen")
        ),
        *(debits.c[name] for name in ("date", "time")),
        debits.c.payment_id.label("by_purse"),
        certificates.c.payment_id.label("by_cash"),
        authorisations.c.chip,
    )
    .join(orders, orders.c.id == payments.c.order_id)
    .outerjoin(debits, debits.c.payment_id == payments.c.id)
    .outerjoin(authorisations, authorisations.c.payment_id == payments.c.id)
    .outerjoin(certificates, certificates.c.payment_id == payments.c.id)
    .where(payments.c.id == bindparam("payment"))
)
"""A payment with all that is shown of it."""


@dataclass(slots=True)
class Core(Moves):
    """The parts of one TSP.

    Attributes:
        sweep_by: something will have run out of time at an instant, perhaps earlier than what the sweep knows of.
        who: this process; a name no other one has.
    """

    database: Database
    vault: Vault
    boss: BossClient
    wallets: dict[str, Wallet]
    psams: dict[str, psam_pool.PsamUnit]
    idempotency: Idempotency
    sweep_by: Callable[[datetime], None]
    who: str
    changes: Changes = field(default_factory=Changes)
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    psam_queue: PsamQueue = field(init=False)

    def __post_init__(self) -> None:
        self.psam_queue = PsamQueue(self.changes, self.clock)

    async def change(self, payment: str, work: Callable[[Connection], T]) -> T:
        """Writes something about a payment; when it is on the disk, wakes whoever waits for it.

        Raises:
            Problem: ``wrong-state`` for a move that is not legal; that is recorded.
        """
        owed = given_back = False

        def watched(conn: Connection) -> T:
            nonlocal owed, given_back
            before = self.outbox.latest, self.given_back
            done = work(conn)
            owed, given_back = self.outbox.latest is not before[0], self.given_back != before[1]
            return done

        try:
            result = await states.write(self.database, watched)
        except states.IllegalMove as refused:
            await self.database.write(partial(self.note_refused, refused=refused))
            # An order's states are at most named like a payment's; only a payment's are told.
            shown = machines.PAYMENT_SHOWN.get(refused.origin)
            if shown is None or refused.machine is machines.ORDER:
                raise Problem("wrong-state") from refused
            raise Problem("wrong-state", money=shown.money, state=shown.state) from refused
        self.changes.wake(payment)
        if owed:
            self.outbox.worker.kick()
        if given_back:
            self.psam_queue.wake()
        return result

    def view(self, conn: Connection, payment: str) -> models.Payment:
        """A payment as the box sees it."""
        return show(conn, payment, self.clock.now())

    def answer(self, conn: Connection, payment: str, status: int = 200) -> Answer:
        """The same, ready to be kept as an answer."""
        return answer_of(self.view(conn, payment), status)


def find_order(conn: Connection, box_number: str, order: str) -> Row[Any]:
    """An order of this box. Raises Problem ``not-found``."""
    row = statements.one(conn, orders, lock=True, id=order, box_number=box_number)
    if row is None:
        raise Problem("not-found")  # what was named may be anything, also a card number
    return row


def find_payment(conn: Connection, box_number: str, payment: str) -> Row[Any]:
    """A payment of this box. Raises Problem ``not-found``."""
    row = statements.one(conn, payments, lock=True, id=payment, box_number=box_number)
    if row is None:
        raise Problem("not-found")
    return row


def load_payment(conn: Connection, payment: str) -> Row[Any]:
    """A payment that exists."""
    row = statements.one(conn, payments, lock=True, id=payment)
    if row is None:
        raise LookupError(f"payment {payment}")
    return row


def money_of(payment: Row[Any]) -> Money:
    """What became of a payment's money."""
    return machines.PAYMENT_SHOWN[payment.state].money


def touch(conn: Connection, payment: str, **values: Any) -> None:
    """Changes a payment without moving it; long polls see it."""
    new = {"version": payments.c.version + 1, **values}
    conn.execute(update(payments).where(payments.c.id == payment).values(**new))


def _time(row: Row[Any]) -> datetime:
    """When money moved: as the card has it in its log, else when it came in; before that, when the payment began."""
    if row.date is not None:
        return datetime.strptime(row.date + row.time, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
    return row.paid_at or row.created_at  # type: ignore[no-any-return]


def _kind(row: Row[Any]) -> models.CardKind | None:
    """Which kind of card a payment was begun with."""
    if row.by_purse is not None:
        return "purse"
    if row.by_cash is not None:
        return "electronic-cash"
    return None if row.chip is None else chip_data.account_of(row.chip)


def show(conn: Connection, payment: str, now: datetime) -> models.Payment:
    """A payment as the box sees it."""
    row = _SHOWN.one_or_none(conn, {"payment": payment})
    if row is None:
        raise LookupError(f"payment {payment}")
    shown = machines.PAYMENT_SHOWN[row.state]
    qr = None
    if row.qr_payload is not None and row.state in machines.CODE_OUT:
        # Rounded down: a countdown must not promise a second that is not there any more.
        left = max(0, int((row.expires_at - now).total_seconds()))
        qr = models.Qr(payload=row.qr_payload, seconds_left=left)
    card = None
    if row.card_masked is not None:
        card = models.CardSummary(
            kind=_kind(row),
            number=row.card_masked,
            balance_before_fen=row.balance_before_fen,
            balance_after_fen=row.balance_after_fen,
        )
    return models.Payment(
        payment=row.id,
        order=row.order_id,
        number=row.number,
        service=wire.Service.model_validate_json(row.service),
        term=row.term,
        method=row.method,
        amount_fen=row.amount_fen,
        time=_time(row),
        state=shown.state,
        money=shown.money,
        reason=row.reason or (BY_OPERATOR if row.state == "opened" and borne(row) else None),
        facts={},
        valid_until=row.valid_until,
        card=card,
        qr=qr,
        version=row.version,
    )
