"""What TSP, BOSS and wallet can do wrong with a payment."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from sqlalchemy import delete, insert, select, update

from server_stub.boss import books as boss_books
from server_stub.boss import service as boss_service
from server_stub.boss import tables as boss_tables
from server_stub.foundation import idempotency
from server_stub.foundation.problems import Problem
from server_stub.sandbox import service as sandbox_service
from server_stub.tsp import (
    books,
    boxes,
    card_proofs,
    card_turns,
    core,
    door,
    machines,
    nonces,
    orders,
    payments,
    psam_pool,
    rivals,
    tables,
    wallet,
)
from stb_app.journeys import settling
from tests.simulation.bugs.harness import both, bug, put


def kept_proofs_wait() -> AbstractContextManager[Any]:
    """The TSP does not check by itself what it has kept."""

    async def nothing(self: Any, payment: str) -> None:
        pass

    return put(card_proofs.CardProofs, "complete_kept", nothing)


def as_mac1_leaves(also: Callable[[Any, Any, Any], None]) -> AbstractContextManager[Any]:
    """Does something more in the transaction with which MAC1 may go out."""
    move = core.Core.move

    def moving(self: Any, conn: Any, payment: Any, target: str, **more: Any) -> None:
        move(self, conn, payment, target, **more)
        if target == "mac1-issued":
            also(self, conn, payment)

    return put(core.Core, "move", moving)


@bug("release-psam-early", "psams_are_lent_whole", seed=25225)
def release_psam_early() -> AbstractContextManager[Any]:
    """The PSAM is given back once MAC1 is out, before the proof."""
    return as_mac1_leaves(lambda parts, conn, payment: psam_pool.release(conn, payment.id))


@bug("keep-psam", "psams_are_lent_whole", seed=2)
def keep_psam() -> AbstractContextManager[Any]:
    """A PSAM stays lent to a payment that has ended."""
    return put(psam_pool, "release", lambda conn, payment, keep=(): None)


@bug("timeout-is-failure", "charged_is_served_or_open", "people_are_told_the_truth", seed=174)
def timeout_is_failure() -> AbstractContextManager[Any]:
    """A sweep makes of a payment after MAC1 that nobody heard of a failed one."""

    def expire(self: Any, conn: Any, payment: str) -> None:
        row = core.load_payment(conn, payment)
        if row.state == "mac1-issued":
            self._core.move(conn, row, "failed", actor="sweep", reason="card-removed")

    swept = {**payments.SWEPT, "card": ("mac1-issued",)}
    return both(patch.object(payments, "SWEPT", swept), put(payments.Payments, "_expire_card", expire))


@bug("psam-fails-without-case", "charged_is_served_or_open", seed=83)
def psam_fails_without_a_case() -> AbstractContextManager[Any]:
    """A PSAM that does not answer at the proof leaves nothing for a person to see."""
    refuse = card_proofs.CardProofs._refuse

    async def silent(self: Any, payment: str, kind: str, proof: Any) -> bool:
        return kind == "psam-refused" or await refuse(self, payment, kind, proof)

    return both(kept_proofs_wait(), put(card_proofs.CardProofs, "_refuse", silent))


@bug("refund-twice", "wallet_and_tsp_agree", seed=220)
def refund_twice() -> AbstractContextManager[Any]:
    """Money is sent back twice, each time as a new refund."""
    refund = wallet.WalletPayments.refund
    count = iter(range(1_000_000))

    async def again(self: Any, payload: Any) -> Any:
        kept = self._wallet

        class Fresh:
            def __init__(self, inner: Any) -> None:
                self._inner = inner

            async def refund(self, reference: str, refund: str, amount_fen: int, why: str) -> None:
                for _ in range(2):
                    await self._inner.refund(reference, f"{refund}-{next(count)}", amount_fen, why)

        with put(wallet.WalletPayments, "_wallet", lambda self, row: Fresh(kept(row))):
            return await refund(self, payload)

    return put(wallet.WalletPayments, "refund", again)


@bug("keep-late-money", "charged_is_served_or_open", "wallet_and_tsp_agree", seed=220)
def keep_late_money() -> AbstractContextManager[Any]:
    """Money that comes after the end is kept."""
    return put(core.Core, "begin_refund", lambda self, conn, row, amount_fen, **more: None)


@bug("wallet-not-asked", "wallet_and_tsp_agree", "people_are_told_the_truth", seed=2)
def wallet_not_asked_at_the_end() -> AbstractContextManager[Any]:
    """A code whose time is over expires without the wallet being asked."""

    async def expire(self: Any, payment: str) -> None:
        def end(conn: Any) -> None:
            row = core.load_payment(conn, payment)
            if row.state in machines.CODE_OUT:
                self._core.move(conn, row, "expired", actor="sweep", reason="expired")

        await self._core.change(payment, end)

    return put(wallet.WalletPayments, "expire", expire)


@bug("paid-before-proof", "nothing_unpaid_is_served", seed=3)
def paid_before_proof() -> AbstractContextManager[Any]:
    """A payment counts as paid once MAC1 is out."""
    return as_mac1_leaves(
        lambda parts, conn, payment: parts.paid(conn, core.load_payment(conn, payment.id), actor="box")
    )


@bug("mac2-not-checked", "psams_and_tsp_agree", seed=2)
def mac2_not_checked() -> AbstractContextManager[Any]:
    """The proof is believed without the PSAM."""

    async def believe(self: Any, row: Any, debit: Any, proof: Any, taken: Any, use: Any) -> None:
        return

    return put(card_proofs.CardProofs, "_verify", believe)


@bug("boss-opens-twice", "boss_and_tsp_agree", seed=4)
def boss_opens_twice() -> AbstractContextManager[Any]:
    """BOSS makes a second subscription when the same opening comes again."""
    real = boss_service.KeyUse.claim

    def claim(self: Any, conn: Any) -> None:
        if self.table is boss_tables.keys:
            conn.execute(delete(self.table).where(self.table.c.key == self.key))
            conn.execute(
                update(boss_tables.orders)
                .where(boss_tables.orders.c.state == "opened")
                .values(state="quoted")
            )
        real(self, conn)

    async def forget(self: Any, use: Any, work: Any) -> Any:
        return await (work() if use.table is boss_tables.keys else run(self, use, work))

    run = idempotency.Idempotency.run
    return both(put(idempotency.KeyUse, "claim", claim), put(idempotency.Idempotency, "run", forget))


@bug("unknown-is-not-taken", "people_are_told_the_truth", seed=174)
def unknown_is_shown_as_not_taken() -> AbstractContextManager[Any]:
    """The interface says of a payment after MAC1 that nothing was taken."""
    shown = {**machines.PAYMENT_SHOWN, "mac1-issued": machines.Shown("unknown", "not-taken")}
    return patch.object(machines, "PAYMENT_SHOWN", shown)


@bug("orphan-order", "everything_ends", seed=2)
def two_live_payments() -> AbstractContextManager[Any]:
    """A second payment of one order may begin while the first lives."""
    move = core.Core.move

    def unmark(self: Any, conn: Any, payment: Any, target: str, **more: Any) -> None:
        if target == "paid":
            order = conn.execute(tables.orders.select().where(tables.orders.c.id == payment.order_id)).one()
            conn.execute(
                insert(tables.orders).values(
                    {**order._mapping, "id": f"{order.id}x", "number": f"{order.number}x"}
                )
            )
        move(self, conn, payment, target, **more)

    return put(core.Core, "move", unmark)


@bug("evidence-believed", "charged_is_served_or_open", "people_are_told_the_truth", seed=29)
def evidence_is_believed() -> AbstractContextManager[Any]:
    """A box's word that a card was not debited is believed without number and balance, and it gives it too early."""

    async def believe(self: Any, box_number: str, payment: str, evidence: Any, use: Any) -> Any:
        def work(conn: Any) -> Any:
            use.claim(conn)
            row = card_turns.find(conn, box_number, payment)
            if row.state == "mac1-issued":
                self._core.move(conn, row, "failed", actor="box", reason="card-removed")
            return use.answer(conn, self._core.answer(conn, payment))

        return await self._core.change(payment, work)

    def never(purse: Any, record: Any, kept: Any) -> None:
        return None

    return both(put(card_proofs.CardProofs, "not_debited", believe), put(settling, "prove", never))


