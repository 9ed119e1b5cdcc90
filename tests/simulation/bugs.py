"""Deliberate bugs: each breaks the real code in one place, and some seed has to notice."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import httpx
from sqlalchemy import delete, func, insert, select, update

from server_stub.boss import books as boss_books
from server_stub.boss import service as boss_service
from server_stub.boss import tables as boss_tables
from server_stub.foundation import claims, idempotency, outbox, states
from server_stub.foundation.audit import Audit
from server_stub.foundation.ledger import Ledger, part_of
from server_stub.foundation.problems import Problem
from server_stub.sandbox import service as sandbox_service
from server_stub.tsp import (
    books,
    boxes,
    card,
    core,
    door,
    machines,
    moves,
    nonces,
    orders,
    payments,
    psam_pool,
    rivals,
    tables,
    wallet,
)
from server_stub.wallets import provider
from stb_app.journeys import card_payment, debiting, earlier, memory, settling
from stb_app.shell import box, connection
from stb_app.shell.box import BoxFiles
from stb_app.tsp import client
from stb_app.tsp.problem import Problem as BoxProblem
from tests.simulation import servers, television


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


PUT: set[str] = set()
RAN: set[str] = set()
"""Functions that a bug has put in the place of others; those of them that were called."""
OURS = ("TypeError", "AttributeError", "NameError", "UnboundLocalError")
"""What a bug raises that is no bug of the code but one of this module."""


def put(owner: Any, name: str, new: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Puts a function in another's place: it can be called alike, and it is noted that it was."""
    old = getattr(owner, name)
    for everything in (False, True):
        args, named = _call(old, everything)
        inspect.signature(new).bind(*args, **named)

    PUT.add(name)

    @functools.wraps(new)
    def noted(*args: Any, **named: Any) -> Any:
        RAN.add(name)
        return new(*args, **named)

    return patch.object(owner, name, noted)


def _call(function: Callable[..., Any], everything: bool) -> tuple[list[Any], dict[str, Any]]:
    """Arguments with which a function can be called: as few as there may be, or all."""
    args: list[Any] = []
    named: dict[str, Any] = {}
    for one in inspect.signature(function).parameters.values():
        wanted = everything or one.default is one.empty
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and wanted:
            args.append(None)
        elif one.kind is one.KEYWORD_ONLY and wanted:
            named[one.name] = None
        elif one.kind is one.VAR_KEYWORD and everything:
            named["any_other"] = None
    return args, named


def _forget_idempotency() -> AbstractContextManager[Any]:
    """Keys are not looked at: whatever comes twice is done twice."""
    return _both(
        put(idempotency.KeyUse, "claim", lambda self, conn: None),
        put(idempotency.KeyUse, "recall", lambda self, conn: None),
    )


def _release_psam_early() -> AbstractContextManager[Any]:
    """The PSAM is given back once MAC1 is out, before the proof."""
    move = core.Core.move

    def early(self: Any, conn: Any, payment: Any, target: str, **more: Any) -> None:
        move(self, conn, payment, target, **more)
        if target == "mac1-issued":
            psam_pool.release(conn, payment.id)

    return put(core.Core, "move", early)


def _keep_psam() -> AbstractContextManager[Any]:
    """A PSAM stays lent to a payment that has ended."""
    return put(psam_pool, "release", lambda conn, payment, keep=(): None)


def _timeout_is_failure() -> AbstractContextManager[Any]:
    """A sweep makes of a payment after MAC1 that nobody heard of a failed one."""

    def expire(self: Any, conn: Any, payment: str) -> None:
        row = core.load_payment(conn, payment)
        if row.state == "mac1-issued":
            self._core.move(conn, row, "failed", actor="sweep", reason="card-removed")

    swept = {**payments.SWEPT, "card": ("mac1-issued",)}
    return _both(patch.object(payments, "SWEPT", swept), put(payments.Payments, "_expire_card", expire))


