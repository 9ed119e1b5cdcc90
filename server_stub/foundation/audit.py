"""Audit log: who did what by hand, and what was refused, in records that are chained by hash.

Each record has the hash of the one before. Triggers let only the next record in and no other change. Whoever goes
round them is found: a record that was changed, taken out, put in or moved does not fit to its neighbours, and one cut
off at the end does not fit to the head, or, where the head was changed too, to a hash somebody wrote down elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    event,
    insert,
    inspect,
    literal_column,
    select,
)

from server_stub.foundation import postgresql, statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database, Instant, Whole, left_for_later

NOTHING = "0" * 64
"""What the first record has for the hash of the one before."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at a whole chain found.

    Attributes:
        count: records that fit.
        last: hash of the last of them.
        fault: the first thing that does not fit; None: all is as it was written.
    """

    count: int
    last: str
    fault: str | None


class Head(NamedTuple):
    """The last record."""

    sequence: int
    hash: str


def canonical(facts: Mapping[str, Any]) -> str:
    """JSON that is the same for the same facts: sorted names, no spaces.

    >>> canonical({"b": 1, "a": "张"})
    '{"a":"张","b":1}'
    """
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def record_hash(
    sequence: int, at: datetime, actor: str, action: str, subject: str, facts: str, previous: str
) -> str:
    """SHA-256 over the canonical JSON of a record, in which the time is microseconds since 1970."""
    return _hash(sequence, round(at.timestamp() * 1_000_000), actor, action, subject, facts, previous)


def _hash(
    sequence: int, microseconds: int, actor: str, action: str, subject: str, facts: str, previous: str
) -> str:
    record = {"sequence": sequence, "at": microseconds, "actor": actor, "action": action}
    text = canonical({**record, "subject": subject, "facts": facts, "previous": previous})
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Audit:
    """The audit log of one role.

    Args:
        metadata: of the role; the tables become part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.records = Table(
            "audit_log",
            metadata,
            Column("sequence", Whole, primary_key=True, autoincrement=False),
            Column("at", Instant, nullable=False),
            Column("actor", String, nullable=False),
            Column("action", String, nullable=False),
            Column("subject", String, nullable=False),
            Column("facts", String, nullable=False),  # canonical JSON, without secrets
            Column("previous", String, nullable=False),
            Column("hash", String, nullable=False),
        )
        self.head = Table(
            "audit_head",
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),  # 1
            Column("sequence", Whole, nullable=False),
            Column("hash", String, nullable=False),
        )
        metadata.info["audit"] = self
        event.listen(metadata, "after_create", self._made)

    def append(
        self, conn: Connection, clock: Clock, actor: str, action: str, subject: str, **facts: Any
    ) -> Head:
        """Writes a record in the caller's transaction; until that ends, others wait to write theirs.

        Args:
            actor: who did it: a person's name, ``box``, ``server`` ...
            action: what: ``box-suspended`` ...
            subject: what it was done to.
            facts: what else matters, for JSON; no secrets, no card numbers.

        Returns:
            what is the head now.
        """
        head = conn.execute(select(self.head).with_for_update()).one()
        at, text = clock.now(), canonical(facts)
        sequence = head.sequence + 1
        values = {"sequence": sequence, "at": at, "actor": actor, "action": action, "subject": subject}
        made = record_hash(sequence, at, actor, action, subject, text, head.hash)
        conn.execute(insert(self.records).values(**values, facts=text, previous=head.hash, hash=made))
        return Head(sequence, made)

    def note_start(self, database: Database, clock: Clock, role: str, **facts: Any) -> None:
        """A role begins. The log has the head then, out of reach of whoever owns the database. Raises CannotStart."""
        self._tell(role, database.load(self._life(clock, "started", role, facts)))

    def note_stop(self, database: Database, clock: Clock, role: str, **facts: Any) -> None:
        """A role ends, and the log has the head; a database that is away, or has no room, hears nothing of it."""
        with left_for_later("audit record of the stop"):
            self._tell(role, database.submit(self._life(clock, "stopped", role, facts)).result())

    def _life(
        self, clock: Clock, action: str, role: str, facts: Mapping[str, Any]
    ) -> Callable[[Connection], Head]:
        return lambda conn: self.append(conn, clock, "server", action, role, **facts)

    def _tell(self, role: str, head: Head) -> None:
        log.info("audit-head", role=role, record=head.sequence, hash=head.hash)

    def verify(
        self,
        conn: Connection,
        head: str | None = None,
        progress: Callable[[int], object] = lambda count: None,
    ) -> Verdict:
        """Goes through the whole chain.

        Args:
            head: hash of a record that must be in it, as somebody wrote it down; None: the head row must do.
            progress: told now and then how many records have fitted so far.
        """
        there = inspect(conn).get_table_names()
        for table in (self.records, self.head):
            if table.name not in there:
                return Verdict(0, NOTHING, f"table {table.name} is missing")
        # As they stand there: a record in which something odd was written was changed.
        columns: Any = (literal_column(column.name).label(column.name) for column in self.records.columns)
        query = select(*columns).select_from(self.records).order_by(literal_column("sequence"))
        count, last, found = 0, NOTHING, head in (None, NOTHING)
        for row in conn.execute(query, execution_options={"yield_per": 1000}):
            if row.sequence != count + 1:
                return Verdict(count, last, f"record {count + 1} is missing")
            if row.previous != last:
                said = f"record {row.sequence} does not follow the one before it"
                return Verdict(count, last, said)
            told = (row.at, row.actor, row.action, row.subject, row.facts, row.previous)
            if any(isinstance(one, bytes) for one in told) or row.hash != _hash(row.sequence, *told):
                return Verdict(count, last, f"record {row.sequence} was changed")
            count, last = row.sequence, row.hash
            found = found or last == head
            if not count % 1000:
                progress(count)
        kept = conn.execute(select(self.head)).one_or_none()
        if kept is None or (kept.sequence, kept.hash) != (count, last):
            said = "is missing" if kept is None else f"is record {kept.sequence}, the last one is {count}"
            return Verdict(count, last, f"the head {said}: records were cut off or added at the end")
        if not count:
            return Verdict(count, last, "it is empty: the first record is of the making of the tables")
        if not found:
            return Verdict(count, last, "no record has the given hash: records were cut off at the end")
        return Verdict(count, last, None)

    def _made(self, target: Any, conn: Connection, **told: Any) -> None:
        if self.head in (told.get("tables") or ()):
            make_triggers(conn)
            make_guards(conn)
            postgresql.pin_functions(conn)