@bug("late-mac1", "everything_ends", seed=262)
def late_mac1() -> AbstractContextManager[Any]:
    """Evidence that comes before the request for MAC1 is refused, and MAC1 leaves when nobody waits for it."""
    moves = dict(machines.CARD_PAYMENT.moves)
    moves["card-checked"] -= {"failed"}
    return patch.object(machines, "CARD_PAYMENT", dataclasses.replace(machines.CARD_PAYMENT, moves=moves))


@bug("psam-lent-for-ever", "psams_are_lent_whole", seed=83)
def psam_lent_for_ever() -> AbstractContextManager[Any]:
    """A PSAM that did not work stays lent to the payment that a person completes."""
    refuse = card_proofs.CardProofs._refuse

    async def keep(self: Any, payment: str, kind: str, proof: Any) -> bool:
        refused = await refuse(self, payment, kind, proof)

        def lend(conn: Any) -> None:
            psam = conn.execute(select(tables.debits.c.psam).where(tables.debits.c.payment_id == payment))
            psam_pool.lease(conn, payment, [psam.scalar_one()], self._core.clock.now(), 180)

        if kind == "psam-refused":
            await self._core.database.write(lend)
        return refused

    return put(card_proofs.CardProofs, "_refuse", keep)


@bug("fault-in-sweep", "nothing_broke", seed=7)
def fault_in_the_sweep() -> AbstractContextManager[Any]:
    """One payment in the sweep raises what nobody expects."""

    async def fail(self: Any, payment: str) -> None:
        raise ZeroDivisionError(payment)

    return put(payments.Payments, "_end_card", fail)


