"""Deliberate bugs: each breaks the real code in one place, and some seed has to notice."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from sqlalchemy import delete, insert, update

from server_stub.boss import books as boss_books
from server_stub.boss import service as boss_service
from server_stub.boss import tables as boss_tables
from server_stub.foundation import idempotency, outbox, states
from server_stub.foundation.problems import Problem
from server_stub.sandbox import service as sandbox_service
from server_stub.tsp import (
    books,
    card,
    core,
    machines,
    nonces,
    orders,
    payments,
    psam_pool,
    rivals,
    tables,
    wallet,
)
from stb_app.journeys import card_payment, debiting, earlier, memory, settling
from stb_app.shell import box
from stb_app.tsp import client
from stb_app.tsp.problem import Problem as BoxProblem
from tests.simulation import television


@dataclass(frozen=True, slots=True)
class Bug:
    """One way to be wrong.

    Attributes:
        make: puts the bug in, for as long as the context lasts.
        caught_by: names of invariants, one of which has to break.
        seed: one that is known to notice.
    """

    name: str
    make: Callable[[], AbstractContextManager[Any]]
    caught_by: tuple[str, ...]
    seed: int


def _forget_idempotency() -> AbstractContextManager[Any]:
    """Keys are not looked at: whatever comes twice is done twice."""
    return _both(
        patch.object(idempotency.KeyUse, "claim", lambda self, conn: None),
        patch.object(idempotency.KeyUse, "recall", lambda self, conn: None),
    )


def _release_psam_early() -> AbstractContextManager[Any]:
    """The PSAM is given back once MAC1 is out, before the proof."""
    move = core.Core.move

    def early(self: Any, conn: Any, payment: Any, target: str, **more: Any) -> None:
        move(self, conn, payment, target, **more)
        if target == "mac1-issued":
            psam_pool.release(conn, payment.id)

    return patch.object(core.Core, "move", early)


def _keep_psam() -> AbstractContextManager[Any]:
    """A PSAM stays lent to a payment that has ended."""
    return patch.object(psam_pool, "release", lambda conn, payment, keep=(): None)


def _timeout_is_failure() -> AbstractContextManager[Any]:
    """A sweep makes of a payment after MAC1 that nobody heard of a failed one."""

    def expire(self: Any, conn: Any, payment: str) -> None:
        row = core.load_payment(conn, payment)
        if row.state == "mac1-issued":
            self._core.move(conn, row, "failed", actor="sweep", reason="card-removed")

    swept = {**payments.SWEPT, "card": ("mac1-issued",)}
    return _both(
        patch.object(payments, "SWEPT", swept), patch.object(payments.Payments, "_expire_card", expire)
    )


def _box_takes_silence_for_no() -> AbstractContextManager[Any]:
    """The card went between MAC1 and its answer, and the box calls that a failure."""

    def give_up(self: Any, record: Any) -> Any:
        self._memory.forget(record.payment)
        return card_payment.Finished("failed", "not-taken", "card-removed", self.payment)

    return patch.object(debiting.Debiting, "_ask_back", give_up)


def _forget_before_debit() -> AbstractContextManager[Any]:
    """The box does not write down that the card may be debited."""
    keep = memory.Memory.keep

    def only_proofs(self: Any, record: Any) -> None:
        if record.tac is not None:
            keep(self, record)
        else:
            self._records[record.payment] = record

    return patch.object(memory.Memory, "keep", only_proofs)


def _no_fsync() -> AbstractContextManager[Any]:
    """The box's memory is renamed into place before it is on the disk."""
    return patch.object(
        television._Disk, "fsync", lambda self, descriptor: television._box().disk_operation()
    )


def _rivals_welcome() -> AbstractContextManager[Any]:
    """The TSP does not mind that a service is being paid already: what is left is the box's own care."""
    return patch.object(rivals, "rivals", lambda conn, boxes, order: [])


def _ignore_earlier() -> AbstractContextManager[Any]:
    """A card that still has to explain a payment is debited for the next one."""
    return _both(
        _rivals_welcome(),
        patch.object(card_payment.CardPayment, "_settle_earlier", lambda self, purse, facts: facts),
    )


def _waiting_proof_is_overlooked() -> AbstractContextManager[Any]:
    """A card pays again for the same while its proof of the first time waits on the box."""
    return _both(_rivals_welcome(), patch.object(earlier.EarlierPayments, "look", lambda self, silent: None))


def _kept_proofs_wait() -> AbstractContextManager[Any]:
    """The TSP does not check by itself what it has kept."""

    async def nothing(self: Any, payment: str) -> None:
        pass

    return patch.object(card.CardPayments, "complete_kept", nothing)


