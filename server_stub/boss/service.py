"""BOSS: whose box it is, what may be sold to them, what it costs, and opening what was paid."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from server_stub.boss import books, keys, models, rules, store, tables, views
from server_stub.boss.day_work import DayWork
from server_stub.foundation import statements, wire
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.day_exchange import DayExchange
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, Idempotency, KeyUse
from server_stub.foundation.ids import Ids
from server_stub.foundation.jobs import Jobs
from server_stub.foundation.problems import Problem
from server_stub.foundation.secret import SecretText

T = TypeVar("T")
EARLIER = 50
"""Most entries of what was paid otherwise."""


class BossService:
    """The operator's business system.

    Args:
        partner_key: what partner systems must show.
    """

    def __init__(self, database: Database, clock: Clock, ids: Ids, partner_key: SecretText) -> None:
        self.partner_key = partner_key
        self.database = database
        self._clock = clock
        self._ids = ids
        self.idempotency = Idempotency(database, tables.keys, clock)
        self._jobs: Jobs | None = None
        self.days: DayWork | None = None
        database.load(books.open_accounts)

    def exchange_days(self, exchange: DayExchange, calendar: Calendar) -> None:
        """It tells the platform of each day, in a folder that both have agreed on; to be said before the start."""
        self.days = DayWork(exchange, calendar, self._clock)
        self._jobs = Jobs(self.database, tables.jobs, self._clock, self._ids.row(), self.days.jobs())
        self.database.load(self._jobs.load)

    def start(self) -> None:
        """It begins to answer. Raises CannotStart."""
        tables.audit.note_start(self.database, self._clock, "boss")
        if self._jobs is not None:
            self._jobs.start()

    async def stop(self) -> None:
        """Ends its work, and lets go of the database."""
        try:
            if self._jobs is not None:
                await self._jobs.stop()
            tables.audit.note_stop(self.database, self._clock, "boss")
        finally:
            self.database.close()

    async def register_key(self, box_number: str, claim: models.KeyClaim) -> models.RegisteredKey:
        """Ties a key to box, smart card and subscriber (ONL-11). Raises Problem as ``keys.register``."""
        now = self._clock.now()
        # Slow on purpose, so not in the writer's thread, where everybody would wait for it.
        code_hash = await to_thread(keys.activation_hash, box_number, claim.activation_code.reveal())

        def work(conn: Connection) -> models.RegisteredKey:
            registered = keys.register(conn, box_number, claim, code_hash, now)
            tables.audit.append(conn, self._clock, "box", "key-registered", box_number, key=claim.key_id)
            return registered

        return await self.database.write(work)

    async def key_standing(self, box_number: str, key_id: str) -> models.RegisteredKey:
        """Whether a box and its key may be served. Raises Problem as ``keys.standing``."""
        now = self._clock.now()
        return await self.database.look(lambda conn: keys.standing(conn, box_number, key_id, now))

    async def succeed_key(
        self, box_number: str, old: str, successor: models.KeySuccessor
    ) -> models.RegisteredKey:
        """A box goes over to another key. Raises Problem as ``keys.standing``, and ``key-copied`` for a second successor."""
        now = self._clock.now()

        def work(conn: Connection) -> models.RegisteredKey | None:
            registered = keys.succeed(conn, box_number, old, successor, now)
            facts = {"key": successor.key_id, "before": old}
            action = "key-rotated" if registered is not None else "key-copied"
            tables.audit.append(conn, self._clock, "box", action, box_number, **facts)
            return registered

        rotated = await self.database.write(work)
        if rotated is None:
            raise Problem(keys.COPIED)
        return rotated

    async def end_key(self, box_number: str, key_id: str, reason: str) -> None:
        """A platform has found that two have a key."""
        now = self._clock.now()

        def work(conn: Connection) -> None:
            if keys.end_copied(conn, box_number, key_id, now):
                facts = {"key": key_id, "reason": reason}
                tables.audit.append(conn, self._clock, "platform", "key-ended", box_number, **facts)

        await self.database.write(work)

    async def home(self, box_number: str, unheard: Sequence[str]) -> models.Home:
        """What the home page shows. Raises Problem ``box-unknown``, ``box-suspended``, as all below.

        Args:
            unheard: payments of which the partner has not heard yet that they opened something.
        """
        now = self._clock.now()

        def read(conn: Connection) -> models.Home:
            who = store.load_customer(conn, box_number)
            shown = views.home(store.load_catalogue(conn), who, store.load_history(conn, who), now)
            counted = store.opened_of(conn, box_number, unheard)
            return models.Home(**dict(shown), counted=counted)

        return await self.database.read(read)

    async def services(self, box_number: str) -> wire.Services:
        """All services in the order to show."""
        now = self._clock.now()
        return await self._for(
            box_number,
            lambda catalogue, who, _: wire.Services(
                services=[views.service(catalogue, who, name, now) for name in catalogue.products]
            ),
        )

    async def service(self, box_number: str, name: str) -> models.ServiceDetail:
        """One service (ONL-1). Raises also Problem ``not-found``."""
        now = self._clock.now()

        def detail(
            catalogue: store.Catalogue, who: store.Customer, past: store.History
        ) -> models.ServiceDetail:
            catalogue.product(name)
            return views.detail(catalogue, who, past, name, now)

        return await self._for(box_number, detail)

    async def sale(self, box_number: str, name: str, term: str) -> models.Sale:
        """The pre-check alone (ONL-4), and all boxes of the same subscriber, this one among them.

        Raises:
            Problem: also ``not-found``.
        """
        now = self._clock.now()

        def read(conn: Connection) -> models.Sale:
            catalogue, who = store.load_offer(conn, name), store.load_customer(conn, box_number)
            product = catalogue.product(name)
            return models.Sale(
                refusal=rules.pre_check(product, term, who.held, who.arrears_fen, catalogue.groups, now),
                clashes_with=views.clashes_with(catalogue, who, product, now),
                covered_until=rules.covered_until(product.service, who.held, now),
                excludes=rules.excludes(product, catalogue.groups),
                boxes=store.load_boxes(conn, who),
            )

        return await self.database.look(read)

    async def earlier(self, box_number: str) -> models.AllEarlier:
        """What the subscriber paid otherwise than with an order of this box, newest first."""
        now = self._clock.now()

        def read(conn: Connection) -> models.AllEarlier:
            who = store.load_customer(conn, box_number)
            return views.earlier(store.load_catalogue(conn), who, store.load_earlier(conn, who, EARLIER), now)

        return await self.database.read(read)

    async def order(self, box_number: str, request: models.OrderRequest, use: KeyUse) -> Answer:
        """Pre-check and fee (ONL-4, ONL-2). Keeps the order; no money moves.

        Raises:
            Problem: also one of the refusals of the pre-check.
        """
        now = self._clock.now()

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            catalogue = store.load_offer(conn, request.service)
            who = store.load_customer(conn, box_number)
            product = catalogue.product(request.service)
            refusal = rules.pre_check(product, request.term, who.held, who.arrears_fen, catalogue.groups, now)
            if refusal is not None:
                raise views.refused(
                    refusal, catalogue, who, product, now, service=request.service, term=request.term
                )
            fee = rules.fee(product, request.term, who.held, now)
            values = {
                "id": request.order,
                "box_number": box_number,
                "service": request.service,
                "term": request.term,
                "list_fen": fee.list_fen,
                "reduction_fen": fee.reduction_fen,
                "amount_fen": fee.amount_fen,
                "state": "quoted",
                "created_at": now,
            }
            statements.insert(conn, tables.orders, values)
            order = models.Order(
                order=request.order,
                service=views.service(catalogue, who, request.service, now),
                term=request.term,
                list_fen=fee.list_fen,
                reduction_fen=fee.reduction_fen,
                reduction_reason=fee.reduction_reason,
                amount_fen=fee.amount_fen,
                valid_from=fee.valid_from,
                valid_until=fee.valid_until,
            )
            return use.answer(conn, answer_of(order, 201))

        return await self.database.write(work)

    async def open_service(
        self, box_number: str, order_id: str, opening: models.Opening, use: KeyUse
    ) -> Answer:
        """Opens what was paid (ONL-7). The period begins where the subscriber's present one ends now.

        Raises:
            Problem: ``not-found``, ``amount-differs``, ``already-subscribed``, ``order-clash``; ``service-withdrawn`` of
                what staff have taken back: final.
        """
        now = self._clock.now()

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            who = store.load_customer(conn, box_number)
            order = statements.one(conn, tables.orders, id=order_id, box_number=box_number)
            if order is None:
                raise Problem("not-found", order=order_id)
            if order.state == "opened":
                raise Problem("already-subscribed", order=order_id)
            if order.state == "cancelled":  # staff have taken it back: it is over, whoever asks again
                raise Problem("service-withdrawn", order=order_id)
            if order.amount_fen != opening.amount_fen:
                raise Problem("amount-differs", amount_fen=order.amount_fen)
            catalogue = store.load_offer(conn, order.service)
            product = catalogue.product(order.service)
            # Price, arrears and withdrawal were settled by the quote; what was opened since then was not.
            refusal = rules.clash(product, who.held, catalogue.groups, now)
            if refusal is not None:
                raise views.refused(refusal, catalogue, who, product, now, order=order_id)
            fee = rules.fee(product, order.term, who.held, now)
            subscription = self._ids.row()
            values = {
                "id": subscription,
                "subscriber_id": who.id,
                "service": order.service,
                "term": order.term,
                "valid_from": fee.valid_from,
                "valid_until": fee.valid_until,
                "paid_fen": opening.amount_fen,
                "paid_at": opening.paid_at,
            }
            statements.insert(conn, tables.subscriptions, values)
            opened_by = {
                "state": "opened",
                "payment": opening.payment,
                "subscription_id": subscription,
                "opened_at": now,
            }
            statements.change(conn, tables.orders, opened_by, id=order_id)
            books.opened(conn, order_id, order.service, opening.amount_fen, now)
            after = replace(who, held=store.load_held(conn, who.id))
            opened = models.Opened(
                order=order_id,
                valid_from=fee.valid_from,
                valid_until=fee.valid_until,
                service=views.service(catalogue, after, order.service, now),
            )
            return use.answer(conn, answer_of(opened))

        return await self.database.write(work)

    async def _for(
        self, box_number: str, view: Callable[[store.Catalogue, store.Customer, store.History], T]
    ) -> T:
        def read(conn: Connection) -> T:
            who = store.load_customer(conn, box_number)
            return view(store.load_catalogue(conn), who, store.load_history(conn, who))

        return await self.database.read(read)
