"""Paying with electronic cash: the card takes the money out of itself, and its certificate is money until PPP has it.

The payment is unknown, on the disk, before the card is asked. Its certificate (TC) is told to PPP until that has answered,
and no service is given before: nobody but the issuer can tell whether it is good. One that is lost on its way from the card
cannot be made again; what the card says of itself then is for a person.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import Connection, Row

from server_stub.foundation import statements
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.iso8583 import Value
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.tsp import chip_data, core, models
from server_stub.tsp.card import refuse_box
from server_stub.tsp.contradictions import contradict
from server_stub.tsp.core import Core
from server_stub.tsp.envelopes import Envelopes
from server_stub.tsp.hsm.module import Hsm
from server_stub.tsp.moves import borne
from server_stub.tsp.pos import APPROVED, Keys, Pos, Slip
from server_stub.tsp.ppp_line import Unanswered
from server_stub.tsp.rivals import refuse_card
from server_stub.tsp.tables import certificates

REFUSED = frozenset({"05", "12", "13", "14", "15", "30", "94"})
"""Bit 39 of an answer after which the same certificate will not be paid for: wrong, used, or of an unknown card. Any other
one is no decision, and it is told again."""
OPEN_TO_PROOF = ("cash-begun", "certificate-lost", "written-off")
LOST, REFUSED_CASE, CONTRADICTS = "certificate-lost", "certificate-refused", "evidence-contradicts"
log = structlog.get_logger(__name__)


class ElectronicCash:
    """The steps of a payment with electronic cash.

    Args:
        pos: None where no PPP is configured: nothing is offered then.
    """

    def __init__(self, parts: Core, hsm: Hsm, envelopes: Envelopes, pos: Pos | None) -> None:
        self._core = parts
        self._hsm = hsm
        self._envelopes = envelopes
        self._pos = pos

    async def begin(self, box_number: str, payment: str, body: models.CashBegin, use: KeyUse) -> Answer:
        """The card is about to be asked for its certificate: the payment is unknown from here on.

        Raises:
            Problem: ``bad-request``, ``method-not-offered``, ``wrong-state``, ``balance-too-low``,
                ``payment-in-progress``, ``already-paid``: the payment stays as it is.
        """
        if self._pos is None:
            raise Problem("method-not-offered", method="card")
        card = (await self._envelopes.opened(body.envelope, payment)).card

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            row = core.find_payment(conn, box_number, payment)
            if row.method != "card" or row.state != "created":
                raise Problem("wrong-state", money=core.money_of(row))
            if body.balance_before_fen < row.amount_fen:
                facts = {"balance_fen": body.balance_before_fen, "amount_fen": row.amount_fen}
                raise Problem("balance-too-low", **facts)
            refuse_box(conn, self._core, box_number)
            refuse_card(conn, row)
            self._core.move(conn, row, "cash-begun", actor="box")
            values: dict[str, Any] = {
                "payment_id": payment,
                "card_masked": card.masked,
                "card_fingerprint": card.fingerprint,
            }
            values |= {"card_sealed": card.sealed, "balance_before_fen": body.balance_before_fen}
            values |= {"sequence_number": card.sequence_number, "atc": body.atc}
            statements.insert(conn, certificates, {**values, "begun_at": self._core.clock.now()})
            return use.answer(conn, self._core.answer(conn, payment))

        async with self._core.locks.hold(payment):
            return await self._core.change(payment, work)

    async def certified(self, box_number: str, payment: str, body: models.Certificate, use: KeyUse) -> Answer:
        """The card has paid: PPP is told, from the same moment on. The same certificate once more is no second one. One of a
        payment that the operator bears is told too: what that brings is the operator's, and the payment stays paid.

        Raises:
            Problem: ``bad-request``, ``wrong-state``, ``evidence-contradicts`` (it was said to have failed, or nothing is
                known of its beginning: kept, for a person), ``too-many-requests`` (of such). Money unknown.
        """

        def work(conn: Connection) -> Answer | None:
            use.claim(conn)
            row = core.find_payment(conn, box_number, payment)
            kept = statements.one(conn, certificates, lock=True, payment_id=payment)
            if kept is not None and kept.chip == body.chip:
                return use.answer(conn, self._core.answer(conn, payment))
            if row.method == "card" and (kept is None or row.state in ("failed", "contradicted")):
                contradict(self._core, conn, row, **body.model_dump())
                return None
            if kept is None or kept.chip is not None or not (row.state in OPEN_TO_PROOF or borne(row)):
                raise Problem("wrong-state", money=core.money_of(row))
            chip_data.expect(body.chip, row.amount_fen, chip_data.TC, "unknown")
            if chip_data.atc_of(body.chip, "unknown") != kept.atc:
                raise Problem("bad-request", money="unknown", field="body.chip", kind="other_counter")
            values = {"chip": body.chip, "balance_after_fen": body.balance_after_fen}
            statements.change(conn, certificates, values, payment_id=payment)
            self._core.present(conn, row, actor="box")
            return use.answer(conn, self._core.answer(conn, payment))

        async with self._core.locks.hold(payment):
            answer = await self._core.change(payment, work)
        if answer is None:
            raise Problem("evidence-contradicts")
        return answer

    async def not_certified(
        self, box_number: str, payment: str, body: models.NoCertificate, use: KeyUse
    ) -> Answer:
        """The card says where it stands: nothing has left it, or it has paid and its certificate is gone. Of a payment that the
        operator bears it changes nothing; where nothing has left the card, that is for a person.

        Raises:
            Problem: ``wrong-state``.
        """

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            row, kept = self._begun(conn, box_number, payment)
            unpaid = body.balance_fen == kept.balance_before_fen and not body.logged
            if row.state == "cash-begun" and unpaid:
                reason = "declined-by-card" if body.declined else "card-removed"
                self._core.move(conn, row, "failed", actor="card", reason=reason)
            elif row.state == "cash-begun":
                log.error("case-open", payment=payment, kind=LOST)
                statements.change(
                    conn, certificates, {"balance_after_fen": body.balance_fen}, payment_id=payment
                )
                self._core.move(conn, row, "certificate-lost", actor="card", reason=LOST)
                self._core.case(conn, payment, LOST, **_told(kept, body))
            elif borne(row):
                if unpaid:
                    self._core.case(conn, payment, CONTRADICTS, **_told(kept, body))
            elif row.state not in ("failed", "certificate-lost"):
                raise Problem("wrong-state", money=core.money_of(row))
            return use.answer(conn, self._core.answer(conn, payment))

        async with self._core.locks.hold(payment):
            return await self._core.change(payment, work)

    async def present(self, payload: dict[str, Any]) -> Acknowledged:
        """What the outbox delivers. Raises Unanswered: also where PPP's answer decides nothing; it is told again."""
        payment, pos = payload["payment"], self._pos
        if pos is None:
            raise Unanswered("no PPP is configured", sent=False)

        def find(conn: Connection) -> tuple[Row[Any], Row[Any], Slip]:
            row = core.load_payment(conn, payment)
            kept = statements.one(conn, certificates, lock=True, payment_id=payment)
            assert kept is not None
            if kept.stan is not None:
                return row, kept, Slip(kept.batch, kept.stan)
            # Its number is on the disk before anything leaves: told again, it counts once.
            slip = pos.slip(conn)
            values = {"batch": slip.batch, "stan": slip.stan}
            statements.change(conn, certificates, values, payment_id=payment)
            return row, kept, slip

        row, kept, slip = await self._core.database.write(find)
        if not _awaits(row, kept):
            return Acknowledged()

        def fields(keys: Keys) -> dict[int, Value]:
            found: dict[int, Value] = {55: bytes.fromhex(kept.chip)}
            found[35] = self._hsm.encrypt_track(kept.card_sealed, payment, keys.tdk)
            if kept.sequence_number is not None:
                found[23] = f"{kept.sequence_number:03d}"
            return found

        said = await pos.present(slip, row.amount_fen, fields)
        code = said.text(39)
        if code != APPROVED and code not in REFUSED:
            raise Unanswered(f"the certificate was answered {code}", sent=True)
        return Acknowledged(
            lambda conn: self._answered(conn, payment, code), lambda: self._core.changes.wake(payment)
        )

    def _answered(self, conn: Connection, payment: str, code: str) -> None:
        row = core.load_payment(conn, payment)
        kept = statements.one(conn, certificates, lock=True, payment_id=payment)
        assert kept is not None
        if not _awaits(row, kept):
            return
        values = {"response_code": code, "answered_at": self._core.clock.now()}
        statements.change(conn, certificates, values, payment_id=payment)
        if code == APPROVED and borne(row):
            self._core.received(conn, row, row.amount_fen, actor="ppp")
            return
        if code == APPROVED:
            self._core.paid(conn, row, actor="ppp")
            return
        log.error("case-open", payment=payment, kind=REFUSED_CASE, code=code)
        if not borne(row):
            self._core.move(conn, row, "certificate-refused", actor="ppp", reason=REFUSED_CASE)
        self._core.case(conn, payment, REFUSED_CASE, code=code)

    def _begun(self, conn: Connection, box_number: str, payment: str) -> tuple[Row[Any], Row[Any]]:
        row = core.find_payment(conn, box_number, payment)
        kept = statements.one(conn, certificates, lock=True, payment_id=payment)
        if kept is None:
            raise Problem("wrong-state", money=core.money_of(row))
        return row, kept


def _awaits(row: Row[Any], kept: Row[Any]) -> bool:
    """Whether PPP's answer to a certificate is still wanted."""
    return row.state == "presenting" or (borne(row) and kept.chip is not None and kept.response_code is None)


def _told(kept: Row[Any], body: models.NoCertificate) -> dict[str, Any]:
    """What a card without a certificate has said, beside how it stood before: facts of a case."""
    facts = {"balance_before_fen": kept.balance_before_fen, "balance_fen": body.balance_fen, "atc": kept.atc}
    return {**facts, "atc_now": body.atc, "logged": body.logged, "declined": body.declined}
