"""Business days that are to be told again: something that was told of them is otherwise now.

Whoever changes it notes that in the same transaction. Notes are only added and taken away, so nobody waits for anybody, and one that
is made while its day is being told stays for the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import Column, Connection, MetaData, Table, delete, select

from server_stub.foundation import statements
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.database import Instant, Whole

AT_ONCE = 500
"""Notes in one statement."""


class ChangedDays:
    """The notes of one role.

    Args:
        metadata: of the role; the table becomes part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.notes = Table(
            "changed_days",
            metadata,
            Column("id", Whole, primary_key=True, autoincrement=True),
            Column("at", Instant, nullable=False),  # an instant of the day
        )

    def note(self, conn: Connection, at: datetime) -> None:
        """What an instant has brought is otherwise now: its day is to be told again."""
        statements.insert(conn, self.notes, {"at": at})

    def days(self, conn: Connection, calendar: Calendar) -> dict[date, list[int]]:
        """The days that were noted, with the notes of each, for ``forget``."""
        found: dict[date, list[int]] = defaultdict(list)
        for row in conn.execute(select(self.notes)):
            found[calendar.day_of(row.at)].append(row.id)
        return dict(found)

    def forget(self, conn: Connection, notes: Iterable[int]) -> None:
        """Their day was told as it was after them."""
        ids = list(notes)
        for start in range(0, len(ids), AT_ONCE):
            conn.execute(delete(self.notes).where(self.notes.c.id.in_(ids[start : start + AT_ONCE])))
