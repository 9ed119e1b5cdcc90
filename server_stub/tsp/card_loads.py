"""Loading electronic cash: the issuer takes the money from the account, and its script puts it onto the card.

Only the card knows whether it has done what the script wants. Until its box has told, an approved load is unknown; what the
card has not done, and what PPP has not answered, is reversed until PPP has acknowledged that. A card that is never
seen again counts as one that has not done it, after so long as a payment is looked at before it becomes a case.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Row, select

from server_stub.foundation import statements, states
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.ids import number_of
from server_stub.foundation.iso8583 import Message
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.tsp import chip_data, machines, models
from server_stub.tsp.card import refuse_box
from server_stub.tsp.chip_data import ARQC
from server_stub.tsp.core import Core
from server_stub.tsp.envelopes import Envelopes
from server_stub.tsp.issuer_line import IssuerLine, kept_of, why
from server_stub.tsp.moves import LOAD_SCRIPT_RESULT, REVERSE_LOAD, SCRIPT_RESULT_REFUSED
from server_stub.tsp.online_card import OF_REVERSAL, OF_SCRIPT_RESULT, SCRIPT_RESULTS
from server_stub.tsp.pos import APPROVED, LOAD, MAC_REFUSED, NO_ANSWER, REVERSED, SYSTEM, Slip
from server_stub.tsp.ppp_line import Unanswered
from server_stub.tsp.tables import loads

SCRIPT_SUCCEEDED = 2
"""The first four bits of each five bytes of DF31."""
SILENCE = timedelta(seconds=60)
"""A load that PPP was asked for by a process that has died since."""
DISPUTED = "load-disputed"
"""A case, and the reason of its load: the card has the money, and the account has it back, or will."""
FORGOTTEN = timedelta(minutes=15)
"""So long after it was begun a card can be put in for it."""
BATCH = 50
T = TypeVar("T")
log = structlog.get_logger(__name__)


class CardLoads:
    """The steps of a load."""

    def __init__(self, parts: Core, envelopes: Envelopes, line: IssuerLine) -> None:
        self._core = parts
        self._envelopes = envelopes
        self._line = line

    async def begin(self, box_number: str, amount_fen: int, use: KeyUse) -> Answer:
        """A load with a name, so that a card's data can be sealed for it. Raises Problem ``method-not-offered``."""
        _ = self._line.pos
        identity = self._core.ids.row()

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            refuse_box(conn, self._core, box_number)
            values = {"id": identity, "box_number": box_number, "amount_fen": amount_fen, "state": "created"}
            values["number"] = number_of(identity).replace(" ", "")
            statements.insert(conn, loads, {**values, "created_at": self._core.clock.now()})
            return use.answer(conn, answer_of(_view(_load(conn, identity)), 201))

        return await self._core.database.write(work)

    async def look(self, box_number: str, load: str) -> models.Load:
        """A load of this box. Raises Problem ``not-found``."""
        return await self._core.database.look(lambda conn: _view(_find(conn, box_number, load)))

    async def authorise(
        self, box_number: str, load: str, body: models.LoadAuthorisationRequest, use: KeyUse
    ) -> Answer:
        """Asks PPP. That the load is unknown from here on is on the disk before anything leaves.

        Raises:
            Problem: ``bad-request``, ``method-not-offered``, ``wrong-state``, ``ppp-unreachable``: nothing has left.
        """
        pos = self._line.pos
        opened = await self._envelopes.opened(body.envelope, load)
        async with self._core.locks.hold(load):
            keys = await self._line.keys()

            def begin(conn: Connection) -> tuple[Row[Any], Slip]:
                use.recall(conn)
                row = _find(conn, box_number, load)
                now = self._core.clock.now()
                if row.state != "created" or row.created_at < now - FORGOTTEN:
                    raise Problem("wrong-state", money=machines.LOAD_SHOWN[row.state][1])
                chip_data.expect(body.chip, row.amount_fen, ARQC)
                refuse_box(conn, self._core, box_number)
                slip, card = pos.slip(conn), opened.card
                values = {"card_masked": card.masked, "card_fingerprint": card.fingerprint}
                values |= {"batch": slip.batch, "stan": slip.stan, "chip": body.chip}
                kept = {**values, "balance_before_fen": body.balance_before_fen, "asked_at": now}
                self._move(conn, row, "authorising", actor="box", **kept)
                return _load(conn, load), slip

            row, slip = await self._core.database.write(begin)
            said = await self._line.ask(slip, keys, row.amount_fen, opened, load, body.chip, LOAD)

            def end(conn: Connection) -> Answer:
                use.claim(conn)
                self._answered(conn, _load(conn, load), said)
                now_row = _load(conn, load)
                return use.answer(
                    conn,
                    answer_of(
                        models.LoadAuthorisation(
                            load=_view(now_row),
                            response_code=now_row.response_code,
                            chip=now_row.chip_answer or None,
                        )
                    ),
                )

            return await self._write(end)

    async def complete(self, box_number: str, load: str, body: models.LoadCompletion, use: KeyUse) -> Answer:
        """What the card has done: the money is on it, or what was booked is reversed. A load that PPP was not asked for is
        over then, and one whose answer never came here is undone; its card has heard nothing.

        Raises:
            Problem: ``bad-request``.
        """
        results = (
            b"" if body.chip is None else chip_data.objects(body.chip, "unknown").get(SCRIPT_RESULTS, b"")
        )

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            row = _find(conn, box_number, load)
            there = body.logged or (bool(results) and _done(results)) or _rose(conn, row, body.balance_fen)
            values = {"balance_after_fen": body.balance_fen}
            if row.state == "authorised" and there:
                self._move(conn, row, "loaded", actor="card", **values, chip_end=body.chip)
                if results:
                    self._core.outbox.put(
                        conn, LOAD_SCRIPT_RESULT, self._slip_of(conn, row), of=row.correlation
                    )
            elif row.state == "authorised":
                reason = "card-removed" if body.chip is None else "declined-by-card"
                code = NO_ANSWER if body.chip is None else SYSTEM
                self._reverse(conn, row, code, reason, **values, chip_end=body.chip)
            elif row.state == "created" and not body.logged:
                # Its box has given up: what it has sent before and comes later is refused.
                self._move(conn, row, "failed", actor="box", reason="tsp-unreachable", **values)
            elif row.state == "authorising" and not there:
                self._reverse(conn, row, NO_ANSWER, "ppp-silent", **values)
            elif row.state in ("created", "authorising") or (
                row.state in ("reversing", "failed") and there and row.response_code == APPROVED
            ):
                log.error(DISPUTED, load=load, balance_fen=body.balance_fen)
                self._move(conn, row, "disputed", actor="card", reason=DISPUTED, **values)
                self._core.load_case(
                    conn, load, DISPUTED, balance_fen=body.balance_fen, reversal=_reversal(row)
                )
            return use.answer(conn, answer_of(_view(_load(conn, load))))

        async with self._core.locks.hold(load):
            return await self._write(work)

    async def sweep(self) -> str:
        """Reverses what nobody has brought to its end in its time; says how many."""
        now = self._core.clock.now()
        patience = timedelta(seconds=sum(self._core.settings.unknown_schedule))
        due = {"authorising": now - SILENCE, "authorised": now - patience}

        def work(conn: Connection) -> int:
            count = 0
            for state, before in due.items():
                query = select(loads).where(loads.c.state == state, loads.c.asked_at <= before).limit(BATCH)
                for row in conn.execute(query).all():
                    reason = "ppp-silent" if state == "authorising" else "card-away"
                    self._reverse(conn, row, NO_ANSWER, reason)
                    count += 1
            return count

        return f"{await self._write(work)} reversed"

    async def reverse(self, payload: dict[str, Any]) -> Acknowledged:
        """What the outbox delivers. Raises Unanswered: also where PPP does not acknowledge it; it is told again."""
        load = payload["load"]
        row = await self._core.database.look(lambda conn: _load(conn, load))
        if row.state != "reversing":
            return Acknowledged()
        chip = chip_data.only(row.chip_end or row.chip, OF_REVERSAL)
        slip = Slip(row.batch, row.stan)
        said = await self._line.pos.reverse(slip, row.amount_fen, row.reversal_reason, chip, LOAD)
        code = said.text(39)
        if code not in REVERSED:
            raise Unanswered(f"the reversal was answered {code}", sent=True)

        def change(conn: Connection) -> None:
            now_row = _load(conn, load)
            if now_row.state == "reversing":
                values = {"reversal_code": code, "reversed_at": self._core.clock.now()}
                self._move(conn, now_row, "failed", actor="ppp", **values)

        return Acknowledged(change)

    async def tell_script_result(self, payload: dict[str, Any]) -> Acknowledged:
        """What the outbox delivers. Raises Unanswered."""
        load, slip = payload["load"], Slip(payload["batch"], payload["stan"])
        row = await self._core.database.look(lambda conn: _load(conn, load))
        chip = chip_data.only(row.chip_end, OF_SCRIPT_RESULT)
        code = (await self._line.pos.script_result(slip, Slip(row.batch, row.stan), chip)).text(39)
        if code == MAC_REFUSED:
            raise Unanswered("PPP takes no MAC of the script result", sent=True)
        if code != APPROVED:
            log.warning(SCRIPT_RESULT_REFUSED, load=load, code=code)

        def change(conn: Connection) -> None:
            _keep(conn, load, script_code=code)
            if code != APPROVED:
                self._core.load_case(conn, load, SCRIPT_RESULT_REFUSED, code=code)

        return Acknowledged(change)

    def _answered(self, conn: Connection, row: Row[Any], said: Message | None) -> None:
        """What PPP has said, or that it has not, is kept; the sweep may have been quicker."""
        if said is None:
            if row.state == "authorising":
                self._reverse(conn, row, NO_ANSWER, "ppp-silent")
            return
        values = kept_of(said, self._core.clock.now())
        if row.state != "authorising":
            _keep(conn, row.id, **values)
            return
        code = said.text(39)
        target, reason = ("authorised", None) if code == APPROVED else ("failed", why(code))
        self._move(conn, row, target, actor="ppp", **values, reason=reason)

    def _reverse(self, conn: Connection, row: Row[Any], code: str, reason: str, **values: Any) -> None:
        """Owes PPP a reversal, from the same moment on.

        Args:
            code: bit 39 of it.
            reason: what the subscriber is told.
        """
        self._move(conn, row, "reversing", actor="tsp", reason=reason, reversal_reason=code, **values)
        self._core.outbox.put(conn, REVERSE_LOAD, {"load": row.id}, of=row.correlation)

    def _move(self, conn: Connection, row: Row[Any], target: str, *, actor: str, **values: Any) -> None:
        now = self._core.clock.now()
        states.move(conn, machines.LOAD, row.id, target, actor=actor, at=now, seen=row, **values)

    def _slip_of(self, conn: Connection, row: Row[Any]) -> dict[str, str]:
        slip = self._line.pos.slip(conn)
        return {"load": row.id, "batch": slip.batch, "stan": slip.stan}

    async def _write(self, work: Callable[[Connection], T]) -> T:
        done = await states.write(self._core.database, work)
        self._core.outbox.worker.kick()
        return done


