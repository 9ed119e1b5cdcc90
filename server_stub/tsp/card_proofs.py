"""What a card says it did, as the box brings it: the proof of a debit, or that there was none. See docs/tsp-api.md."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from cardreader.errors import ApplicationBlocked, CardReaderError, MacInvalid
from server_stub.foundation import statements
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.problems import Problem
from server_stub.tsp import card_turns, cases, core, machines, models, psam_pool
from server_stub.tsp.card_turns import Taken
from server_stub.tsp.contradictions import contradict
from server_stub.tsp.core import Core
from server_stub.tsp.tables import debits

NOT_DEBITED_REASONS = {"9302": "mac1-refused", "9406": "card-removed", "0000": "connection-lost"}


class CardProofs:
    """The end of a purse payment, as the card tells it to the box."""

    def __init__(self, parts: Core) -> None:
        self._core = parts

    async def debited(self, box_number: str, payment: str, proof: models.DebitProof, use: KeyUse) -> Answer:
        """The card's proof: kept first, then checked by the PSAM; then the money is in (ONL-7).

        Raises:
            Problem: ``wrong-state``, ``mac2-refused``, ``lease-lost`` (the PSAM has gone on: for a person),
                ``psam-none-free`` (it serves another payment now), ``psam-refused``, ``evidence-contradicts``
                (the payment had failed by the card's evidence, or has another proof: for a person),
                ``too-many-requests`` (of such). Money unknown.
        """
        async with self._core.locks.hold(payment):

            def keep(conn: Connection) -> tuple[Row[Any], tuple[Row[Any], Taken] | None] | None:
                use.recall(conn)
                kept = self._keep_proof(conn, box_number, payment, proof)
                if kept is None:
                    return None
                row, debit = kept
                if debit is None:
                    return row, None
                return row, (debit, card_turns.take(self._core, conn, row, debit.psam, anew=True))

            kept = await self._core.change(payment, keep)
            if kept is None:
                raise Problem("evidence-contradicts")
            row, checked = kept
            if checked is not None:
                await self._verify(row, checked[0], proof, checked[1], use)

            def work(conn: Connection) -> Answer:
                use.claim(conn)
                if checked is not None:
                    self._accept(conn, payment, checked[0], proof.balance_after_fen, actor="box")
                return use.answer(conn, self._core.answer(conn, payment))

            return await self._core.change(payment, work)

    async def complete_kept(self, payment: str) -> None:
        """A proof that is kept, but was not checked, because a PSAM was out or this server stopped, is checked now.

        Raises:
            Problem: as ``debited``; the payment stays unknown.
        """
        async with self._core.locks.hold(payment):

            def begin(conn: Connection) -> tuple[Row[Any], Row[Any], Taken] | None:
                row, debit = core.load_payment(conn, payment), card_turns.debit_or_none(conn, payment)
                if row.state != "mac1-issued" or debit is None or debit.mac2 is None:
                    return None
                return row, debit, card_turns.take(self._core, conn, row, debit.psam, anew=True)

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
            row = card_turns.find(conn, box_number, payment)
            reason = NOT_DEBITED_REASONS.get(evidence.status_word, "card-refused")
            debit = card_turns.debit_or_none(conn, payment)
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

    def _contradict(
        self, conn: Connection, row: Row[Any], debit: Row[Any] | None, proof: models.DebitProof
    ) -> None:
        """A proof against what is known or kept is kept beside it, with a case."""
        contradict(self._core, conn, row, **proof.model_dump())
        if debit is not None and debit.mac2 is None:
            statements.change(conn, debits, {"tac": proof.tac, "mac2": proof.mac2}, payment_id=row.id)

    def _keep_proof(
        self, conn: Connection, box_number: str, payment: str, proof: models.DebitProof
    ) -> tuple[Row[Any], Row[Any] | None] | None:
        """Row and debit as it was, which is None where just this proof was accepted before; None when it contradicts what
        was said or kept before. The first proof of a payment stays the one that is kept.
        """
        row = card_turns.find(conn, box_number, payment)
        debit = card_turns.debit_or_none(conn, payment)
        same = debit is not None and (debit.tac, debit.mac2) == (proof.tac, proof.mac2)
        if debit is None and row.paid_at is not None:
            same = (proof.tac, proof.mac2) in cases.accepted_proofs(conn, payment)
        if row.paid_at is not None and same:
            return row, None
        if row.state in (*machines.CARD_PREPARING, *machines.ENDED_WITHOUT_MONEY, "contradicted"):
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
        return row, debit

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
        turn = await card_turns.wait(self._core, taken, payment, psam, use, anew=True)
        if turn == "settled":
            return
        if turn == "untrusted":
            if await self._refuse(payment, "proof-unchecked", proof):
                raise Problem("psam-refused", money="unknown")
            return
        if not isinstance(turn, psam_pool.Turn):
            raise Problem("psam-none-free", money="unknown")
        number = bytes.fromhex(debit.terminal_transaction_number)
        purchase = card_turns.purchase(self._core, row.amount_fen, debit.card_sealed, debit._mapping)
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
            self._core.give_back(conn, payment)
            return True

        return await self._core.change(payment, work)