def _psam_fails_without_a_case() -> AbstractContextManager[Any]:
    """A PSAM that does not answer at the proof leaves nothing for a person to see."""
    refuse = card.CardPayments._refuse

    async def silent(self: Any, payment: str, kind: str, *, release: bool) -> None:
        if kind != "psam-refused":
            await refuse(self, payment, kind, release=release)

    return _both(_kept_proofs_wait(), patch.object(card.CardPayments, "_refuse", silent))


def _proof_is_thrown_away() -> AbstractContextManager[Any]:
    """The box forgets the proof when the TSP does not answer."""
    send = settling.send_proof

    def once(client: Any, kept: Any, record: Any) -> Any:
        try:
            return send(client, kept, record)
        except BoxProblem as problem:
            kept.forget(record.payment)
            raise BoxProblem("tsp-answer-bad", money="unknown") from problem

    return patch.object(settling, "send_proof", once)


def _outbox_without_acknowledgement() -> AbstractContextManager[Any]:
    """What is owed is ticked off when it is sent, whether it arrived or not."""

    async def careless(self: Any, row: Any) -> None:
        with contextlib.suppress(Exception):
            acknowledged = await self._handlers[row.topic](outbox.json.loads(row.payload))
            await states.write(self._database, acknowledged.change)
            acknowledged.afterwards()
        done = update(self._table).where(self._table.c.id == row.id)
        values = {"delivered_at": self._clock.now(), "due_at": None}
        await self._database.write(lambda conn: conn.execute(done.values(**values)))

    return patch.object(outbox.Outbox, "_deliver", careless)


def _outbox_after_commit() -> AbstractContextManager[Any]:
    """BOSS is owed its message only after the payment is on the disk, in a second write."""
    paid, put = core.Core.paid, outbox.Outbox.put

    def later(self: Any, conn: Any, payment: Any, *, actor: str) -> None:
        def owe(conn: Any) -> None:
            put(self.outbox, conn, core.OPEN_SERVICE, {"payment": payment.id})

        with patch.object(outbox.Outbox, "put", lambda *_: None):
            paid(self, conn, payment, actor=actor)
        asyncio.get_running_loop().create_task(self.database.write(owe))

    return patch.object(core.Core, "paid", later)


def _refund_twice() -> AbstractContextManager[Any]:
    """Money is sent back twice, each time as a new refund."""
    refund = wallet.WalletPayments.refund
    count = iter(range(1_000_000))

    async def again(self: Any, payload: Any) -> Any:
        kept = self._wallet

        class Fresh:
            def __init__(self, inner: Any) -> None:
                self._inner = inner

            async def refund(self, reference: str, refund: str, amount_fen: int) -> None:
                for _ in range(2):
                    await self._inner.refund(reference, f"{refund}-{next(count)}", amount_fen)

        with patch.object(wallet.WalletPayments, "_wallet", lambda self, row: Fresh(kept(row))):
            return await refund(self, payload)

    return patch.object(wallet.WalletPayments, "refund", again)


def _keep_late_money() -> AbstractContextManager[Any]:
    """Money that comes after the end is kept."""
    return patch.object(core.Core, "begin_refund", lambda self, conn, row, amount_fen, **more: None)


def _wallet_not_asked_at_the_end() -> AbstractContextManager[Any]:
    """A code whose time is over expires without the wallet being asked."""

    async def expire(self: Any, payment: str) -> None:
        def end(conn: Any) -> None:
            row = core.load_payment(conn, payment)
            if row.state in machines.CODE_OUT:
                self._core.move(conn, row, "expired", actor="sweep", reason="expired")

        await self._core.change(payment, end)

    return patch.object(wallet.WalletPayments, "expire", expire)


def _paid_before_proof() -> AbstractContextManager[Any]:
    """A payment counts as paid once MAC1 is out."""
    move = core.Core.move

    def trusting(self: Any, conn: Any, payment: Any, target: str, **more: Any) -> None:
        move(self, conn, payment, target, **more)
        if target == "mac1-issued":
            self.paid(conn, core.load_payment(conn, payment.id), actor="box")

    return patch.object(core.Core, "move", trusting)


def _mac2_not_checked() -> AbstractContextManager[Any]:
    """The proof is believed without the PSAM."""

    async def believe(self: Any, *what: Any) -> None:
        return

    return patch.object(card.CardPayments, "_verify", believe)


def _boss_opens_twice() -> AbstractContextManager[Any]:
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
    return _both(
        patch.object(idempotency.KeyUse, "claim", claim), patch.object(idempotency.Idempotency, "run", forget)
    )


