"""Paying with a debit or credit card: PPP is asked, the card has the last word, and what nobody is sure of is reversed.

From the moment on that a sale may have reached PPP the payment is unknown, on the disk. Whatever ends it without the
card's TC - no answer, an answer nobody can believe, a card that declines or does not come back - is undone by a
reversal, which is repeated until PPP has acknowledged it.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import Connection, Row

from server_stub.foundation import statements
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.iso8583 import Message
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.tsp import chip_data, core, machines, models
from server_stub.tsp.card import refuse_box
from server_stub.tsp.chip_data import ARQC, TC
from server_stub.tsp.core import Core
from server_stub.tsp.envelopes import Envelopes
from server_stub.tsp.issuer_line import IssuerLine, kept_of, why
from server_stub.tsp.moves import REVERSE, SCRIPT_RESULT, SCRIPT_RESULT_REFUSED
from server_stub.tsp.pos import APPROVED, MAC_REFUSED, NO_ANSWER, REVERSED, SYSTEM, Slip
from server_stub.tsp.ppp_line import Unanswered
from server_stub.tsp.rivals import refuse_card
from server_stub.tsp.tables import authorisations

SCRIPT_RESULTS = 0xDF31
OF_REVERSAL = (0x95, 0x9F10, 0x9F36, SCRIPT_RESULTS)
OF_SCRIPT_RESULT = (
    *(0x9F33, 0x95, 0x9F37, 0x9F1E, 0x9F10, 0x9F26, 0x9F36, 0x82),
    *(SCRIPT_RESULTS, 0x9F1A, 0x9A),
)
"""Of what the card has said, what bit 55 of a reversal and of a script result has."""
log = structlog.get_logger(__name__)


class OnlineCards:
    """The steps of a payment with a debit or credit card."""

    def __init__(self, parts: Core, envelopes: Envelopes, line: IssuerLine) -> None:
        self._core = parts
        self._envelopes = envelopes
        self._line = line

    async def authorise(
        self, box_number: str, payment: str, body: models.AuthorisationRequest, use: KeyUse
    ) -> Answer:
        """Asks PPP. That the payment is unknown from here on is on the disk before anything leaves.

        Raises:
            Problem: ``bad-request``, ``method-not-offered``, ``wrong-state``, ``payment-in-progress``, ``already-paid``,
                ``ppp-unreachable``: nothing has left, the payment stays as it is.
        """
        pos = self._line.pos
        opened = await self._envelopes.opened(body.envelope, payment)
        card = opened.card
        async with self._core.locks.hold(payment):
            keys = await self._line.keys()

            def begin(conn: Connection) -> tuple[Row[Any], Slip]:
                use.recall(conn)
                row = core.find_payment(conn, box_number, payment)
                if row.method != "card" or row.state != "created":
                    raise Problem("wrong-state", money=core.money_of(row))
                chip_data.expect(body.chip, row.amount_fen, ARQC)
                refuse_box(conn, self._core, box_number)
                refuse_card(conn, row)
                slip = pos.slip(conn)
                self._core.move(conn, row, "authorising", actor="box")
                values = {"payment_id": payment, "card_masked": card.masked}
                values |= {"card_fingerprint": card.fingerprint, "card_sealed": card.sealed}
                values |= {"batch": slip.batch, "stan": slip.stan, "chip": body.chip}
                statements.insert(conn, authorisations, {**values, "asked_at": self._core.clock.now()})
                return core.load_payment(conn, payment), slip

            row, slip = await self._core.change(payment, begin)
            said = await self._line.ask(slip, keys, row.amount_fen, opened, payment, body.chip)

            def end(conn: Connection) -> Answer:
                use.claim(conn)
                self._answered(conn, core.load_payment(conn, payment), said)
                return use.answer(conn, answer_of(self._view(conn, payment)))

            return await self._core.change(payment, end)

    async def complete(self, box_number: str, payment: str, body: models.Completion, use: KeyUse) -> Answer:
        """The card's last word: a TC takes the money in, anything else is reversed. What it has done with scripts PPP is
        told, also of a card whose issuer has declined.

        Raises:
            Problem: ``bad-request``, ``wrong-state``.
        """
        information, results = None, b""
        if body.chip is not None:
            information = chip_data.information(body.chip, money="unknown")
            results = chip_data.objects(body.chip, money="unknown").get(SCRIPT_RESULTS, b"")

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            row = core.find_payment(conn, box_number, payment)
            kept = statements.one(conn, authorisations, lock=True, payment_id=payment)
            if kept is None or row.state not in (*machines.ONLINE_UNKNOWN, "paid", "opened", "failed"):
                raise Problem("wrong-state", money=core.money_of(row))
            if kept.chip_end is None and kept.response_code is not None and body.chip is not None:
                statements.change(conn, authorisations, {"chip_end": body.chip}, payment_id=payment)
                if results:
                    self._owe_script_result(conn, row)
            if row.state == "authorised":
                if information is None:
                    self._reverse(conn, row, NO_ANSWER, "card-removed")
                elif information == TC:
                    self._core.paid(conn, row, actor="box")
                else:
                    self._reverse(conn, row, SYSTEM, "declined-by-card")
            return use.answer(conn, self._core.answer(conn, payment))

        async with self._core.locks.hold(payment):
            return await self._core.change(payment, work)

    async def give_up(self, payment: str) -> None:
        """Nobody has brought the end of what was asked, in its time: it is reversed."""

        def work(conn: Connection) -> None:
            row = core.load_payment(conn, payment)
            if row.state in ("authorising", "authorised"):
                self._reverse(
                    conn, row, NO_ANSWER, "ppp-silent" if row.state == "authorising" else "card-removed"
                )

        async with self._core.locks.hold(payment):
            await self._core.change(payment, work)

    async def reverse(self, payload: dict[str, Any]) -> Acknowledged:
        """What the outbox delivers. Raises Unanswered: also where PPP does not acknowledge it; it is told again."""
        payment, pos = payload["payment"], self._line.pos

        def find(conn: Connection) -> tuple[Row[Any], Row[Any]]:
            kept = statements.one(conn, authorisations, payment_id=payment)
            assert kept is not None
            return core.load_payment(conn, payment), kept

        row, kept = await self._core.database.look(find)
        if row.state != "reversing":
            return Acknowledged()
        chip = chip_data.only(kept.chip_end or kept.chip, OF_REVERSAL)
        said = await pos.reverse(Slip(kept.batch, kept.stan), row.amount_fen, kept.reversal_reason, chip)
        code = said.text(39)
        if code not in REVERSED:
            raise Unanswered(f"the reversal was answered {code}", sent=True)

        def change(conn: Connection) -> None:
            now_row = core.load_payment(conn, payment)
            values = {"reversal_code": code, "reversed_at": self._core.clock.now()}
            statements.change(conn, authorisations, values, payment_id=payment)
            if now_row.state == "reversing":
                self._core.move(conn, now_row, "failed", actor="ppp", reason=now_row.reason)

        return Acknowledged(change, lambda: self._core.changes.wake(payment))

    async def tell_script_result(self, payload: dict[str, Any]) -> Acknowledged:
        """What the outbox delivers. Raises Unanswered."""
        payment, pos = payload["payment"], self._line.pos
        kept = await self._core.database.look(
            lambda conn: statements.one(conn, authorisations, payment_id=payment)
        )
        assert kept is not None
        chip = chip_data.only(kept.chip_end, OF_SCRIPT_RESULT)
        slip, original = Slip(payload["batch"], payload["stan"]), Slip(kept.batch, kept.stan)
        code = (await pos.script_result(slip, original, chip)).text(39)
        if code == MAC_REFUSED:
            raise Unanswered("PPP takes no MAC of the script result", sent=True)
        if code != APPROVED:
            log.warning(SCRIPT_RESULT_REFUSED, payment=payment, code=code)

        def change(conn: Connection) -> None:
            statements.change(conn, authorisations, {"script_code": code}, payment_id=payment)
            if code != APPROVED:
                self._core.case(conn, payment, SCRIPT_RESULT_REFUSED, code=code)

        return Acknowledged(change)

    def _owe_script_result(self, conn: Connection, row: Row[Any]) -> None:
        slip = self._line.pos.slip(conn)
        owed = {"payment": row.id, "batch": slip.batch, "stan": slip.stan}
        self._core.outbox.put(conn, SCRIPT_RESULT, owed, of=row.correlation)

    def _answered(self, conn: Connection, row: Row[Any], said: Message | None) -> None:
        """What PPP has said, or that it has not, is kept; the sweep may have been quicker."""
        if said is None:
            if row.state == "authorising":
                self._reverse(conn, row, NO_ANSWER, "ppp-silent")
            return
        code = said.text(39)
        values = kept_of(said, self._core.clock.now())
        statements.change(conn, authorisations, values, payment_id=row.id)
        if row.state != "authorising":
            return
        if code == APPROVED:
            self._core.move(conn, row, "authorised", actor="ppp")
        else:
            self._core.move(conn, row, "failed", actor="ppp", reason=why(code))

    def _reverse(self, conn: Connection, row: Row[Any], code: str, reason: str) -> None:
        """Owes PPP a reversal, from the same moment on.

        Args:
            code: bit 39 of it.
            reason: what the subscriber is told.
        """
        self._core.move(conn, row, "reversing", actor="tsp", reason=reason)
        statements.change(conn, authorisations, {"reversal_reason": code}, payment_id=row.id)
        self._core.outbox.put(conn, REVERSE, {"payment": row.id}, of=row.correlation)

    def _view(self, conn: Connection, payment: str) -> models.Authorisation:
        kept = statements.one(conn, authorisations, payment_id=payment)
        assert kept is not None
        return models.Authorisation(
            payment=self._core.view(conn, payment),
            response_code=kept.response_code,
            chip=kept.chip_answer or None,
        )
