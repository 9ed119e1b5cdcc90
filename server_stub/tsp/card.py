"""Paying with a purse card up to its debit: check, lease, MAC1. See docs/tsp-api.md and the rules on PSAMs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import BigInteger, Connection, Row, bindparam, delete, select

from cardreader.errors import ApplicationBlocked, CardReaderError
from server_stub.foundation import statements
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.problems import Problem
from server_stub.foundation.secret import CardNumber
from server_stub.foundation.statements import Statement
from server_stub.tsp import card_attempts, card_turns, core, machines, models, psam_pool, wrong_proofs
from server_stub.tsp.core import Core
from server_stub.tsp.rivals import refuse_card
from server_stub.tsp.tables import debits, issuers, listed_cards, payments

__all__ = ["CardPayments", "fingerprint", "issuer_of"]

PURSE_TYPES = frozenset({"02", "03"})
"""Application types that have an electronic purse; 01 is an electronic deposit only."""
_ISSUER = Statement(
    select(issuers, listed_cards.c.card_fingerprint.label("listed"))
    .outerjoin(listed_cards, listed_cards.c.card_fingerprint == bindparam("card"))
    .where(issuers.c.issuer_id == bindparam("issuer"))
)
_FORGET = Statement(delete(debits).where(debits.c.payment_id == bindparam("payment")))
_UNSETTLED = Statement(
    select(payments.c.id)
    .join(debits, debits.c.payment_id == payments.c.id)
    .where(
        (debits.c.card_fingerprint == bindparam("card"))
        & (payments.c.state == "mac1-issued")
        & payments.c.reason.is_(None)
        & (payments.c.box_number != bindparam("box"))
        & (debits.c.balance_before_fen - payments.c.amount_fen == bindparam("balance", type_=BigInteger))
    )
)

log = structlog.get_logger(__name__)


def fingerprint(parts: Core, serial: CardNumber) -> str:
    """What stands for a card number where it must be found again."""
    return parts.vault.fingerprint("card", serial.reveal())


def issuer_of(conn: Connection, parts: Core, card: models.CardData) -> Row[Any] | None:
    """A card's issuer, and in ``listed`` whether it has listed the card; None for one that is not known here."""
    values = {"issuer": card.issuer_id, "card": fingerprint(parts, card.application_serial)}
    return _ISSUER.one_or_none(conn, values)


def refusal(parts: Core, card: models.CardData, issuer: Row[Any] | None) -> str | None:
    """Why a card cannot pay here (ONL-5), as a code; None when it can, as far as can be seen without a PSAM.

    Args:
        issuer: from ``issuer_of``.
    """
    if card.application_type not in PURSE_TYPES:
        return "card-no-purse"
    if issuer is None:
        return "card-issuer-unknown"
    if issuer.listed is not None:
        return "card-listed"
    today = f"{parts.clock.now():%Y%m%d}"
    if today < card.start_date:
        return "card-not-yet-valid"
    if today > card.expiry_date:
        return "card-expired"
    return None


def refuse_box(conn: Connection, parts: Core, box_number: str) -> None:
    """Raises Problem ``method-not-offered`` for a box that has sent too many wrong proofs, before any money moves."""
    if wrong_proofs.too_many(conn, box_number, parts.settings.box_wrong_proofs):
        log.error("box-proofs-wrong", box=box_number)
        raise Problem("method-not-offered", method="card")


def unsettled(conn: Connection, parts: Core, card: models.CardData, box_number: str) -> bool:
    """Whether a card has still to tell another box what became of a payment there: a debit here would wipe that out.

    At the same box it does that by itself, and one that has told, and contradicted itself, has nothing more to say. Nor
    has a card whose balance is not what that debit would have left: it has not debited there, and will not, since its
    session is over; or it has had another transaction since, and has the proof of that one. So nobody locks a card out
    who only knows its number.
    """
    values = {"card": fingerprint(parts, card.application_serial), "box": box_number}
    return bool(_UNSETTLED.all(conn, {**values, "balance": card.balance_fen}))


