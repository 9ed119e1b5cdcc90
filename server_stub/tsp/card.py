"""Paying with a purse card: check, lease, MAC1, proof. See docs/tsp-api.md and the rules on PSAMs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import structlog
from sqlalchemy import Connection, Row, bindparam, delete, select

from cardreader.errors import ApplicationBlocked, CardReaderError, MacInvalid
from server_stub.foundation import rates, statements
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.problems import Problem
from server_stub.foundation.rates import Limit
from server_stub.foundation.secret import CardNumber
from server_stub.foundation.statements import Statement
from server_stub.tsp import card_attempts, core, machines, models, psam_pool, wrong_proofs
from server_stub.tsp.core import Core
from server_stub.tsp.rivals import refuse_card
from server_stub.tsp.tables import debits, issuers, listed_cards, payments
from server_stub.tsp.tables import rates as rate_buckets

__all__ = ["CardPayments", "fingerprint", "issuer_of"]

PURSE_TYPES = frozenset({"02", "03"})
"""Application types that have an electronic purse; 01 is an electronic deposit only."""
LOOK_AGAIN = timedelta(seconds=0.1)
"""How often a step looks whether another process's turn at the PSAM is over."""
CONTRADICTIONS = Limit(60, 3600.0)
"""So many proofs that contradict what is known are kept of a box in an hour."""
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
    )
)
Taken = psam_pool.TakenTurn | Literal["settled", "untrusted"]
NOT_DEBITED_REASONS = {"9302": "mac1-refused", "9406": "card-removed", "0000": "connection-lost"}


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


def unsettled(conn: Connection, parts: Core, serial: CardNumber, box_number: str) -> bool:
    """Whether a card has still to tell another box what became of a payment there: a debit here would wipe that out.

    At the same box it does that by itself, and one that has told, and contradicted itself, has nothing more to say.
    """
    return bool(_UNSETTLED.all(conn, {"card": fingerprint(parts, serial), "box": box_number}))