def latest(conn: Connection, box_number: str, most: int) -> list[models.Load]:
    """The last loads of a box that PPP was asked for, newest first."""
    mine = select(loads).where(loads.c.box_number == box_number, loads.c.asked_at.is_not(None))
    newest = mine.order_by(loads.c.created_at.desc(), loads.c.id.desc()).limit(most)
    return [_view(row) for row in conn.execute(newest)]


def _find(conn: Connection, box_number: str, load: str) -> Row[Any]:
    row = statements.one(conn, loads, lock=True, id=load, box_number=box_number)
    if row is None:
        raise Problem("not-found")
    return row


def _load(conn: Connection, load: str) -> Row[Any]:
    row = statements.one(conn, loads, lock=True, id=load)
    assert row is not None
    return row


def _keep(conn: Connection, load: str, **values: Any) -> None:
    statements.change(conn, loads, values, id=load)


def _rose(conn: Connection, row: Row[Any], balance_fen: int) -> bool:
    """Whether the card's balance tells that it has done the script; none does once it was asked for another load."""
    if row.asked_at is None or balance_fen != row.balance_before_fen + row.amount_fen:
        return False
    others = (loads.c.card_fingerprint == row.card_fingerprint) & (loads.c.id != row.id)
    since = loads.c.asked_at >= row.asked_at
    return conn.execute(select(loads.c.id).where(others & since).limit(1)).first() is None


def _reversal(row: Row[Any]) -> str:
    """What PPP has said to the reversal of a load, for a person."""
    return "none" if row.reversal_reason is None else row.reversal_code or "unanswered"


def _done(results: bytes) -> bool:
    """Whether DF31 tells of success only."""
    return len(results) % 5 == 0 and all(
        results[at] >> 4 == SCRIPT_SUCCEEDED for at in range(0, len(results), 5)
    )


def _time(row: Row[Any]) -> datetime:
    return row.answered_at or row.created_at  # type: ignore[no-any-return]


def _view(row: Row[Any]) -> models.Load:
    state, money = machines.LOAD_SHOWN[row.state]
    card = None
    if row.card_masked is not None:
        card = models.CardSummary(
            kind="electronic-cash",
            number=row.card_masked,
            balance_before_fen=row.balance_before_fen,
            balance_after_fen=row.balance_after_fen,
        )
    return models.Load(
        load=row.id,
        number=number_of(row.id),
        amount_fen=row.amount_fen,
        time=_time(row),
        state=state,
        money=money,
        reason=row.reason,
        card=card,
        version=row.version,
    )