class CardPayments:
    """The steps of a purse payment up to MAC1, each called by the box; what the card says then is in card_proofs."""

    def __init__(self, parts: Core) -> None:
        self._core = parts

    async def check(
        self, box_number: str, payment: str, card: models.CardData, use: KeyUse, wait_s: float = 0.0
    ) -> Answer:
        """Card check (ONL-5), balance check (ONL-6), and the lease of a PSAM.

        Args:
            wait_s: so long a card waits in a queue when no PSAM is free.

        Raises:
            Problem: ``card-...``, ``balance-too-low``, ``psam-none-free``, ``psam-none-for-issuer``,
                ``wrong-state``, ``payment-in-progress``, ``already-paid``. The payment stays as it is.
        """
        serial = card.application_serial

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            row = card_turns.find(conn, box_number, payment)
            refused = refusal(self._core, card, issuer_of(conn, self._core, card))
            if refused is not None:
                raise Problem(refused)
            if card.balance_fen < row.amount_fen:
                raise Problem("balance-too-low", balance_fen=card.balance_fen, amount_fen=row.amount_fen)
            if unsettled(conn, self._core, card, box_number):
                raise Problem("card-unsettled")
            if row.state in machines.CARD_PREPARING:
                # A box has one slot: whatever card was in it before is gone, and its PSAM is for others.
                for other in refuse_card(conn, row):
                    self._core.give_back(conn, other)
            if not waited and queue.waited_for(card.issuer_id):
                raise Problem("psam-none-free")
            unit = self._lease(conn, row, card)
            self._core.move(conn, row, "card-checked", actor="box")
            card_attempts.arrived(conn, self._core, box_number, fingerprint(self._core, serial))
            if row.state != "created":
                _FORGET.run(conn, {"payment": payment})  # the card that was there before
            values = {
                "payment_id": payment,
                "card_masked": serial.masked,
                "card_fingerprint": fingerprint(self._core, serial),
                "card_sealed": self._core.vault.seal(serial.reveal()),
                "issuer_id": card.issuer_id,
                "balance_before_fen": card.balance_fen,
                "psam": unit.name,
                "terminal_number": unit.terminal_number.hex().upper(),
            }
            statements.insert(conn, debits, values)
            leased = models.Leased(
                terminal_number=unit.terminal_number.hex().upper(),
                key_index=unit.key_index,
                seconds_left=self._core.settings.lease_seconds,
            )
            return use.answer(conn, answer_of(leased))

        async def attempt() -> Answer:
            async with self._core.locks.hold(payment):
                return await self._core.change(payment, work)

        deadline = self._core.clock.now() + timedelta(seconds=wait_s)
        queue, waited = self._core.psam_queue, False
        try:
            return await attempt()
        except Problem as problem:
            if problem.code != "psam-none-free":
                raise
            refused = problem
        with queue.place(card.issuer_id, payment) as place:
            waited = True
            while await place.wait(deadline):
                try:
                    return await attempt()
                except Problem as problem:
                    if problem.code != "psam-none-free":
                        raise
        raise refused

    async def authorise(
        self, box_number: str, payment: str, init: models.PurchaseInit, use: KeyUse
    ) -> Answer:
        """MAC1 for the card. That the payment is unknown from here on is on the disk before MAC1 leaves.

        Raises:
            Problem: ``wrong-state``, ``lease-lost``, ``psam-refused``, ``balance-too-low``, ``method-not-offered``;
                nothing left.
        """
        async with self._core.locks.hold(payment):
            now = self._core.clock.now()

            def begin(conn: Connection) -> tuple[Row[Any], Row[Any], card_turns.Taken]:
                use.recall(conn)
                row = card_turns.find(conn, box_number, payment)
                if row.state != "card-checked":
                    raise Problem("wrong-state", money=core.money_of(row))
                refuse_box(conn, self._core, box_number)
                if init.balance_fen < row.amount_fen:
                    raise Problem("balance-too-low", balance_fen=init.balance_fen, amount_fen=row.amount_fen)
                debit = card_turns.debit_of(conn, payment)
                return row, debit, card_turns.take(self._core, conn, row, debit.psam, anew=False)

            row, debit, taken = await self._core.change(payment, begin)
            turn = await card_turns.wait(self._core, taken, payment, debit.psam, use, anew=False)
            unit = self._core.psams.get(debit.psam)
            if not isinstance(turn, psam_pool.Turn) or unit is None:
                raise Problem("lease-lost")
            date, time = f"{now:%Y%m%d}", f"{now:%H%M%S}"
            begun = {**init.model_dump(exclude={"balance_fen"}), "date": date, "time": time}
            purchase = card_turns.purchase(self._core, row.amount_fen, debit.card_sealed, begun)
            try:
                answer = await unit.initialize(turn, purchase)
            except CardReaderError as error:
                locked = isinstance(error, ApplicationBlocked)

                def give_back(conn: Connection) -> None:
                    self._core.give_back(conn, payment)
                    if locked:
                        psam_pool.note_locked(conn, unit.name, self._core.clock.now())

                await self._core.change(payment, give_back)
                raise Problem("psam-refused", psam_status=str(error)) from error
            number = answer.terminal_transaction_number.hex().upper()

            def work(conn: Connection) -> Answer:
                use.claim(conn)
                core.load_payment(conn, payment)
                if not psam_pool.end_turn(conn, unit.name, turn):
                    raise Problem("lease-lost")
                self._core.move(conn, row, "mac1-issued", actor="box")
                values = {
                    **begun,
                    "balance_before_fen": init.balance_fen,
                    "terminal_transaction_number": number,
                }
                statements.change(conn, debits, values, payment_id=payment)
                authorised = models.Authorised(
                    terminal_transaction_number=number, mac1=answer.mac1.hex().upper(), date=date, time=time
                )
                return use.answer(conn, answer_of(authorised))

            authorised = await self._core.change(payment, work)
            self._core.sweep_by(now + timedelta(seconds=self._core.settings.unknown_schedule[0]))
            return authorised

    def _lease(self, conn: Connection, row: Row[Any], card: models.CardData) -> psam_pool.PsamUnit:
        issuer = bytes.fromhex(card.issuer_id)
        # An empty pool says nothing about the issuer: all its PSAMs may be out for a while.
        if self._core.psams and not psam_pool.serves(self._core.psams, issuer):
            raise Problem("psam-none-for-issuer")
        names = psam_pool.candidates(conn, self._core.psams, issuer)
        seconds = self._core.settings.lease_seconds
        name = psam_pool.lease(conn, row.id, names, self._core.clock.now(), seconds)
        if name is None:
            raise Problem("psam-none-free")
        return self._core.psams[name]