class CardPayments:
    """The steps of a purse payment, each called by the box."""

    def __init__(self, parts: Core) -> None:
        self._core = parts

    async def check(self, box_number: str, payment: str, card: models.CardData, use: KeyUse) -> Answer:
        """Card check (ONL-5), balance check (ONL-6), and the lease of a PSAM.

        Raises:
            Problem: ``card-...``, ``balance-too-low``, ``psam-none-free``, ``psam-none-for-issuer``,
                ``wrong-state``, ``payment-in-progress``, ``already-paid``. The payment stays as it is.
        """
        serial = card.application_serial

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            row = self._find(conn, box_number, payment)
            refused = refusal(self._core, card, issuer_of(conn, self._core, card))
            if refused is not None:
                raise Problem(refused)
            if card.balance_fen < row.amount_fen:
                raise Problem("balance-too-low", balance_fen=card.balance_fen, amount_fen=row.amount_fen)
            if unsettled(conn, self._core, serial, box_number):
                raise Problem("card-unsettled")
            if row.state in machines.CARD_PREPARING:
                refuse_card(conn, row)
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

        async with self._core.locks.hold(payment):
            return await self._core.change(payment, work)

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

            def begin(conn: Connection) -> tuple[Row[Any], Row[Any], Taken]:
                use.recall(conn)
                row = self._find(conn, box_number, payment)
                if row.state != "card-checked":
                    raise Problem("wrong-state", money=core.money_of(row))
                refuse_box(conn, self._core, box_number)
                if init.balance_fen < row.amount_fen:
                    raise Problem("balance-too-low", balance_fen=init.balance_fen, amount_fen=row.amount_fen)
                debit = _debit(conn, payment)
                return row, debit, self._turn(conn, row, debit.psam, anew=False)

            row, debit, taken = await self._core.change(payment, begin)
            turn = await self._wait_for_turn(taken, payment, debit.psam, use, anew=False)
            unit = self._core.psams.get(debit.psam)
            if not isinstance(turn, psam_pool.Turn) or unit is None:
                raise Problem("lease-lost")
            date, time = f"{now:%Y%m%d}", f"{now:%H%M%S}"
            begun = {**init.model_dump(exclude={"balance_fen"}), "date": date, "time": time}
            purchase = self._purchase(row.amount_fen, debit.card_sealed, begun)
            try:
                answer = await unit.initialize(turn, purchase)
            except CardReaderError as error:
                locked = isinstance(error, ApplicationBlocked)

                def give_back(conn: Connection) -> None:
                    psam_pool.release(conn, payment)
                    if locked:
                        psam_pool.note_locked(conn, unit.name, self._core.clock.now())

                await self._core.database.write(give_back)
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

            return await self._core.change(payment, work)

    async def debited(self, box_number: str, payment: str, proof: models.DebitProof, use: KeyUse) -> Answer:
        """The card's proof: kept first, then checked by the PSAM; then the money is in (ONL-7).

        Raises:
            Problem: ``wrong-state``, ``mac2-refused``, ``lease-lost`` (the PSAM has gone on: for a person),
                ``psam-none-free`` (it serves another payment now), ``psam-refused``, ``evidence-contradicts``
                (the payment had failed by the card's evidence, or has another proof: for a person),
                ``too-many-requests`` (of such). Money unknown.
        """
        async with self._core.locks.hold(payment):

            def keep(conn: Connection) -> tuple[Row[Any], Row[Any], Taken | None] | None:
                use.recall(conn)
                kept = self._keep_proof(conn, box_number, payment, proof)
                if kept is None:
                    return None
                row, debit, already = kept
                return row, debit, None if already else self._turn(conn, row, debit.psam, anew=True)

            kept = await self._core.change(payment, keep)
            if kept is None:
                raise Problem("evidence-contradicts")
            row, debit, taken = kept
            already = taken is None
            if taken is not None:
                await self._verify(row, debit, proof, taken, use)

            def work(conn: Connection) -> Answer:
                use.claim(conn)
                if not already:
                    self._accept(conn, payment, debit, proof.balance_after_fen, actor="box")
                return use.answer(conn, self._core.answer(conn, payment))

            return await self._core.change(payment, work)

    async def complete_kept(self, payment: str) -> None:
        """A proof that is kept, but was not checked, because a PSAM was out or this server stopped, is checked now.

        Raises:
            Problem: as ``debited``; the payment stays unknown.
        """
        async with self._core.locks.hold(payment):

            def begin(conn: Connection) -> tuple[Row[Any], Row[Any], Taken] | None:
                row, debit = core.load_payment(conn, payment), _debit_or_none(conn, payment)
                if row.state != "mac1-issued" or debit is None or debit.mac2 is None:
                    return None
                return row, debit, self._turn(conn, row, debit.psam, anew=True)

            begun = await self._core.database.write(begin)
            if begun is None:
                return
            row, debit, taken = begun
            proof = models.DebitProof(tac=debit.tac, mac2=debit.mac2)
            await self._verify(row, debit, proof, taken, None)

            def work(conn: Connection) -> None:
                self._accept(conn, payment, debit, None, actor="sweep")

            await self._core.change(payment, work)

    async def not_debited(
        self, box_number: str, payment: str, evidence: models.NotDebited, use: KeyUse
    ) -> Answer:
        """The card has shown that it did not debit. A payment whose MAC1 has not left ends too, so that it never leaves:
        the box has asked for it, and its request may still be on the way.

        Raises:
            Problem: ``evidence-contradicts`` (kept as a case), ``wrong-state``. Money stays as it was.
        """

        def work(conn: Connection) -> Answer | None:
            use.claim(conn)
            row = self._find(conn, box_number, payment)
            reason = NOT_DEBITED_REASONS.get(evidence.status_word, "card-refused")
            debit = _debit_or_none(conn, payment)
            if debit is not None and row.state in ("card-checked", "mac1-issued"):
                stood = (debit.offline_number, debit.balance_before_fen)
                still = (
                    evidence.offline_number,
                    evidence.balance_fen,
                ) == stood or row.state == "card-checked"
                if not still or evidence.status_word == "9000" or debit.tac is not None:
                    self._core.case(conn, payment, "evidence-contradicts", **evidence.model_dump())
                    # The card has told all it can: the box asks no more for it, and says that a person finds out.
                    core.touch(conn, payment, reason="evidence-contradicts")
                    return None
            if row.state == "failed" and row.reason in (reason, *NOT_DEBITED_REASONS.values()):
                # The card has said so before, perhaps in another way.
                return use.answer(conn, self._core.answer(conn, payment))
            self._core.move(conn, row, "failed", actor="box", reason=reason)
            return use.answer(conn, self._core.answer(conn, payment))

        async with self._core.locks.hold(payment):
            answer = await self._core.change(payment, work)
        if answer is None:
            raise Problem("evidence-contradicts")
        return answer

    def _find(self, conn: Connection, box_number: str, payment: str) -> Row[Any]:
        row = core.find_payment(conn, box_number, payment)
        if row.method != "card":
            raise Problem("wrong-state", money=core.money_of(row), method=row.method)
        return row

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

    def _accept(
        self, conn: Connection, payment: str, debit: Row[Any], after_fen: int | None, *, actor: str
    ) -> None:
        """The proof is right: the money is in, unless another process was quicker to say so."""
        row = core.load_payment(conn, payment)
        if row.paid_at is not None:
            return
        self._core.paid(conn, row, actor=actor)
        if after_fen is None:  # what is on the card now: as the card has said, or as it must be
            after_fen = debit.balance_before_fen - row.amount_fen
        statements.change(conn, debits, {"balance_after_fen": after_fen}, payment_id=payment)

    def _purchase(self, amount_fen: int, sealed: str, begun: Any) -> psam_pool.Purchase:
        return psam_pool.Purchase(
            random=bytes.fromhex(begun["random"]),
            offline_number=begun["offline_number"],
            amount_fen=amount_fen,
            date=bytes.fromhex(begun["date"]),
            time=bytes.fromhex(begun["time"]),
            key_version=begun["key_version"],
            algorithm_id=begun["algorithm_id"],
            # The last 8 of the 10 bytes are what a card's keys are diversified with.
            application_serial8=self._core.vault.unseal(sealed)[2:],
        )

    def _contradict(
        self, conn: Connection, row: Row[Any], debit: Row[Any] | None, proof: models.DebitProof
    ) -> None:
        """A proof against what was said or kept before is kept beside it, with a case."""
        # A box may have no end of such proofs; one that is right comes again until it is taken in.
        try:
            rates.take(
                conn, rate_buckets, f"proofs of box {row.box_number}", CONTRADICTIONS, self._core.clock.now()
            )
        except Problem as problem:
            problem.body.money = "unknown"
            raise
        self._core.case(conn, row.id, "evidence-contradicts", **proof.model_dump())
        if row.state in ("failed", "written-off"):
            self._core.move(conn, row, "contradicted", actor="box", reason="evidence-contradicts")
        if debit is not None and debit.mac2 is None:
            statements.change(conn, debits, {"tac": proof.tac, "mac2": proof.mac2}, payment_id=row.id)

    def _keep_proof(
        self, conn: Connection, box_number: str, payment: str, proof: models.DebitProof
    ) -> tuple[Row[Any], Row[Any], bool] | None:
        """Row, debit as it was, and whether just this proof was accepted before; None when it contradicts what was said
        or kept before. The first proof of a payment stays the one that is kept.
        """
        row = self._find(conn, box_number, payment)
        debit = _debit_or_none(conn, payment)
        same = debit is not None and (debit.tac, debit.mac2) == (proof.tac, proof.mac2)
        if debit is not None and row.paid_at is not None and same:
            return row, debit, True
        if row.state in ("failed", "written-off", "contradicted"):
            self._contradict(conn, row, debit, proof)
            return None
        if debit is None or row.state not in ("mac1-issued", "mac2-refused", "proof-kept"):
            raise Problem("wrong-state", money=core.money_of(row))
        if debit.mac2 is not None and not same:
            self._contradict(conn, row, debit, proof)
            return None
        if row.state == "proof-kept":
            raise Problem("lease-lost", money="unknown")
        if row.state == "mac2-refused":
            # A PSAM locks itself after some wrong proofs in a row: it is asked once about a payment.
            raise Problem("mac2-refused")
        if debit.mac2 is None:
            statements.change(conn, debits, {"tac": proof.tac, "mac2": proof.mac2}, payment_id=payment)
        return row, debit, False

    def _turn(self, conn: Connection, payment: Row[Any], psam: str, *, anew: bool) -> Taken:
        """A turn at the PSAM for one step of a payment whose row is locked; none at one that cannot be reached, nor for a
        proof of a box whose proofs were wrong too often.

        Args:
            anew: for a proof, which may come after the lease has run out.
        """
        if psam not in self._core.psams:
            return "lost"
        now = self._core.clock.now()
        if anew:
            hindered = wrong_proofs.hinder(conn, payment, self._core.settings.box_wrong_proofs, now)
            if hindered is not None:
                return hindered
        identity = f"{self._core.who} {self._core.ids.row()}"
        seconds = self._core.settings.unknown_lease_seconds
        return psam_pool.take_turn(conn, payment.id, psam, identity, now, seconds, anew=anew)

    async def _wait_for_turn(
        self, taken: Taken, payment: str, psam: str, use: KeyUse | None, *, anew: bool
    ) -> Taken:
        """What was taken, or a turn when the one that another process has is over; "settled" where that has come to the
        end with the payment.

        Args:
            use: of the request that wants it; None where nobody has asked.

        Raises:
            Problem: ``psam-none-free``, money unknown: it was not over in time.
            Replayed: the other process has answered this request.
        """

        def take(conn: Connection) -> Taken:
            if use is not None:
                use.recall(conn)
            row = core.load_payment(conn, payment)
            if row.state not in ("card-checked", "mac1-issued"):
                # The PSAM has been given back, and is not taken again for what needs none any more.
                return "settled" if row.paid_at is not None else "lost"
            return self._turn(conn, row, psam, anew=anew)

        clock = self._core.clock
        patience = clock.now() + 2 * psam_pool.TURN
        while taken == "busy":
            now = clock.now()
            if now >= patience:
                raise Problem("psam-none-free", money="unknown")
            await clock.sleep_until(now + LOOK_AGAIN)
            taken = await self._core.database.write(take)
        return taken

    async def _verify(
        self,
        row: Row[Any],
        debit: Row[Any],
        proof: models.DebitProof,
        taken: Taken,
        use: KeyUse | None,
    ) -> None:
        """Returns when the PSAM has accepted MAC2, for this process or another. Raises Problem; the payment stays unknown."""
        payment, psam = row.id, debit.psam
        unit = self._core.psams.get(psam)
        if unit is None:
            raise Problem("psam-none-for-issuer", money="unknown")
        turn = await self._wait_for_turn(taken, payment, psam, use, anew=True)
        if turn == "settled":
            return
        if turn == "untrusted":
            if await self._refuse(payment, "proof-unchecked", proof):
                raise Problem("psam-refused", money="unknown")
            return
        if not isinstance(turn, psam_pool.Turn):
            raise Problem("psam-none-free", money="unknown")
        number = bytes.fromhex(debit.terminal_transaction_number)
        purchase = self._purchase(row.amount_fen, debit.card_sealed, debit._mapping)
        try:
            # Until this is written down the turn goes on: the box's other proofs wait for it.
            await unit.verify(turn, purchase, number, bytes.fromhex(proof.mac2))
        except psam_pool.NumberMoved as error:
            # Nobody else had the PSAM, this proof was given to it before, and only a right proof moves the
            # number: it accepted the proof, and its answer was lost when this server stopped.
            accepted = turn.alone and error.moved == 1 and debit.mac2 == proof.mac2
            if not accepted and await self._refuse(payment, "psam-number-moved", proof):
                raise Problem("lease-lost", money="unknown") from error
        except MacInvalid as error:
            if await self._refuse(payment, "mac2-refused", proof):
                raise Problem("mac2-refused") from error
        except CardReaderError as error:
            # Whatever it is, the card has debited and the proof cannot be checked: a person completes the payment.
            locked = isinstance(error, ApplicationBlocked)
            if locked:
                now = self._core.clock.now()
                await self._core.database.write(lambda conn: psam_pool.note_locked(conn, psam, now))
            if await self._refuse(payment, "psam-locked" if locked else "psam-refused", proof):
                raise Problem("psam-refused", money="unknown", psam_status=str(error)) from error

    async def _refuse(self, payment: str, kind: str, proof: models.DebitProof) -> bool:
        """The proof was not accepted: it is kept with a case, and the PSAM is given back.

        Returns:
            False where another process has had it accepted meanwhile: then nothing is to be refused.
        """

        def work(conn: Connection) -> bool:
            row = core.load_payment(conn, payment)
            if row.paid_at is not None:
                return False
            target = "mac2-refused" if kind == "mac2-refused" else "proof-kept"
            if target != row.state:
                self._core.move(conn, row, target, actor="psam", reason=target)
            else:
                core.touch(conn, payment)
            self._core.case(conn, payment, kind, tac=proof.tac, mac2=proof.mac2)
            psam_pool.release(conn, payment)
            return True

        return await self._core.change(payment, work)


def _debit(conn: Connection, payment: str) -> Row[Any]:
    row = _debit_or_none(conn, payment)
    assert row is not None
    return row


def _debit_or_none(conn: Connection, payment: str) -> Row[Any] | None:
    return statements.one(conn, debits, payment_id=payment)
