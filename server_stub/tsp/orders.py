"""Looking around, orders, records and inquiries: everything before and beside the money."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, Row, select

from server_stub.foundation import statements, states, wire
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.problems import Problem
from server_stub.foundation.text import Text
from server_stub.tsp import card, card_attempts, card_loads, core, machines, models
from server_stub.tsp.core import Core
from server_stub.tsp.rivals import Reach, service_of
from server_stub.tsp.tables import inquiries, orders, payments

RECORDS = 50
SERVICE_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
CARD = (
    Text(zh="银联 IC 卡", en="UnionPay card"),
    Text(zh="插卡，按提示支付", en="Insert the card, follow the steps"),
)

SECOND = timedelta(seconds=1)
NOT_OPENED = ("already-subscribed", "order-clash")
"""What BOSS would refuse an opening for, after the money."""
NOT_AT_BOSS = tuple(
    state
    for state, shown in machines.PAYMENT_SHOWN.items()
    if shown.money == "taken" and state not in ("opened", "presenting")
)
"""States of a payment whose money is in, and of which BOSS's own list does not know. A certificate that PPP has not seen is no
money yet."""

log = structlog.get_logger(__name__)


class Orders:
    """Orders of the boxes, and what a box may look at."""

    def __init__(self, parts: Core) -> None:
        self._core = parts

    async def home(self, box_number: str) -> wire.Home:
        """Raises Problem: BOSS's refusal or ``boss-unreachable``, as the next two."""
        # Ours first: what BOSS opens before it answers is then in both, and BOSS says so, rather than in neither.
        kept, opened_at = await self._core.database.read(partial(_kept, box_number=box_number))
        answer = await self._core.boss.get(box_number, "home", payment=[row.id for row in kept[:RECORDS]])
        told = wire.Home.model_validate(answer)
        counted = [row for row in kept if row.id in answer["counted"]]
        kept = [row for row in kept if row not in counted]
        months = Counter[str]()
        for row in kept:
            months[f"{row.paid_at:%Y-%m}"] += (
                row.received_fen or row.amount_fen
            )  # nothing: the operator bears it
        last = told.last_payment
        newest = max(kept, key=_paid_at, default=None)
        known = [row.paid_at for row in counted] + ([opened_at] if opened_at else [])
        if newest is not None and all(newest.paid_at >= at for at in known):
            own = wire.LastPayment(date=newest.paid_at.date(), amount_fen=newest.amount_fen)
            if last is None or own.date >= last.date:
                last = own
        spending = [
            one.model_copy(update={"amount_fen": one.amount_fen + months[one.month]}) for one in told.spending
        ]
        return told.model_copy(update={"last_payment": last, "spending": spending})

    async def services(self, box_number: str) -> wire.Services:
        """All services."""
        return wire.Services.model_validate(await self._core.boss.get(box_number, "services"))

    async def service(self, box_number: str, name: str) -> models.ServiceDetail:
        """One service. Raises Problem ``not-found`` besides: also for what can be no service's name."""
        if not SERVICE_NAME.fullmatch(name):
            raise Problem("not-found")
        answer = await self._core.boss.get(box_number, "services", name)
        return models.ServiceDetail.model_validate({**answer, "hotline": self._core.settings.hotline})

    async def create(self, box_number: str, request: models.OrderRequest, use: KeyUse) -> Answer:
        """BOSS checks and computes the fee; the order is kept. No money moves.

        Raises:
            Problem: BOSS's refusal or ``boss-unreachable``.
        """
        await self._core.idempotency.recall(use)
        identity = self._core.ids.row()
        body = {"order": identity, **request.model_dump()}
        quote = await self._core.boss.post(box_number, "orders", body, identity)
        service = wire.Service.model_validate(quote["service"])
        now = self._core.clock.now()

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            reason = quote["reduction_reason"]
            values = {
                "id": identity,
                "box_number": box_number,
                "number": self._core.ids.number(),
                "state": "quoted",
                "service": service.model_dump_json(by_alias=True),
                "term": request.term,
                "list_fen": quote["list_fen"],
                "reduction_fen": quote["reduction_fen"],
                "reduction_reason": None if reason is None else json.dumps(reason),
                "amount_fen": quote["amount_fen"],
                "valid_from": datetime.fromisoformat(quote["valid_from"]),
                "valid_until": datetime.fromisoformat(quote["valid_until"]),
                "renews": quote["renews"],
                "created_at": now,
                "expires_at": now + timedelta(seconds=self._core.settings.quote_seconds),
            }
            statements.insert(conn, orders, values)
            row = core.find_order(conn, box_number, identity)
            return use.answer(conn, answer_of(self._show(row), 201))

        answer = await self._core.database.write(work)
        self._core.sweep_by(now + timedelta(seconds=self._core.settings.quote_seconds))
        return answer

    async def order(self, box_number: str, order: str) -> models.Order:
        """Raises Problem ``not-found``."""
        row = await self._core.database.look(lambda conn: core.find_order(conn, box_number, order))
        return self._show(row)

    async def may_pay(self, row: Row[Any]) -> Reach:
        """Asks BOSS once more before any money moves: minutes may have passed since the quote.

        Returns:
            what another payment has to be for, to stand against this one.

        Raises:
            Problem: BOSS does not serve the box now, would not open the service any more, or does not answer;
                ``order-outdated`` when the period would be another one than was quoted.
        """
        service = service_of(row).service
        answer = await self._core.boss.get(row.box_number, "services", service, "terms", row.term)
        refusal = answer["refusal"]
        # Price, arrears and withdrawal were settled by the quote (docs/boss-api.md, Opening).
        if refusal in NOT_OPENED:
            named = {"clashes_with": answer["clashes_with"]} if refusal == "order-clash" else {}
            raise Problem(refusal, service=service, term=row.term, **named)
        if answer["covered_until"] is not None:
            # Whoever has the service now is paying for what comes after it, and was told when that begins.
            follows = datetime.fromisoformat(answer["covered_until"]) + SECOND
            if row.valid_from != follows:
                raise Problem("order-outdated", service=service, term=row.term)
        return Reach.of(row, answer["boxes"], answer["excludes"])

    async def records(self, box_number: str) -> models.Records:
        """The box's last payments, its last loads of electronic cash, and what was paid otherwise, newest first.

        What the box has done stands here also when BOSS is silent or does not serve the box: money may be on its way.
        """
        try:
            answer = await self._core.boss.get(box_number, "earlier")
        except Problem as problem:
            log.warning("earlier-not-told", code=problem.code)
            answer = {"earlier": None}

        def read(conn: Connection) -> models.Records:
            ids = (
                select(payments.c.id)
                .where(payments.c.box_number == box_number)
                .order_by(payments.c.created_at.desc(), payments.c.id.desc())
                .limit(RECORDS)
            )
            found = conn.execute(ids).scalars().all()
            shown = [self._core.view(conn, one) for one in found]
            loaded = card_loads.latest(conn, box_number, RECORDS)
            return models.Records.model_validate({"records": shown, "loads": loaded, **answer})

        return await self._core.database.read(read)

    async def inquire(self, box_number: str, request: models.InquiryRequest, use: KeyUse) -> Answer:
        """Looks at a card without moving money, and records that (ONL-10). Raises Problem ``too-many-requests``."""
        serial = request.application_serial

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            fingerprint = card.fingerprint(self._core, serial)
            card_attempts.came(conn, self._core, box_number, fingerprint)
            issuer = card.issuer_of(conn, self._core, request)
            refusal = card.refusal(self._core, request, issuer)
            if refusal is None and card.unsettled(conn, self._core, request, box_number):
                refusal = "card-unsettled"
            values = {
                "id": self._core.ids.row(),
                "box_number": box_number,
                "kind": request.kind,
                "card_masked": serial.masked,
                "card_fingerprint": fingerprint,
                "issuer_id": request.issuer_id,
                "balance_fen": request.balance_fen,
                "refusal": refusal,
                "at": self._core.clock.now(),
            }
            statements.insert(conn, inquiries, values)
            name = None if issuer is None else Text(zh=issuer.name_zh, en=issuer.name_en)
            inquiry = models.Inquiry(issuer=name, usable=refusal is None, refusal=refusal)
            return use.answer(conn, answer_of(inquiry, 201))

        return await self._core.database.write(work)

    def expire(self, conn: Connection, order: str) -> None:
        """Ends an order whose quote has run out before anybody began to pay."""
        row = statements.one(conn, orders, lock=True, id=order)
        assert row is not None
        now = self._core.clock.now()
        if row.state == "quoted" and row.expires_at <= now:
            states.move(conn, machines.ORDER, order, "expired", actor="sweep", at=now)

    def _show(self, row: Row[Any]) -> models.Order:
        expired = row.state == "quoted" and row.expires_at <= self._core.clock.now()
        methods = [models.Method(key="card", name=CARD[0], summary=CARD[1], enabled=True, refusal=None)]
        for wallet in self._core.wallets.values():
            refusal = wallet.refusal(row.amount_fen)
            methods.append(
                models.Method(
                    key=f"wallet:{wallet.key}",
                    name=wallet.name,
                    summary=wallet.summary,
                    enabled=refusal is None,
                    refusal=refusal,
                )
            )
        return models.Order(
            order=row.id,
            number=row.number,
            service=wire.Service.model_validate_json(row.service),
            term=row.term,
            list_fen=row.list_fen,
            reduction_fen=row.reduction_fen,
            reduction_reason=None if row.reduction_reason is None else json.loads(row.reduction_reason),
            amount_fen=row.amount_fen,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            renews=row.renews,
            hotline=self._core.settings.hotline,
            expires_at=row.expires_at,
            seconds_left=max(0, math.floor((row.expires_at - self._core.clock.now()).total_seconds())),
            state=machines.ORDER_SHOWN["expired" if expired else row.state],
            methods=methods,
        )


def _kept(conn: Connection, box_number: str) -> tuple[Sequence[Any], datetime | None]:
    """The box's payments whose money is in, and of which BOSS has not said that it opened anything for them, newest
    first; and when the newest was paid for which it has."""
    mine = payments.c.box_number == box_number
    newest = payments.c.paid_at.desc()
    kept = select(payments.c.id, payments.c.paid_at, payments.c.amount_fen, payments.c.received_fen)
    rows = conn.execute(kept.where(mine & payments.c.state.in_(NOT_AT_BOSS)).order_by(newest)).all()
    opened = select(payments.c.paid_at).where(mine & (payments.c.state == "opened"))
    return rows, conn.execute(opened.order_by(newest).limit(1)).scalar_one_or_none()


def _paid_at(payment: Row[Any]) -> datetime:
    at: datetime = payment.paid_at
    return at