def _any_move_is_legal() -> AbstractContextManager[Any]:
    """The table of legal moves is not looked at, and a payment of which BOSS is told goes through ``refunding``."""
    free = {state: frozenset(machines.PAYMENT_SHOWN) for state in machines.PAYMENT_SHOWN}
    opened = payments.Payments._service_opened

    def roundabout(self: Any, conn: Any, payment: str, *more: Any) -> None:
        row = core.load_payment(conn, payment)
        self._core.move(conn, row, "refunding", actor="boss")
        self._core.move(conn, core.load_payment(conn, payment), "paid", actor="boss")
        opened(self, conn, payment, *more)

    return _both(
        patch.object(machines, "CARD_PAYMENT", dataclasses.replace(machines.CARD_PAYMENT, moves=free)),
        patch.object(machines, "WALLET_PAYMENT", dataclasses.replace(machines.WALLET_PAYMENT, moves=free)),
        patch.object(payments.Payments, "_service_opened", roundabout),
    )


def _unknown_is_shown_as_not_taken() -> AbstractContextManager[Any]:
    """The interface says of a payment after MAC1 that nothing was taken."""
    shown = {**machines.PAYMENT_SHOWN, "mac1-issued": machines.Shown("unknown", "not-taken")}
    return patch.object(machines, "PAYMENT_SHOWN", shown)


def _two_live_payments() -> AbstractContextManager[Any]:
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

    return patch.object(core.Core, "move", unmark)


def _evidence_is_believed() -> AbstractContextManager[Any]:
    """A box's word that a card was not debited is believed without number and balance, and it gives it too early."""

    async def believe(self: Any, box_number: str, payment: str, evidence: Any, use: Any) -> Any:
        def work(conn: Any) -> Any:
            use.claim(conn)
            row = self._find(conn, box_number, payment)
            if row.state == "mac1-issued":
                self._core.move(conn, row, "failed", actor="box", reason="card-removed")
            return use.answer(conn, self._core.answer(conn, payment))

        return await self._core.change(payment, work)

    def never(purse: Any, record: Any, kept: Any) -> None:
        return None

    return _both(
        patch.object(card.CardPayments, "not_debited", believe), patch.object(settling, "prove", never)
    )


def _evidence_has_one_key() -> AbstractContextManager[Any]:
    """Whatever a card says of a debit that was not made is sent with one key."""
    send = client.TspClient.not_debited

    def one_key(self: Any, payment: str, sw: int, number: int, balance_fen: int, key: str) -> Any:
        return send(self, payment, sw, number, balance_fen, f"{key.rpartition('-')[0]}-n")

    return patch.object(client.TspClient, "not_debited", one_key)


def _late_mac1() -> AbstractContextManager[Any]:
    """Evidence that comes before the request for MAC1 is refused, and MAC1 leaves when nobody waits for it."""
    moves = dict(machines.CARD_PAYMENT.moves)
    moves["card-checked"] -= {"failed"}
    return patch.object(machines, "CARD_PAYMENT", dataclasses.replace(machines.CARD_PAYMENT, moves=moves))


def _psam_lent_for_ever() -> AbstractContextManager[Any]:
    """A PSAM that did not work stays lent to the payment that a person completes."""
    refuse = card.CardPayments._refuse

    async def keep(self: Any, payment: str, kind: str, *, release: bool) -> None:
        await refuse(self, payment, kind, release=kind != "psam-refused")

    return patch.object(card.CardPayments, "_refuse", keep)


def _replays_are_let_in() -> AbstractContextManager[Any]:
    """Nobody looks whether a nonce came before."""

    async def use(self: Any, known: Any, signed: Any, take: Any) -> Any:
        counter = nonces.counter_of(signed.nonce)
        return nonces.Entry(known.box_number, known.key_id, counter, signed.nonce, signed.nonce)

    return _both(
        patch.object(nonces.Nonces, "use", use),
        patch.object(nonces.Nonces, "keep", lambda self, conn, entry: None),
    )


def _counter_starts_again() -> AbstractContextManager[Any]:
    """A box counts its nonces from the beginning when its power comes back."""
    return patch.object(box.Counter, "BLOCK", 0)


def _fault_in_the_sweep() -> AbstractContextManager[Any]:
    """One payment in the sweep raises what nobody expects."""

    async def fail(self: Any, payment: str) -> None:
        raise ZeroDivisionError(payment)

    return patch.object(payments.Payments, "_end_card", fail)


def _wallet_pays_twice() -> AbstractContextManager[Any]:
    """The wallet's code is made anew for every request, and the first one can still be paid."""
    look = orders.Orders.may_pay

    async def unasked(self: Any, row: Any) -> None:
        with contextlib.suppress(Problem):
            await look(self, row)

    def reopen(conn: Any, reference: str) -> Any:
        row = found(conn, reference)
        if row.state == "refunded":
            conn.execute(
                update(sandbox_service.codes).where(sandbox_service.codes.c.id == row.id).values(state="paid")
            )
        return row

    found = sandbox_service._by_reference
    return _both(
        patch.object(orders.Orders, "may_pay", unasked),
        patch.object(sandbox_service, "_by_reference", reopen),
    )


