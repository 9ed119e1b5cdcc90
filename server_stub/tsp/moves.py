"""How a payment moves: one place for its state, the books, what BOSS and wallets are owed, and its cases."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from server_stub.foundation import states
from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import Ids
from server_stub.foundation.outbox import Outbox
from server_stub.settings import Settings
from server_stub.tsp import books, machines, psam_pool
from server_stub.tsp.tables import audit, cases, payments

OPEN_SERVICE = "open-service"
REFUND = "refund"
ASK_WALLET = "ask-wallet"
REVERSE = "reverse"
SCRIPT_RESULT = "script-result"
PRESENT = "present"
REVERSE_LOAD, LOAD_SCRIPT_RESULT = "reverse-load", "load-script-result"
SCRIPT_RESULT_REFUSED = "script-result-refused"
"""A case: PPP does not know what to do with what a card has done with its issuer's scripts."""
DAY_S = 86_400
"""How often a case that stays open is looked at."""


@dataclass(slots=True)
class Moves:
    """What moves payments.

    Attributes:
        given_back: how many PSAMs payments have given back.
    """

    clock: Clock
    ids: Ids
    settings: Settings
    outbox: Outbox
    given_back: int = field(default=0, init=False)

    def move(
        self,
        conn: Connection,
        payment: Row[Any],
        target: str,
        *,
        actor: str,
        reason: str | None = None,
        **values: Any,
    ) -> None:
        """Moves a payment and books what that means. One that ends without money closes its order and gives its PSAM
        back.

        Args:
            values: columns that change with it; ``received_fen`` where money came.

        Raises:
            IllegalMove
        """
        now = self.clock.now()
        machine = machines.CARD_PAYMENT if payment.method == "card" else machines.WALLET_PAYMENT
        if reason is not None or target in ("paid", "presenting"):
            # Why nobody knew is over once the money is in, or the card's word on it.
            values["reason"] = reason
        if target in machines.WATCHED:
            values["expires_at"] = now + timedelta(seconds=self.settings.unknown_schedule[0])
            values["looks"] = 0
        live = target in machines.LIVE
        moved = states.move(
            conn, machine, payment.id, target, actor=actor, at=now, seen=payment, live=live, **values
        )
        before = books.Money(payment.method, payment.amount_fen, payment.received_fen)
        received_fen = values.get("received_fen", payment.received_fen)
        after = books.Money(payment.method, payment.amount_fen, received_fen)
        sides = (moved.origin, before), (target, after)
        of = payment.correlation
        books.book(conn, payment.id, target, moved.version, *sides, actor=actor, at=now, of=of)
        if target in machines.ENDED_WITHOUT_MONEY:
            if moved.origin != "contradicted":  # that one had failed before: its order is closed
                self.close_order(conn, payment, actor=actor)
            self.give_back(conn, payment.id)

    def paid(
        self, conn: Connection, payment: Row[Any], *, actor: str, received_fen: int | None = None
    ) -> None:
        """The payment counts as paid: BOSS is owed the message from the same moment on.

        Args:
            received_fen: what came; None: all of it. 0: the operator bears the amount until somebody pays it.
        """
        fen = payment.amount_fen if received_fen is None else received_fen
        self.move(conn, payment, "paid", actor=actor, paid_at=self.clock.now(), received_fen=fen)
        self.give_back(conn, payment.id)
        if payment.state == "contradicted":
            now = self.clock.now()
            states.move(conn, machines.ORDER, payment.order_id, "paying", actor=actor, at=now)
        self.outbox.put(conn, OPEN_SERVICE, {"payment": payment.id}, of=payment.correlation)

    def give_back(self, conn: Connection, payment: str) -> None:
        """The PSAM that a payment may hold is for others."""
        psam_pool.release(conn, payment)
        self.given_back += 1

    def present(self, conn: Connection, payment: Row[Any], *, actor: str) -> None:
        """A card's certificate is here: PPP is owed it from the same moment on. A payment that the operator bears stays as it is."""
        if not borne(payment):
            self.move(conn, payment, "presenting", actor=actor)
        if payment.state == "written-off":
            now = self.clock.now()
            states.move(conn, machines.ORDER, payment.order_id, "paying", actor=actor, at=now)
        self.outbox.put(conn, PRESENT, {"payment": payment.id}, of=payment.correlation)

    def begin_refund(
        self, conn: Connection, payment: Row[Any], amount_fen: int, *, actor: str, reason: str | None
    ) -> None:
        """The money is to go back, as much as came; from now on it is owed to the subscriber."""
        # It stays the money of the day that it came on.
        values = {"paid_at": payment.paid_at or self.clock.now(), "received_fen": amount_fen}
        self.move(conn, payment, "refunding", actor=actor, reason=reason, **values)
        owed = {"payment": payment.id, "amount_fen": amount_fen}
        self.outbox.put(conn, REFUND, owed, of=payment.correlation)

    def received(self, conn: Connection, payment: Row[Any], amount_fen: int, *, actor: str) -> None:
        """Another amount has come than was known, for a payment whose amount differs, or for one that the operator bears."""
        before = books.Money(payment.method, payment.amount_fen, payment.received_fen)
        after = books.Money(payment.method, payment.amount_fen, amount_fen)
        mine, step = payments.c.id == payment.id, payment.version + 1
        conn.execute(update(payments).where(mine).values(received_fen=amount_fen, version=step))
        state, now, of = payment.state, self.clock.now(), payment.correlation
        sides = (state, before), (state, after)
        books.book(conn, payment.id, state, step, *sides, actor=actor, at=now, of=of)

    def close_order(self, conn: Connection, payment: Row[Any], *, actor: str) -> None:
        """Nothing more can be paid for the payment's order."""
        states.move(conn, machines.ORDER, payment.order_id, "closed", actor=actor, at=self.clock.now())

    def case(self, conn: Connection, payment: str, kind: str, **facts: Any) -> None:
        """Something about a payment that a person has to look at; the same once more is no second case."""
        self._ask(conn, {"payment_id": payment, "kind": kind, "facts": json.dumps(facts)})

    def load_case(self, conn: Connection, load: str, kind: str, **facts: Any) -> None:
        """The same about a load of electronic cash."""
        self._ask(conn, {"load_id": load, "kind": kind, "facts": json.dumps(facts)})

    def _ask(self, conn: Connection, values: dict[str, str]) -> None:
        same = select(cases.c.id).filter_by(**values, state="open")
        if conn.execute(same).first() is None:
            conn.execute(insert(cases).values(id=self.ids.row(), at=self.clock.now(), **values))

    def note_refused(self, conn: Connection, refused: states.IllegalMove) -> None:
        """A move that was refused belongs in the audit log."""
        subject = f"{refused.machine.name} {refused.row}"
        facts = {"origin": refused.origin, "target": refused.target}
        audit.append(conn, self.clock, refused.actor, "move-refused", subject, **facts)

    def look(self, conn: Connection, payment: Row[Any]) -> str | None:
        """A payment that waits has been looked at: when next, and whether it is a case now.

        Returns:
            the kind of case, where the schedule is over.
        """
        pauses = self.settings.unknown_schedule
        kind = machines.WATCHED[payment.state]
        looks = payment.looks + 1
        pause = pauses[looks] if looks < len(pauses) else DAY_S
        due = self.clock.now() + timedelta(seconds=pause)
        mine = payments.c.id == payment.id
        conn.execute(update(payments).where(mine).values(looks=looks, expires_at=due))
        if looks < len(pauses):
            return None
        if conn.execute(open_cases(payment_id=payment.id)).first() is None:
            self.case(conn, payment.id, kind)
        return kind


def borne(payment: Row[Any]) -> bool:
    """Whether a payment counts as paid though nothing has come for it: a person has decided so, and the operator bears it."""
    return payment.method == "card" and payment.state in machines.PAID and payment.received_fen == 0


def open_cases(**about: str) -> Select[Any]:
    """The cases that nobody has decided, about one ``payment_id`` or ``load_id``."""
    return select(cases).filter_by(state="open", **about)