def _box_takes_silence_for_no() -> AbstractContextManager[Any]:
    """The card went between MAC1 and its answer, and the box calls that a failure."""

    def give_up(self: Any, record: Any) -> Any:
        self._memory.forget(record.payment)
        return card_payment.Finished("failed", "not-taken", "card-removed", self.payment)

    return put(debiting.Debiting, "_ask_back", give_up)


def _forget_before_debit() -> AbstractContextManager[Any]:
    """The box does not write down that the card may be debited."""
    keep = memory.Memory.keep

    def only_proofs(self: Any, record: Any) -> None:
        if record.tac is not None:
            keep(self, record)
        else:
            self._records[record.payment] = record

    return put(memory.Memory, "keep", only_proofs)


def _no_fsync() -> AbstractContextManager[Any]:
    """The box's memory is renamed into place before it is on the disk."""
    return put(television._Disk, "fsync", lambda self, descriptor: television._box().disk_operation())


def _rivals_welcome() -> AbstractContextManager[Any]:
    """The TSP does not mind that a service is being paid already: what is left is the box's own care."""
    return put(rivals, "rivals", lambda conn, reach, order: [])


def _ignore_earlier() -> AbstractContextManager[Any]:
    """A card that still has to explain a payment is debited for the next one."""
    return _both(
        _rivals_welcome(),
        put(card_payment.CardPayment, "_settle_earlier", lambda self, purse, facts: facts),
    )


def _waiting_proof_is_overlooked() -> AbstractContextManager[Any]:
    """A card pays again for the same while its proof of the first time waits on the box."""
    return _both(_rivals_welcome(), put(earlier.EarlierPayments, "look", lambda self, silent: None))


def _kept_proofs_wait() -> AbstractContextManager[Any]:
    """The TSP does not check by itself what it has kept."""

    async def nothing(self: Any, payment: str) -> None:
        pass

    return put(card.CardPayments, "complete_kept", nothing)


def _psam_fails_without_a_case() -> AbstractContextManager[Any]:
    """A PSAM that does not answer at the proof leaves nothing for a person to see."""
    refuse = card.CardPayments._refuse

    async def silent(self: Any, payment: str, kind: str, proof: Any) -> bool:
        return kind == "psam-refused" or await refuse(self, payment, kind, proof)

    return _both(_kept_proofs_wait(), put(card.CardPayments, "_refuse", silent))


def _proof_is_thrown_away() -> AbstractContextManager[Any]:
    """The box forgets the proof when the TSP does not answer."""
    send = settling.send_proof

    def once(client: Any, kept: Any, record: Any) -> Any:
        try:
            return send(client, kept, record)
        except BoxProblem as problem:
            kept.forget(record.payment)
            raise BoxProblem("tsp-answer-bad", money="unknown") from problem

    return put(settling, "send_proof", once)


def _outbox_without_acknowledgement() -> AbstractContextManager[Any]:
    """What is owed is ticked off when it is sent, whether it arrived or not."""

    async def careless(self: Any, row: Any) -> None:
        with contextlib.suppress(Problem, provider.WalletUnreachable, httpx.HTTPError, ConnectionError):
            acknowledged = await self._handlers[row.topic](outbox.json.loads(row.payload))
            await states.write(self._database, acknowledged.change)
            acknowledged.afterwards()
        done = update(self._table).where(self._table.c.id == row.id)
        values = {"delivered_at": self._clock.now(), "due_at": None}
        await self._database.write(lambda conn: conn.execute(done.values(**values)))

    return put(outbox.Outbox, "_deliver", careless)


def _outbox_after_commit() -> AbstractContextManager[Any]:
    """BOSS is owed its message only after the payment is on the disk, in a second write."""
    paid, owe = core.Core.paid, outbox.Outbox.put

    def later(self: Any, conn: Any, payment: Any, *, actor: str) -> None:
        def second(conn: Any) -> None:
            owe(self.outbox, conn, moves.OPEN_SERVICE, {"payment": payment.id})

        with put(outbox.Outbox, "put", lambda self, conn, topic, payload, delay=0, **_: None):
            paid(self, conn, payment, actor=actor)
        asyncio.get_running_loop().create_task(self.database.write(second))

    return put(core.Core, "paid", later)


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

        with put(wallet.WalletPayments, "_wallet", lambda self, row: Fresh(kept(row))):
            return await refund(self, payload)

    return put(wallet.WalletPayments, "refund", again)


