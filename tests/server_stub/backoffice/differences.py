"""Made-up mornings: a month of comparisons, and differences of every class, entered as a run enters them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import chain, islice
from typing import Any, NamedTuple

from sqlalchemy import Connection

from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import Ids
from server_stub.foundation.purse_details import DETAILS
from server_stub.foundation.sentences import say
from server_stub.reconciliation.actions import Action
from server_stub.reconciliation.healing import Tally
from server_stub.reconciliation.records import Cls, Difference, Record, Totals
from server_stub.reconciliation.runs import Seen
from server_stub.tsp import books
from server_stub.tsp.tables import book, upload_days

OPENED_LATE = timedelta(days=1)
INVENTED = ((1_000, "kids"), (11_800, "movies"), (2_900, "music"), (3_000, "sports"))
"""Amount and service of payments that nobody has made."""


def record(key: str, fen: int, status: str, day: date, currency: str = "CNY", **note: str) -> Record:
    """As one book has it; what else it says as JSON."""
    return Record(key, fen, currency, status, day, json.dumps(note) if note else "")


def note_of(payment: Any, box: str, number: str, method: str) -> dict[str, str]:
    """What our record says of its payment."""
    return {"payment": payment, "number": number, "box": box, "method": method}


class Ours(NamedTuple):
    """A payment of ours, as both books may know it.

    Attributes:
        note: what our record says of it; ``order`` and ``service`` stand in theirs.
    """

    note: Mapping[str, str]
    fen: int
    order: str
    service: str


def every_class(day: date, payments: Iterable[Ours] = ()) -> list[Difference]:
    """One difference of each class; the first are about payments of ours."""
    invented = (
        Ours(
            note_of(f"01KVP7C{number}000000000000000000", "85312048", f"4C7F 20A{number}", "wallet:demo"),
            fen,
            f"01KVP7B{number}ZC",
            service,
        )
        for number, (fen, service) in enumerate(INVENTED)
    )
    mine = list(islice(chain(payments, invented), len(INVENTED)))
    known = {one.note["payment"]: one for one in mine}

    def ours(one: Ours, status: str) -> Record:
        return record(one.note["payment"], one.fen, status, day, **one.note)

    def theirs(one: Record, **changed: Any) -> Record:
        other = known.get(one.key)
        note = {"order": other.order, "box": other.note["box"], "service": other.service} if other else {}
        return replace(one, note=json.dumps(note) if note else "", **changed)

    lost, less, back, told = (
        ours(one, status) for one, status in zip(mine, ("opened", "opened", "opened", "paid"), strict=True)
    )
    foreign = record("01KVP7C2QW8H2N4M6R8T0V2X4Z", 4_500, "opened", day)
    twice = record("88310001-000042-000113", 9_900, "settled", day)
    late = record("88310001-000042-000117", 12_800, "settled", day)
    more = record("01KVP7CTWGVA0000000000Q9HD", 6_600, "opened", day)
    return [
        Difference(Cls.MISSING_THERE, lost.key, lost, None),
        Difference(Cls.AMOUNT, less.key, less, theirs(less, amount_fen=less.amount_fen - 1_000), ("amount_fen",)),
        Difference(Cls.REVERSED, back.key, back, theirs(back, status="returned"), ("status",)),
        Difference(Cls.STATUS, told.key, told, theirs(told, status="opened"), ("status",)),
        Difference(Cls.CURRENCY, foreign.key, foreign, theirs(foreign, currency="USD"), ("currency",)),
        Difference(Cls.DUPLICATE_HERE, more.key, more, theirs(more), (), None, say("%(count)s times", count=2)),
        Difference(Cls.DUPLICATE_THERE, twice.key, twice, theirs(twice), (), None, say("%(count)s times", count=3)),
        Difference(Cls.MISSING_HERE, "01KVP7D3XK5J0000000000A7ZQ", None, theirs(record("01KVP7D3XK5J0000000000A7ZQ", 3_000, "opened", day))),
        Difference(Cls.OTHER_DAY, late.key, late, theirs(late, day=day + OPENED_LATE), ("day",)),
        Difference(
            Cls.MALFORMED,
            "line 17 there",
            None,
            None,
            (),
            17,
            say(
                "%(file)s, line %(line)s: %(why)s: %(text)s",
                file=f"DZMX{day:%Y%m%d}.TXT",
                line=17,
                why=say("%(column)s is '%(text)s', not a whole number", column="amount", text="12,80"),
                text=f"D|01KVP7|12,80|CNY|opened|{day:%Y%m%d}",
            ),
        ),
    ]  # fmt: skip


def compared(
    conn: Connection,
    ids: Ids,
    clock: Clock,
    day: date,
    differences: Iterable[Difference] = (),
    *,
    actions: Mapping[str, Action] | None = None,
    pair: str = "boss",
    here: Totals = Totals(3, 14_700),
    there: Totals = Totals(3, 14_700),
    by: str = "server",
    dry_run: bool = False,
    tally: Tally | None = None,
) -> str:
    """A run of a day that is done; returns its id.

    Args:
        tally: of its rules, counted already or, with ``actions``, to be counted and carried out.
    """
    run = book.want(conn, ids, clock, pair, day, by, dry_run=dry_run)
    book.begin(conn, clock, run)
    found = list(differences)
    dry: dict[str, Any] = {"tally": tally, "actions": actions} if dry_run and actions is not None else {}
    seen = book.see(conn, ids, clock, run, found, **dry) if found else Seen()
    if tally is not None and actions is not None and not dry_run:
        book.fits(conn, run, tally, actions)
        book.heal(conn, clock, run, tally, actions)
    counts: dict[Cls, tuple[int, int]] = {Cls.MATCHED: (here.count, here.fen)} if here.count else {}
    for one in found:
        count, fen = counts.get(one.cls, (0, 0))
        sides = [side.amount_fen for side in (one.here, one.there) if side is not None]
        counts[one.cls] = (count + 1, fen + max(sides, default=0))
    healed = () if tally is None else tally.outcome()
    told = {"there": {"name": f"DZMX/DZMX{day:%Y%m%d}.TXT", "version": 1, "id": "none"}}
    book.finish(conn, clock, run, here=here, there=there, counts=counts, seen=seen, healed=healed, files=told)
    return run


def month(conn: Connection, ids: Ids, clock: Clock, last: date, pair: str) -> None:
    """Thirty days before a day: most agree, some have differences, two were not compared."""
    for away in range(30, 0, -1):
        day = last - timedelta(days=away)
        count = 260 + (away * 53) % 140 + (70 if day.weekday() > 4 else 0)
        fen = count * (4_100 + (away * 379) % 900)
        if away in (9, 21):
            run = book.want(conn, ids, clock, pair, day, "server")
            name = f"DZMX/DZMX{day:%Y%m%d}.TXT"
            why = say("no file %(name)s of %(partner)s is here", name=name, partner=pair)
            if away == 9:
                why = say(
                    "%(file)s: %(why)s",
                    file=name,
                    why=say(
                        "it declares %(declared)s records; there are %(found)s",
                        declared=count,
                        found=count - 1,
                    ),
                )
            book.fail(conn, clock, run, why, refused=away == 9)
            continue
        some = away % 4 == 0 or away in (3, 13)
        counts: dict[Cls, tuple[int, int]] = {Cls.MATCHED: (count, fen)}
        if some:
            counts[Cls.MISSING_THERE] = (away % 5 + 1, 11_800)
            counts[Cls.OTHER_DAY] = (away % 3 + 1, 4_000)
        if away in (8, 13):
            counts[Cls.AMOUNT] = (away * 2, 52_000)
            counts[Cls.MALFORMED] = (1, 0)
        if away == 13:
            counts[Cls.MISSING_HERE] = (1_240, 4_800_000)
        run = book.want(conn, ids, clock, pair, day, "server")
        book.begin(conn, clock, run)
        off = 11_800 * (away % 5 + 1) if some else 0
        more = 4_800_000 if away == 13 else 0
        here, there = Totals(count, fen), Totals(count - (1 if some else 0), fen - off + more)
        book.finish(conn, clock, run, here=here, there=there, counts=counts, seen=Seen())


def told_days(conn: Connection, clock: Clock, last: date) -> set[str]:
    """A week of days at UnionPay, up to a day; which."""
    now, told_of = clock.now(), set()
    for away in range(7):
        day, count = last - timedelta(days=away), 120 + (away * 37) % 60
        row = {"day": day.isoformat(), "count": count, "fen": count * 3_350, "made_at": now}
        row["state"] = {0: "made", 1: "sent"}.get(away, "answered")
        if away:
            row["sent_at"] = now
        if row["state"] == "answered":
            refused = 2 if away == 4 else 0
            told = {"accepted_count": count - refused, "accepted_fen": (count - refused) * 3_350}
            row |= {**told, "refused_count": refused, "answered_at": now}
            books.settled(conn, f"{DETAILS} {day}", told["accepted_fen"], now)
        # The server may have made one of them itself.
        if not statements.insert_once(conn, upload_days, row):
            statements.change(conn, upload_days, row, day=row["day"])
        told_of.add(day.isoformat())
    return told_of