@bug("refund-undone", "wallet_and_tsp_agree", seed=220)
def wallet_pays_twice() -> AbstractContextManager[Any]:
    """The wallet's code is made anew for every request, and the first one can still be paid."""
    look = orders.Orders.may_pay

    async def unasked(self: Any, row: Any) -> rivals.Reach:
        with contextlib.suppress(Problem):
            return await look(self, row)
        return rivals.Reach.of(row)

    def reopen(conn: Any, reference: str) -> Any:
        row = found(conn, reference)
        if row.state == "refunded":
            conn.execute(
                update(sandbox_service.codes).where(sandbox_service.codes.c.id == row.id).values(state="paid")
            )
        return row

    found = sandbox_service._by_reference
    return both(
        put(orders.Orders, "may_pay", unasked),
        put(sandbox_service, "_by_reference", reopen),
    )


@bug("refund-not-booked", "check_finds_nothing", seed=220)
def books_forget_refunds() -> AbstractContextManager[Any]:
    """Money that goes back is not booked."""
    book = books.book

    def forgetful(conn: Any, payment: str, kind: str, *more: Any, **named: Any) -> None:
        if kind != "refunded":
            book(conn, payment, kind, *more, **named)

    return put(books, "book", forgetful)


@bug("opening-not-booked", "check_finds_nothing", seed=2)
def books_forget_openings() -> AbstractContextManager[Any]:
    """BOSS opens and earns nothing."""
    return put(boss_books, "opened", lambda *_: None)


@bug("opened-stays-suspense", "house_accounts_are_right", seed=2)
def opened_stays_with_subscribers() -> AbstractContextManager[Any]:
    """What was paid for a service that is open is booked as the subscribers' for ever."""
    standing = books.standing
    return put(
        books, "standing", lambda state, money: standing("paid" if state == "opened" else state, money)
    )


@bug("ended-keys-good", "ended_keys_open_nothing", seed=1)
def ended_keys_are_good() -> AbstractContextManager[Any]:
    """Nobody looks at when a key has ended."""

    async def never(self: Any, entry: Any, *, afresh: bool = False) -> None:
        return

    return both(put(nonces, "_refuse_ended", lambda key, now: None), put(boxes.Boxes, "ask_standing", never))


@bug("new-server-key-alone", "answers_are_trusted", "boxes_are_let_in", seed=41)
def new_server_key_alone() -> AbstractContextManager[Any]:
    """The list of the server's keys is signed with the newest only."""
    return patch.object(door, "SERVER_KEYS", "")