def _keep_late_money() -> AbstractContextManager[Any]:
    """Money that comes after the end is kept."""
    return put(core.Core, "begin_refund", lambda self, conn, row, amount_fen, **more: None)


def _wallet_not_asked_at_the_end() -> AbstractContextManager[Any]:
    """A code whose time is over expires without the wallet being asked."""

    async def expire(self: Any, payment: str) -> None:
        def end(conn: Any) -> None:
            row = core.load_payment(conn, payment)
            if row.state in machines.CODE_OUT:
                self._core.move(conn, row, "expired", actor="sweep", reason="expired")

        await self._core.change(payment, end)

    return put(wallet.WalletPayments, "expire", expire)


def _paid_before_proof() -> AbstractContextManager[Any]:
    """A payment counts as paid once MAC1 is out."""
    move = core.Core.move

    def trusting(self: Any, conn: Any, payment: Any, target: str, **more: Any) -> None:
        move(self, conn, payment, target, **more)
        if target == "mac1-issued":
            self.paid(conn, core.load_payment(conn, payment.id), actor="box")

    return put(core.Core, "move", trusting)


def _mac2_not_checked() -> AbstractContextManager[Any]:
    """The proof is believed without the PSAM."""

    async def believe(self: Any, row: Any, debit: Any, proof: Any, taken: Any, use: Any) -> None:
        return

    return put(card.CardPayments, "_verify", believe)


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
    return _both(put(idempotency.KeyUse, "claim", claim), put(idempotency.Idempotency, "run", forget))


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
        put(payments.Payments, "_service_opened", roundabout),
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

    return put(core.Core, "move", unmark)


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

    return _both(put(card.CardPayments, "not_debited", believe), put(settling, "prove", never))


def _evidence_has_one_key() -> AbstractContextManager[Any]:
    """Whatever a card says of a debit that was not made is sent with one key."""
    send = client.TspClient.not_debited

    def one_key(self: Any, payment: str, sw: int, number: int, balance_fen: int, key: str) -> Any:
        return send(self, payment, sw, number, balance_fen, f"{key.rpartition('-')[0]}-n")

    return put(client.TspClient, "not_debited", one_key)


def _late_mac1() -> AbstractContextManager[Any]:
    """Evidence that comes before the request for MAC1 is refused, and MAC1 leaves when nobody waits for it."""
    moves = dict(machines.CARD_PAYMENT.moves)
    moves["card-checked"] -= {"failed"}
    return patch.object(machines, "CARD_PAYMENT", dataclasses.replace(machines.CARD_PAYMENT, moves=moves))


def _psam_lent_for_ever() -> AbstractContextManager[Any]:
    """A PSAM that did not work stays lent to the payment that a person completes."""
    refuse = card.CardPayments._refuse

    async def keep(self: Any, payment: str, kind: str, proof: Any) -> bool:
        refused = await refuse(self, payment, kind, proof)

        def lend(conn: Any) -> None:
            psam = conn.execute(select(tables.debits.c.psam).where(tables.debits.c.payment_id == payment))
            psam_pool.lease(conn, payment, [psam.scalar_one()], self._core.clock.now(), 180)

        if kind == "psam-refused":
            await self._core.database.write(lend)
        return refused

    return put(card.CardPayments, "_refuse", keep)


def _replays_are_let_in() -> AbstractContextManager[Any]:
    """Nobody looks whether a nonce came before."""

    async def use(self: Any, known: Any, signed: Any, take: Any) -> Any:
        counter = nonces.counter_of(signed.nonce)
        return nonces.Entry(known.box_number, known.key_id, counter, signed.nonce, signed.nonce)

    return _both(
        put(nonces.Nonces, "use", use),
        put(nonces.Nonces, "keep", lambda self, conn, entry: None),
    )