def make_guards(conn: Connection) -> None:
    """Makes what keeps hands off the head; revision ``guards`` of every role with an audit log runs this."""
    for statement in GUARDS[conn.dialect.name]:
        conn.exec_driver_sql(statement)


def make_triggers(conn: Connection) -> None:
    """Makes the first head and what guards the tables; the revision that makes these runs it."""
    head = Table(
        "audit_head", MetaData(), Column("id", Integer), Column("sequence", Integer), Column("hash", String)
    )
    statements.insert_once(conn, head, {"id": 1, "sequence": 0, "hash": NOTHING})
    for statement in TRIGGERS[conn.dialect.name]:
        conn.exec_driver_sql(statement)


_NO_CHANGE = "the audit log is never changed"
# No percent signs: the driver would take them for places of parameters.
TRIGGERS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        """CREATE TRIGGER audit_written AFTER INSERT ON audit_log BEGIN
            SELECT RAISE(ABORT, 'this is not the next record') WHERE NOT EXISTS
                (SELECT 1 FROM audit_head WHERE sequence = NEW.sequence - 1 AND hash = NEW.previous);
            UPDATE audit_head SET sequence = NEW.sequence, hash = NEW.hash;
        END""",
        *(
            f"CREATE TRIGGER audit_log_no_{verb} BEFORE {verb} ON audit_log"
            f" BEGIN SELECT RAISE(ABORT, '{_NO_CHANGE}'); END"
            for verb in ("UPDATE", "DELETE")
        ),
    ),
    "postgresql": (
        """CREATE FUNCTION audit_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE audit_head SET sequence = NEW.sequence, hash = NEW.hash
                WHERE sequence = NEW.sequence - 1 AND hash = NEW.previous;
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'this is not the next record';
            END IF;
            RETURN NULL;
        END $$""",
        f"""CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_NO_CHANGE}';
        END $$""",
        "CREATE TRIGGER audit_written AFTER INSERT ON audit_log"
        " FOR EACH ROW EXECUTE FUNCTION audit_written()",
        "CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_stands()",
    ),
}
"""By dialect."""
GUARDS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        f"""CREATE TRIGGER audit_head_moved BEFORE UPDATE ON audit_head BEGIN
            SELECT RAISE(ABORT, '{_NO_CHANGE}') WHERE NEW.id <> OLD.id OR NOT EXISTS
                (SELECT 1 FROM audit_log WHERE sequence = NEW.sequence AND hash = NEW.hash
                    AND sequence = OLD.sequence + 1 AND previous = OLD.hash);
        END""",
        *(
            f"CREATE TRIGGER audit_head_no_{verb} BEFORE {verb} ON audit_head"
            f" BEGIN SELECT RAISE(ABORT, '{_NO_CHANGE}'); END"
            for verb in ("INSERT", "DELETE")
        ),
    ),
    "postgresql": (
        f"""CREATE FUNCTION audit_head_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id <> OLD.id OR NOT EXISTS
                    (SELECT 1 FROM audit_log WHERE sequence = NEW.sequence AND hash = NEW.hash
                        AND sequence = OLD.sequence + 1 AND previous = OLD.hash) THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_NO_CHANGE}';
            END IF;
            RETURN NEW;
        END $$""",
        "CREATE TRIGGER audit_head_moved BEFORE UPDATE ON audit_head"
        " FOR EACH ROW EXECUTE FUNCTION audit_head_moved()",
        "CREATE TRIGGER audit_head_stands BEFORE INSERT OR DELETE OR TRUNCATE ON audit_head"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_stands()",
    ),
}
"""By dialect: what keeps hands off the head, which goes on with the next record and otherwise stays."""