def _books_forget_refunds() -> AbstractContextManager[Any]:
    """Money that goes back is not booked."""
    book = books.book

    def forgetful(conn: Any, payment: str, kind: str, *more: Any, **named: Any) -> None:
        if kind != "refunded":
            book(conn, payment, kind, *more, **named)

    return patch.object(books, "book", forgetful)


def _books_forget_openings() -> AbstractContextManager[Any]:
    """BOSS opens and earns nothing."""
    return patch.object(boss_books, "opened", lambda *_: None)


@contextmanager
def _both(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        yield


BUGS = (
    Bug("forget-idempotency", _forget_idempotency, ("same_key_same_answer",), 19),
    Bug("release-psam-early", _release_psam_early, ("psams_are_lent_whole",), 112),
    Bug("keep-psam", _keep_psam, ("psams_are_lent_whole",), 1),
    Bug(
        "timeout-is-failure",
        _timeout_is_failure,
        ("charged_is_served_or_open", "people_are_told_the_truth"),
        174,
    ),
    Bug("silence-is-no", _box_takes_silence_for_no, ("people_are_told_the_truth", "everything_ends"), 1),
    Bug("forget-before-debit", _forget_before_debit, ("charged_is_served_or_open", "everything_ends"), 1),
    Bug("no-fsync", _no_fsync, ("boxes_remember_what_is_open", "charged_is_served_or_open"), 1),
    Bug("ignore-earlier", _ignore_earlier, ("nobody_is_charged_twice",), 1),
    Bug("waiting-proof-overlooked", _waiting_proof_is_overlooked, ("nobody_is_charged_twice",), 111),
    Bug("psam-fails-without-case", _psam_fails_without_a_case, ("charged_is_served_or_open",), 83),
    Bug("throw-proof-away", _proof_is_thrown_away, ("charged_is_served_or_open",), 277),
    Bug(
        "outbox-unacknowledged",
        _outbox_without_acknowledgement,
        ("charged_is_served_or_open", "everything_ends"),
        13,
    ),
    Bug("outbox-after-commit", _outbox_after_commit, ("charged_is_served_or_open",), 837),
    Bug("refund-twice", _refund_twice, ("wallet_and_tsp_agree",), 220),
    Bug("keep-late-money", _keep_late_money, ("charged_is_served_or_open", "wallet_and_tsp_agree"), 220),
    Bug(
        "wallet-not-asked",
        _wallet_not_asked_at_the_end,
        ("wallet_and_tsp_agree", "people_are_told_the_truth"),
        2,
    ),
    Bug("paid-before-proof", _paid_before_proof, ("nothing_unpaid_is_served",), 12),
    Bug("mac2-not-checked", _mac2_not_checked, ("psams_and_tsp_agree",), 1),
    Bug("boss-opens-twice", _boss_opens_twice, ("boss_and_tsp_agree",), 4),
    Bug("any-move", _any_move_is_legal, ("moves_are_legal",), 1),
    Bug("refund-not-booked", _books_forget_refunds, ("tables_are_right",), 220),
    Bug("opening-not-booked", _books_forget_openings, ("tables_are_right",), 1),
    Bug("unknown-is-not-taken", _unknown_is_shown_as_not_taken, ("people_are_told_the_truth",), 174),
    Bug("orphan-order", _two_live_payments, ("everything_ends",), 1),
    Bug(
        "evidence-believed",
        _evidence_is_believed,
        ("charged_is_served_or_open", "people_are_told_the_truth"),
        29,
    ),
    Bug("evidence-has-one-key", _evidence_has_one_key, ("keys_are_used_once",), 313),
    Bug("late-mac1", _late_mac1, ("everything_ends",), 238),
    Bug("psam-lent-for-ever", _psam_lent_for_ever, ("psams_are_lent_whole",), 83),
    Bug("replays-let-in", _replays_are_let_in, ("signatures_are_used_once",), 3),
    Bug("counter-starts-again", _counter_starts_again, ("boxes_are_let_in",), 1),
    Bug("fault-in-sweep", _fault_in_the_sweep, ("nothing_broke",), 3),
    Bug("refund-undone", _wallet_pays_twice, ("wallet_and_tsp_agree",), 220),
)


def caught(bug: Bug, seeds: Iterator[int] | range) -> int | None:
    """The first of these seeds that notices a bug by one of its invariants; None when none does."""
    from tests.simulation.many import one
    from tests.simulation.world import the_day_before

    the_day_before()
    with bug.make():
        for seed in seeds:
            if any(text.partition(":")[0] in bug.caught_by for text in one(seed).broken):
                return seed
    return None