def _counter_starts_again() -> AbstractContextManager[Any]:
    """A box counts its nonces from the beginning when its power comes back."""
    return patch.object(box.Counter, "BLOCK", 0)


def _fault_in_the_sweep() -> AbstractContextManager[Any]:
    """One payment in the sweep raises what nobody expects."""

    async def fail(self: Any, payment: str) -> None:
        raise ZeroDivisionError(payment)

    return put(payments.Payments, "_end_card", fail)


def _wallet_pays_twice() -> AbstractContextManager[Any]:
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
    return _both(
        put(orders.Orders, "may_pay", unasked),
        put(sandbox_service, "_by_reference", reopen),
    )


def _books_forget_refunds() -> AbstractContextManager[Any]:
    """Money that goes back is not booked."""
    book = books.book

    def forgetful(conn: Any, payment: str, kind: str, *more: Any, **named: Any) -> None:
        if kind != "refunded":
            book(conn, payment, kind, *more, **named)

    return put(books, "book", forgetful)


def _books_forget_openings() -> AbstractContextManager[Any]:
    """BOSS opens and earns nothing."""
    return put(boss_books, "opened", lambda *_: None)


def _journals_do_not_balance() -> AbstractContextManager[Any]:
    """A journal has one fen too much, and the database is made not to mind."""
    post = Ledger.post

    def lame(self: Any, conn: Any, journal: Any) -> bool:
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_journal_made")
        first, *others = journal.entries
        more = dataclasses.replace(first, amount_fen=first.amount_fen + 1)
        return post(self, conn, dataclasses.replace(journal, entries=(more, *others)))

    return put(Ledger, "post", lame)


def _balances_are_counted_twice() -> AbstractContextManager[Any]:
    """The program counts balances, too."""
    post = Ledger.post

    def twice(self: Any, conn: Any, journal: Any) -> bool:
        done = post(self, conn, journal)
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_balance_moved")
        for entry in journal.entries if done else ():
            table = self.balances.c
            mine = (table.account == entry.account) & (table.part == part_of(journal.reference))
            values = {"balance_fen": table.balance_fen + entry.amount_fen}
            conn.execute(update(self.balances).where(mine).values(**values))
        return done

    return put(Ledger, "post", twice)


def _opened_stays_with_subscribers() -> AbstractContextManager[Any]:
    """What was paid for a service that is open is booked as the subscribers' for ever."""
    standing = books.standing
    return put(
        books, "standing", lambda state, money: standing("paid" if state == "opened" else state, money)
    )


def _audit_is_not_chained() -> AbstractContextManager[Any]:
    """A record of the audit log is changed afterwards."""
    append = Audit.append

    def change(self: Any, conn: Any, *more: Any, **facts: Any) -> Any:
        head = append(self, conn, *more, **facts)
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS audit_log_no_UPDATE")
        last = select(func.max(self.records.c.sequence)).scalar_subquery()
        conn.execute(update(self.records).where(self.records.c.sequence == last).values(actor="nobody"))
        return head

    return put(Audit, "append", change)


def _outbox_gives_up() -> AbstractContextManager[Any]:
    """What could not be delivered is left for another year."""
    return patch.object(outbox, "PAUSES", (4e7,))


def _commits_are_not_flushed() -> AbstractContextManager[Any]:
    """The database says that a commit is on the disk before it is."""
    commit = servers.SimulatedDatabase._commit

    def careless(self: Any, work: Any) -> Any:
        process = self.process
        kill = process.host.kill_at(False) if process.ready else None
        if kill is None:
            return commit(self, work)
        process.check()
        with self.conn.begin() as transaction:
            result = work(self.conn)
            transaction.rollback()
        loop = process.host.simulation.loop
        loop.call_later(0.02, process.host.kill, kill.down_s, process.place)
        return result

    return put(servers.SimulatedDatabase, "_commit", careless)


def _next_key_is_not_written_down() -> AbstractContextManager[Any]:
    """The box goes over to a key of which it has written down nothing."""
    keep = BoxFiles.keep

    def only_ends(self: Any, enrolment: Any) -> None:
        if enrolment.next_key is None:
            keep(self, enrolment)

    return put(BoxFiles, "keep", only_ends)


