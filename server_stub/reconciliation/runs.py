"""The runs of a role's reconciliations: wanted, begun, and what came of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, MetaData, Row, and_, func, select, update

from server_stub.foundation import statements
from server_stub.foundation.audit import canonical
from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import Ids
from server_stub.foundation.sentences import N_, Sentence, read, say
from server_stub.reconciliation import tables
from server_stub.reconciliation.break_rows import json_of
from server_stub.reconciliation.healing import Healed
from server_stub.reconciliation.records import BREAKS, SIDES, Cls, Difference, Totals, of_json

TOO_MANY = N_(
    "%(count)s differences were found; more than %(limit)s are not entered: perhaps this is another day's file, or another "
    "side's. Nothing was changed"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of differences that were entered, by how many breaks were newly opened, seen again, or known as decided."""

    opened: int = 0
    again: int = 0
    known: int = 0

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.opened + other.opened, self.again + other.again, self.known + other.known)


class Runs:
    """The runs of one role; ``Book`` has what they find too.

    Args:
        metadata: of the role; the table becomes part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.runs = tables.runs(metadata)

    def want(
        self,
        conn: Connection,
        ids: Ids,
        clock: Clock,
        pair: str,
        day: date,
        by: str,
        *,
        dry_run: bool = False,
    ) -> str:
        """Enters a run that is wanted; returns its id."""
        run = ids.row()
        values = {"id": run, "pair": pair, "day": day.isoformat(), "state": "wanted", "dry_run": dry_run}
        statements.insert(conn, self.runs, {**values, "wanted_by": by, "wanted_at": clock.now()})
        return run

    def begin(self, conn: Connection, clock: Clock, run: str) -> None:
        """The run goes on now, for the first time or once more; what it has entered before counts as its own."""
        values = {"state": "running", "begun_at": clock.now(), "step": "", "percent": 0}
        self._change(conn, run, **values, error=None, ended_at=None)

    def progress(self, conn: Connection, run: str, step: str, percent: int) -> None:
        """Where the run is, for those who look at it."""
        self._change(conn, run, step=step, percent=percent)

    def finish(
        self,
        conn: Connection,
        clock: Clock,
        run: str,
        *,
        here: Totals,
        there: Totals,
        counts: Mapping[Cls, tuple[int, int]],
        seen: Seen,
        closed: int = 0,
        healed: Sequence[Healed] = (),
        files: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """The run is done; what it has found stands."""
        values = _found(here, there, counts, files)
        values["healed"] = canonical({one.rule: asdict(one) for one in healed})
        values |= {"opened": seen.opened, "closed": closed}
        values |= {"state": "done", "ended_at": clock.now(), "step": "", "percent": 100}
        self._change(conn, run, **values)

    def stop(
        self,
        conn: Connection,
        clock: Clock,
        run: str,
        *,
        here: Totals,
        there: Totals,
        counts: Mapping[Cls, tuple[int, int]],
        limit: int,
        sample: Iterable[Difference],
        files: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """The run has found more than its pair may have: nothing of it is entered, but what it looks like is kept."""
        values = _found(here, there, counts, files)
        kept: list[dict[str, Any]] = [
            {"cls": one.cls, "key": one.key, "here": json_of(one.here), "there": json_of(one.there)}
            | {"fields": " ".join(one.fields), "line": one.line, "text": one.text.kept}
            for one in sample
        ]
        error = say(TOO_MANY, count=found_of(counts), limit=limit)
        values |= {"sample": json.dumps(kept, ensure_ascii=False), "state": "stopped", "error": error.kept}
        self._change(conn, run, **values, ended_at=clock.now(), step="", percent=100)

    def fail(
        self, conn: Connection, clock: Clock, run: str, error: Sentence, *, refused: bool = False
    ) -> None:
        """The run came to nothing: it failed and may be tried again, or a file was refused."""
        state = "refused" if refused else "failed"
        self._change(conn, run, state=state, error=error.kept, ended_at=clock.now())

    def newest(self) -> ColumnElement[bool]:
        """Whether a run is the last of its pair and day, not counting dry ones: what it says is what is known of the day."""
        later = self.runs.alias()
        same = and_(later.c.pair == self.runs.c.pair, later.c.day == self.runs.c.day, ~later.c.dry_run)
        return ~select(later.c.id).where(same, later.c.id > self.runs.c.id).exists()

    def last_run(self, conn: Connection, pair: str, day: date, *, state: str = "done") -> Row[Any] | None:
        """The latest run of a pair and day, not counting dry ones."""
        table = self.runs.c
        mine = and_(table.pair == pair, table.day == day.isoformat(), table.state == state, ~table.dry_run)
        return conn.execute(select(self.runs).where(mine).order_by(table.id.desc()).limit(1)).one_or_none()

    def last_compared(self, conn: Connection, pair: str) -> date | None:
        """The latest day of a pair that was compared, not counting dry runs."""
        table = self.runs.c
        done = and_(table.pair == pair, table.state == "done", ~table.dry_run)
        day = conn.scalar(select(func.max(table.day)).where(done))
        return None if day is None else date.fromisoformat(day)

    def _change(self, conn: Connection, run: str, **values: Any) -> None:
        conn.execute(update(self.runs).where(self.runs.c.id == run).values(**values))


def found_of(counts: Mapping[Cls, tuple[int, int]]) -> int:
    """How many differences a comparison has found."""
    return sum(count for cls, (count, _) in counts.items() if cls in BREAKS)


def sample_of(run: Row[Any]) -> list[Difference]:
    """What was kept of the differences of a run that was stopped; of others nothing."""
    found = []
    for one in json.loads(run.sample or "[]"):
        here, there = (None if one[side] is None else of_json(one[side]) for side in SIDES)
        told = tuple(one["fields"].split()), one["line"], read(one["text"])
        found.append(Difference(Cls(one["cls"]), one["key"], here, there, *told))
    return found


def counts_of(run: Row[Any]) -> dict[Cls, tuple[int, int]]:
    """Count and sum in fen of each class, as a run has found them; nothing, before it is done."""
    found = json.loads(run.counts or "{}")
    return {Cls(name): (count, fen) for name, (count, fen) in found.items()}


def _found(
    here: Totals, there: Totals, counts: Mapping[Cls, tuple[int, int]], files: Mapping[str, Any]
) -> dict[str, Any]:
    """What a comparison has found, as its run keeps it."""
    values: dict[str, Any] = {"here_count": here.count, "here_fen": here.fen}
    values |= {"there_count": there.count, "there_fen": there.fen, "files": canonical(dict(files))}
    values["counts"] = canonical({str(cls): list(found) for cls, found in counts.items()})
    return values