def _rotation_is_left_unfinished() -> AbstractContextManager[Any]:
    """A box that was not told whether it has a new key finds out when it is switched on the next time."""
    return put(connection.Connection, "_finish_later", lambda self, turn: None)


def _ended_keys_are_good() -> AbstractContextManager[Any]:
    """Nobody looks at when a key has ended."""

    async def never(self: Any, entry: Any, *, afresh: bool = False) -> None:
        return

    return _both(put(nonces, "_refuse_ended", lambda key, now: None), put(boxes.Boxes, "ask_standing", never))


def _new_server_key_alone() -> AbstractContextManager[Any]:
    """The list of the server's keys is signed with the newest only."""
    return patch.object(door, "SERVER_KEYS", "")


def _claims_are_not_looked_at() -> AbstractContextManager[Any]:
    """Whoever finds work takes it, also what another process has."""

    def take(conn: Any, due: Any, order: Any, limit: int, *, who: str, now: Any, seconds: float) -> Any:
        table = order[0].table
        conn.execute(update(table).where(due).values(claimed_by=None, claimed_until=None))
        return claim(conn, due, order, limit, who=who, now=now, seconds=seconds)

    claim = claims.claim
    return put(claims, "claim", take)


def _claims_never_end() -> AbstractContextManager[Any]:
    """What a process has claimed is its own until it gives it back, dead or alive."""
    claim = claims.claim

    def take(conn: Any, due: Any, order: Any, limit: int, *, who: str, now: Any, seconds: float) -> Any:
        return claim(conn, due, order, limit, who=who, now=now, seconds=1e8)

    return put(claims, "claim", take)


def _claimed_keys_are_remembered() -> AbstractContextManager[Any]:
    """A process remembers which idempotency keys it has written down, and does not see that it had to begin again."""
    claim = idempotency.KeyUse.claim
    claimed: set[int] = set()
    uses = []

    def remember(self: Any, conn: Any) -> None:
        if id(self) not in claimed:
            claimed.add(id(self))
            uses.append(self)
            claim(self, conn)

    return put(idempotency.KeyUse, "claim", remember)


@contextmanager
def _both(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        yield


BUGS = (
    Bug("forget-idempotency", _forget_idempotency, ("same_key_same_answer",), 19),
    Bug("release-psam-early", _release_psam_early, ("psams_are_lent_whole",), 25225),
    Bug("keep-psam", _keep_psam, ("psams_are_lent_whole",), 2),
    Bug(
        "timeout-is-failure",
        _timeout_is_failure,
        ("charged_is_served_or_open", "people_are_told_the_truth"),
        174,
    ),
    Bug("silence-is-no", _box_takes_silence_for_no, ("people_are_told_the_truth", "everything_ends"), 12),
    Bug("forget-before-debit", _forget_before_debit, ("charged_is_served_or_open", "everything_ends"), 15),
    Bug("no-fsync", _no_fsync, ("boxes_remember_what_is_open", "charged_is_served_or_open"), 14),
    Bug("ignore-earlier", _ignore_earlier, ("nobody_is_charged_twice",), 51),
    Bug("waiting-proof-overlooked", _waiting_proof_is_overlooked, ("nobody_is_charged_twice",), 111),
    Bug("psam-fails-without-case", _psam_fails_without_a_case, ("charged_is_served_or_open",), 83),
    Bug("throw-proof-away", _proof_is_thrown_away, ("charged_is_served_or_open",), 23),
    Bug(
        "outbox-unacknowledged",
        _outbox_without_acknowledgement,
        ("charged_is_served_or_open", "everything_ends"),
        96,
    ),
    Bug("outbox-after-commit", _outbox_after_commit, ("charged_is_served_or_open",), 82),
    Bug("refund-twice", _refund_twice, ("wallet_and_tsp_agree",), 220),
    Bug("keep-late-money", _keep_late_money, ("charged_is_served_or_open", "wallet_and_tsp_agree"), 220),
    Bug(
        "wallet-not-asked",
        _wallet_not_asked_at_the_end,
        ("wallet_and_tsp_agree", "people_are_told_the_truth"),
        2,
    ),
    Bug("paid-before-proof", _paid_before_proof, ("nothing_unpaid_is_served",), 12),
    Bug("mac2-not-checked", _mac2_not_checked, ("psams_and_tsp_agree",), 2),
    Bug("boss-opens-twice", _boss_opens_twice, ("boss_and_tsp_agree",), 4),
    Bug("any-move", _any_move_is_legal, ("moves_are_legal",), 2),
    Bug("refund-not-booked", _books_forget_refunds, ("check_finds_nothing",), 220),
    Bug("opening-not-booked", _books_forget_openings, ("check_finds_nothing",), 2),
    Bug("unknown-is-not-taken", _unknown_is_shown_as_not_taken, ("people_are_told_the_truth",), 174),
    Bug("orphan-order", _two_live_payments, ("everything_ends",), 2),
    Bug(
        "evidence-believed",
        _evidence_is_believed,
        ("charged_is_served_or_open", "people_are_told_the_truth"),
        29,
    ),
    Bug("evidence-has-one-key", _evidence_has_one_key, ("keys_are_used_once",), 313),
    Bug("late-mac1", _late_mac1, ("everything_ends",), 262),
    Bug("psam-lent-for-ever", _psam_lent_for_ever, ("psams_are_lent_whole",), 83),
    Bug("replays-let-in", _replays_are_let_in, ("signatures_are_used_once",), 3),
    Bug("counter-starts-again", _counter_starts_again, ("boxes_are_let_in",), 1),
    Bug("fault-in-sweep", _fault_in_the_sweep, ("nothing_broke",), 7),
    Bug("journal-unbalanced", _journals_do_not_balance, ("journals_balance",), 2),
    Bug("balance-counted-twice", _balances_are_counted_twice, ("balances_are_sums",), 2),
    Bug("opened-stays-suspense", _opened_stays_with_subscribers, ("house_accounts_are_right",), 2),
    Bug("audit-not-chained", _audit_is_not_chained, ("check_finds_nothing",), 1),
    Bug("outbox-gives-up", _outbox_gives_up, ("everything_owed_is_delivered",), 13),
    Bug("commit-not-flushed", _commits_are_not_flushed, ("every_debit_is_known",), 1494),
    Bug("next-key-not-kept", _next_key_is_not_written_down, ("boxes_are_let_in",), 1),
    Bug("rotation-unfinished", _rotation_is_left_unfinished, ("boxes_are_let_in",), 1),
    Bug("ended-keys-good", _ended_keys_are_good, ("ended_keys_open_nothing",), 1),
    Bug("new-server-key-alone", _new_server_key_alone, ("answers_are_trusted", "boxes_are_let_in"), 41),
    Bug("claims-overlooked", _claims_are_not_looked_at, ("work_is_held_by_one",), 9),
    Bug("claims-never-end", _claims_never_end, ("leases_run_out",), 55),
    Bug("claimed-keys-remembered", _claimed_keys_are_remembered, ("writes_can_be_repeated",), 12),
    Bug("refund-undone", _wallet_pays_twice, ("wallet_and_tsp_agree",), 220),
)


def caught(bug: Bug, seeds: Iterator[int] | range) -> int | None:
    """The first of these seeds that notices a bug by one of its invariants; None when none does.

    Raises:
        AssertionError: the bug's own code broke, or has not run: then it is no test of anything.
    """
    from tests.simulation.many import one
    from tests.simulation.world import the_day_before

    the_day_before()
    PUT.clear()
    RAN.clear()
    with bug.make():
        for seed in seeds:
            broken = one(seed).broken
            ours = [
                text
                for text in broken
                if text.startswith("nothing_broke") and any(name in text for name in OURS)
            ]
            assert not ours, f"{bug.name} tests nothing: {ours}"
            if any(text.partition(":")[0] in bug.caught_by for text in broken):
                assert PUT <= RAN, f"{bug.name}: {PUT - RAN} never ran"
                return seed
    return None
