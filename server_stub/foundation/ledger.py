"""Double-entry ledger in integer fen: the database itself refuses what does not balance, and changes to what stands.

A journal is a balanced set of entries with its cause. Its entries are inserted first, the journal last; what the
database's triggers then refuse: a journal whose entries do not add up to zero or are fewer than two, an entry for a
journal that stands, any change or deletion. Entries without their journal, or of one that another transaction has made
meanwhile, fail at the commit. Balances are kept by the same triggers, and by nothing else: each knows the entry that moved
it last, and none moves it twice. Debits are positive, credits negative.

LedgerError                what cannot be booked; nothing was
├── NotBookable            the database has refused it: no such account, or it does not balance
└── JournalClash           another journal of that kind, reference and step stands
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from server_stub.foundation import correlation, postgresql, statements
from server_stub.foundation.database import Fen, Instant
from server_stub.foundation.money import yuan

Kind = Literal["asset", "liability", "income", "expense", "memorandum"]
PARTS = 16
"""Parts of every account: payments that are booked in different ones do not wait for each other. Never changed."""
MOST_ENTRY_FEN = 2**40
"""Far more than any payment; of eight million such entries the sum still has its 64 bits."""


class LedgerError(Exception):
    """The root."""


class NotBookable(LedgerError):
    """The database has refused a journal."""


class JournalClash(LedgerError):
    """A journal of that kind, reference and step stands, with other entries."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the chart; its name is what entries name it by."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: debits are positive, credits negative; never zero."""

    account: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Journal:
    """A balanced set of entries and its cause.

    Args:
        kind: what has happened.
        reference: id of the payment or order it happened to.
        step: tells journals of one kind and reference apart, where that can happen more than once.
        actor: who or what caused it.
        of: correlation id of the cause; None: of what is being done now.
    """

    kind: str
    reference: str
    actor: str
    at: datetime
    entries: tuple[Entry, ...]
    of: str | None = None
    step: int = 0

    @property
    def id(self) -> str:
        """Begins with the reference, which is ordered by time: an index grows at its end."""
        return f"{self.reference} {self.step} {self.kind}"


def part_of(reference: str) -> int:
    """Which part of all accounts a payment is booked in.

    >>> part_of("01JZ")
    15
    """
    return zlib.crc32(reference.encode()) % PARTS


class Ledger:
    """The ledger of one role.

    Args:
        metadata: of the role; the tables become part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.accounts = Table(
            "ledger_accounts",
            metadata,
            Column("name", String, primary_key=True),
            Column("kind", String, nullable=False),
        )
        self.balances = Table(
            "ledger_balances",
            metadata,
            Column("account", ForeignKey("ledger_accounts.name"), primary_key=True),
            Column("part", Integer, primary_key=True, autoincrement=False),
            Column("balance_fen", Fen, nullable=False),
            # The entry that moved it last; no key, for the journal comes after its entries.
            Column("last_journal", String),
            Column("last_line", Integer),
        )
        self.journals = Table(
            "ledger_journals",
            metadata,
            Column("id", String, primary_key=True),
            Column("kind", String, nullable=False),
            Column("reference", String, nullable=False),
            Column("step", Integer, nullable=False),
            Column("actor", String, nullable=False),
            Column("at", Instant, nullable=False),
            correlation.column(),
            UniqueConstraint("reference", "step", "kind", name="one_journal_of_a_kind"),
        )
        self.entries = Table(
            "ledger_entries",
            metadata,
            Column(
                "journal",
                ForeignKey("ledger_journals.id", deferrable=True, initially="DEFERRED"),
                primary_key=True,
            ),
            Column("line", Integer, primary_key=True, autoincrement=False),
            Column("account", String, nullable=False),
            Column("part", Integer, nullable=False),
            Column("amount_fen", Fen, nullable=False),
            CheckConstraint("amount_fen <> 0", name="an_entry_moves_something"),
        )
        # To explain a balance: the entries of one account, without reading all others.
        Index("ledger_entries_of_account", self.entries.c.account, self.entries.c.part)
        event.listen(metadata, "after_create", self._made)

    def open_accounts(self, conn: Connection, accounts: Iterable[Account]) -> None:
        """Opens accounts; those that are open stay as they are."""
        there = set(conn.execute(select(self.accounts.c.name)).scalars())
        for account in accounts:
            if account.name in there:
                continue
            if statements.insert_once(conn, self.accounts, {"name": account.name, "kind": account.kind}):
                rows = [{"account": account.name, "part": part, "balance_fen": 0} for part in range(PARTS)]
                conn.execute(insert(self.balances), rows)

    def steps(self, conn: Connection, kind: str, reference: str) -> int:
        """How many journals of a kind a reference has: the step of the next one, for whoever has the cause locked."""
        mine = (self.journals.c.kind == kind) & (self.journals.c.reference == reference)
        return int(conn.execute(select(func.count()).select_from(self.journals).where(mine)).scalar_one())

    def post(self, conn: Connection, journal: Journal) -> bool:
        """Books a journal in the caller's transaction; the same once more changes nothing.

        Returns:
            whether it was booked now.

        Raises:
            JournalClash: one of that kind, reference and step stands, with other entries.
            NotBookable: the entries do not add up to zero, or are fewer than two, or one is of no account.
        """
        # All lock balances in one order, so that no two wait for each other.
        lines = sorted((entry.account, entry.amount_fen) for entry in journal.entries)
        part = part_of(journal.reference)
        rows = [
            {"journal": journal.id, "line": line, "account": account, "part": part, "amount_fen": fen}
            for line, (account, fen) in enumerate(lines)
        ]
        values: dict[str, Any] = {"id": journal.id, "kind": journal.kind, "reference": journal.reference}
        values |= {"step": journal.step, "actor": journal.actor, "at": journal.at}
        if journal.of is not None:
            values["correlation"] = journal.of
        try:
            if rows and statements.insert_all_once(conn, self.entries, rows) == 0:
                self._expect(conn, journal, lines)
                return False
            statements.insert(conn, self.journals, values)
        except IntegrityError as error:
            said = " ".join(str(error.orig).split())
            refusal = JournalClash if _STANDS in said else NotBookable
            raise refusal(f"journal {journal.id}: {said}") from error
        return True

    def balance(self, conn: Connection, account: str) -> int:
        """What stands on an account, in fen; 0 for one that is not open."""
        mine = self.balances.c.account == account
        found = conn.execute(select(func.sum(self.balances.c.balance_fen)).where(mine)).scalar()
        return int(found or 0)

    def balance_sheet(self, conn: Connection) -> dict[str, int]:
        """All accounts with what stands on them, in fen."""
        table = self.balances
        query = select(table.c.account, func.sum(table.c.balance_fen)).group_by(table.c.account)
        return {account: int(fen) for account, fen in conn.execute(query.order_by(table.c.account))}

    def standing(self, conn: Connection, reference: str) -> dict[str, int]:
        """What all journals of one payment have left on each account; accounts with nothing are not named."""
        query = self._by_reference().where(self.journals.c.reference == reference)
        return {row.account: int(row.fen) for row in conn.execute(query) if row.fen}

    def standings(self, conn: Connection) -> Iterator[tuple[str, dict[str, int]]]:
        """The same for every reference, in the order of the references."""
        query = self._by_reference().order_by(self.journals.c.reference)
        reference, found = None, dict[str, int]()
        for row in conn.execute(query, execution_options={"yield_per": 1000}):
            if row.reference != reference:
                if reference is not None:
                    yield reference, found
                reference, found = row.reference, {}
            if row.fen:
                found[row.account] = int(row.fen)
        if reference is not None:
            yield reference, found

    def faults(self, conn: Connection) -> list[str]:
        """What is wrong with the books; nothing, as long as nobody has gone round the triggers."""
        entries, journals, balances = self.entries.c, self.journals.c, self.balances.c
        total, count = func.coalesce(func.sum(entries.amount_fen), 0), func.count(entries.line)
        wrong = select(journals.id, total.label("fen"), count.label("lines"))
        wrong = wrong.select_from(self.journals.outerjoin(self.entries, entries.journal == journals.id))
        wrong = wrong.group_by(journals.id).having((total != 0) | (count < 2)).order_by(journals.id)
        said = [
            f"journal {row.id} has {row.lines} entries that add up to {yuan(int(row.fen))} yuan"
            for row in conn.execute(wrong)
        ]
        stray = select(entries.journal).distinct().order_by(entries.journal)
        stray = stray.where(entries.journal.not_in(select(journals.id)))
        said += [f"entries belong to journal {name}, which is not there" for name in conn.scalars(stray)]
        sums = select(entries.account, entries.part, func.sum(entries.amount_fen))
        booked = {row[:2]: int(row[2]) for row in conn.execute(sums.group_by(entries.account, entries.part))}
        kept = {
            row[:2]: int(row[2])
            for row in conn.execute(select(balances.account, balances.part, balances.balance_fen))
        }
        for account, part in sorted(booked.keys() | kept.keys()):
            here, there = kept.get((account, part)), booked.get((account, part), 0)
            if here != there:
                has = "no balance" if here is None else f"{yuan(here)} yuan"
                said.append(f"account {account} part {part} has {has}, its entries add up to {yuan(there)}")
        return said

    def _by_reference(self) -> Any:
        """Reference, account, and the sum of its entries."""
        entries, journals = self.entries.c, self.journals.c
        query = select(journals.reference, entries.account, func.sum(entries.amount_fen).label("fen"))
        query = query.select_from(self.journals.join(self.entries, entries.journal == journals.id))
        return query.group_by(journals.reference, entries.account)

    def _expect(self, conn: Connection, journal: Journal, lines: list[tuple[str, int]]) -> None:
        """Raises JournalClash unless the journal that stands has these entries."""
        table = self.entries.c
        query = select(table.account, table.amount_fen).where(table.journal == journal.id)
        if sorted((row.account, int(row.amount_fen)) for row in conn.execute(query)) != lines:
            raise JournalClash(f"journal {journal.id} stands, with other entries")

    def _made(self, target: Any, conn: Connection, **told: Any) -> None:
        if self.journals in (told.get("tables") or ()):
            make_triggers(conn)
            make_guards(conn)
            make_marks(conn)


def make_triggers(conn: Connection) -> None:
    """Makes what keeps the books; the revision that makes the tables runs this."""
    for statement in TRIGGERS[conn.dialect.name]:
        conn.exec_driver_sql(statement)


def make_guards(conn: Connection) -> None:
    """Makes what keeps hands off them; revision ``guards`` of every role that keeps books runs this."""
    for statement in GUARDS[conn.dialect.name]:
        conn.exec_driver_sql(statement)


def make_marks(conn: Connection) -> None:
    """Makes that no entry moves a balance twice; revision ``marks`` of every role that keeps books runs this."""
    for statement in MARKS[conn.dialect.name]:
        conn.exec_driver_sql(statement)
    postgresql.pin_functions(conn)


_STANDS = "this journal stands already"
_NO_CHANGE = "the ledger is never changed, a correction is a new journal"
_KEPT = "balances are kept by entries alone"
_WHOLE = "a journal comes with all its entries in one transaction"
# No percent signs: the driver would take them for places of parameters.
TRIGGERS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        f"""CREATE TRIGGER ledger_entry_made AFTER INSERT ON ledger_entries BEGIN
            SELECT RAISE(ABORT, '{_STANDS}')
                WHERE EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.journal);
            SELECT RAISE(ABORT, 'no such account') WHERE NOT EXISTS
                (SELECT 1 FROM ledger_balances WHERE account = NEW.account AND part = NEW.part);
            UPDATE ledger_balances SET balance_fen = balance_fen + NEW.amount_fen
                WHERE account = NEW.account AND part = NEW.part;
        END""",
        """CREATE TRIGGER ledger_journal_made AFTER INSERT ON ledger_journals BEGIN
            SELECT RAISE(ABORT, 'a journal has at least two entries that add up to zero')
                FROM (SELECT count(*) AS lines, sum(amount_fen) AS fen FROM ledger_entries WHERE journal = NEW.id)
                WHERE lines < 2 OR fen <> 0;
        END""",
        *(
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{_NO_CHANGE}'); END"
            for table in ("ledger_entries", "ledger_journals")
            for verb in ("UPDATE", "DELETE")
        ),
    ),
    "postgresql": (
        f"""CREATE FUNCTION ledger_entry_made() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.journal) THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_STANDS}';
            END IF;
            UPDATE ledger_balances SET balance_fen = balance_fen + NEW.amount_fen
                WHERE account = NEW.account AND part = NEW.part;
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'no such account';
            END IF;
            RETURN NULL;
        END $$""",
        """CREATE FUNCTION ledger_journal_made() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) < 2 OR sum(amount_fen) <> 0 FROM ledger_entries WHERE journal = NEW.id) THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation',
                    MESSAGE = 'a journal has at least two entries that add up to zero';
            END IF;
            RETURN NULL;
        END $$""",
        f"""CREATE FUNCTION ledger_stands() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_NO_CHANGE}';
        END $$""",
        "CREATE TRIGGER ledger_entry_made AFTER INSERT ON ledger_entries"
        " FOR EACH ROW EXECUTE FUNCTION ledger_entry_made()",
        "CREATE TRIGGER ledger_journal_made AFTER INSERT ON ledger_journals"
        " FOR EACH ROW EXECUTE FUNCTION ledger_journal_made()",
        *(
            f"CREATE TRIGGER {table}_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_stands()"
            for table in ("ledger_entries", "ledger_journals")
        ),
    ),
}
"""By dialect. What SQLite's do row by row, PostgreSQL's do for the same rows."""
GUARDS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        # Lines count up from 0, so whoever begins a journal passes here once, and without keys nothing would see at the
        # commit that it never came.
        f"""CREATE TRIGGER ledger_entry_first BEFORE INSERT ON ledger_entries WHEN NEW.line = 0 BEGIN
            SELECT RAISE(ABORT, '{_WHOLE}: PRAGMA foreign_keys=ON') FROM pragma_foreign_keys WHERE foreign_keys = 0;
        END""",
        f"""CREATE TRIGGER ledger_entry_next BEFORE INSERT ON ledger_entries WHEN NEW.line <> 0 BEGIN
            SELECT RAISE(ABORT, '{_WHOLE}: lines count up from 0') WHERE NOT EXISTS
                (SELECT 1 FROM ledger_entries WHERE journal = NEW.journal AND line = NEW.line - 1);
        END""",
        # REPLACE takes a row away without asking the trigger for deletions.
        f"""CREATE TRIGGER ledger_journal_new BEFORE INSERT ON ledger_journals BEGIN
            SELECT RAISE(ABORT, '{_NO_CHANGE}') WHERE EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.id)
                OR EXISTS (SELECT 1 FROM ledger_journals
                    WHERE reference = NEW.reference AND step = NEW.step AND kind = NEW.kind);
        END""",
        # The entry that has just been made, and whose journal is still to come, is the difference.
        f"""CREATE TRIGGER ledger_balance_moved BEFORE UPDATE ON ledger_balances BEGIN
            SELECT RAISE(ABORT, '{_KEPT}') WHERE NEW.account <> OLD.account OR NEW.part <> OLD.part
                OR NOT EXISTS (SELECT 1 FROM ledger_entries AS entry
                    WHERE entry.rowid = last_insert_rowid() AND entry.account = NEW.account
                        AND entry.part = NEW.part AND entry.amount_fen = NEW.balance_fen - OLD.balance_fen
                        AND NOT EXISTS (SELECT 1 FROM ledger_journals WHERE id = entry.journal));
        END""",
        f"""CREATE TRIGGER ledger_balance_opened BEFORE INSERT ON ledger_balances BEGIN
            SELECT RAISE(ABORT, '{_KEPT}') WHERE NEW.balance_fen <> 0 OR EXISTS
                (SELECT 1 FROM ledger_balances WHERE account = NEW.account AND part = NEW.part);
        END""",
        f"CREATE TRIGGER ledger_balances_no_DELETE BEFORE DELETE ON ledger_balances"
        f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END",
    ),
    "postgresql": (
        # At the commit: an entry may have been put in beside another transaction that made its journal, and was done
        # before this one. A journal of this transaction was checked with all entries that it has.
        f"""CREATE FUNCTION ledger_entry_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NOT EXISTS (SELECT 1 FROM ledger_journals
                    WHERE id = NEW.journal AND xmin = pg_current_xact_id()::xid) THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_WHOLE}';
            END IF;
            RETURN NULL;
        END $$""",
        "CREATE CONSTRAINT TRIGGER ledger_entry_kept AFTER INSERT ON ledger_entries"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_kept()",
        # Only a trigger of the entries comes here from inside another one.
        f"""CREATE FUNCTION ledger_balances_stand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF TG_OP <> 'UPDATE' OR pg_trigger_depth() < 2 THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_KEPT}';
            END IF;
            RETURN NULL;
        END $$""",
        "CREATE TRIGGER ledger_balances_stand BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_balances"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_balances_stand()",
        f"""CREATE FUNCTION ledger_balance_opened() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.balance_fen <> 0 THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_KEPT}';
            END IF;
            RETURN NEW;
        END $$""",
        "CREATE TRIGGER ledger_balance_opened BEFORE INSERT ON ledger_balances"
        " FOR EACH ROW EXECUTE FUNCTION ledger_balance_opened()",
    ),
}
"""By dialect: what keeps hands off the books."""
_MARKED = """NEW.account <> OLD.account OR NEW.part <> OLD.part
                OR NOT EXISTS (SELECT 1 FROM ledger_entries
                    WHERE journal = NEW.last_journal AND line = NEW.last_line AND account = NEW.account
                        AND part = NEW.part AND amount_fen = NEW.balance_fen - OLD.balance_fen)
                OR EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.last_journal)
                OR NEW.last_journal = OLD.last_journal AND NEW.last_line <= OLD.last_line
                OR NEW.last_journal <> OLD.last_journal
                    AND NOT EXISTS (SELECT 1 FROM ledger_journals WHERE id = OLD.last_journal)"""
"""A balance is moved by an entry whose journal is still to come. A part of an account takes the entries of one journal by
their lines, and of the next one when that journal stands: so none of them comes twice.
"""
_MOVE = """UPDATE ledger_balances SET balance_fen = balance_fen + NEW.amount_fen,
                    last_journal = NEW.journal, last_line = NEW.line
                WHERE account = NEW.account AND part = NEW.part"""
MARKS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        # REPLACE takes rows away without asking the trigger for deletions, by any key, the row's number included. Where
        # the journal stands, the trigger after this one says so.
        f"""CREATE TRIGGER ledger_entry_new BEFORE INSERT ON ledger_entries BEGIN
            SELECT RAISE(ABORT, '{_NO_CHANGE}') WHERE EXISTS (SELECT 1 FROM ledger_entries WHERE rowid = NEW.rowid)
                OR EXISTS (SELECT 1 FROM ledger_entries WHERE journal = NEW.journal AND line = NEW.line)
                    AND NOT EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.journal);
        END""",
        "DROP TRIGGER ledger_entry_made",
        f"""CREATE TRIGGER ledger_entry_made AFTER INSERT ON ledger_entries BEGIN
            SELECT RAISE(ABORT, '{_STANDS}')
                WHERE EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.journal);
            SELECT RAISE(ABORT, 'an amount is a whole number of fen, below {MOST_ENTRY_FEN}')
                WHERE typeof(NEW.amount_fen) <> 'integer' OR abs(NEW.amount_fen) >= {MOST_ENTRY_FEN};
            SELECT RAISE(ABORT, 'no such account') WHERE NOT EXISTS
                (SELECT 1 FROM ledger_balances WHERE account = NEW.account AND part = NEW.part);
            {_MOVE};
        END""",
        "DROP TRIGGER ledger_balance_moved",
        f"""CREATE TRIGGER ledger_balance_moved BEFORE UPDATE ON ledger_balances BEGIN
            SELECT RAISE(ABORT, '{_KEPT}') WHERE typeof(NEW.balance_fen) <> 'integer' OR {_MARKED};
        END""",
        "DROP TRIGGER ledger_balance_opened",
        f"""CREATE TRIGGER ledger_balance_opened BEFORE INSERT ON ledger_balances BEGIN
            SELECT RAISE(ABORT, '{_KEPT}') WHERE NEW.balance_fen <> 0 OR EXISTS (SELECT 1 FROM ledger_balances
                WHERE account = NEW.account AND part = NEW.part OR rowid = NEW.rowid);
        END""",
    ),
    "postgresql": (
        f"""CREATE OR REPLACE FUNCTION ledger_entry_made() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT 1 FROM ledger_journals WHERE id = NEW.journal) THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_STANDS}';
            END IF;
            IF NEW.amount_fen NOT BETWEEN {1 - MOST_ENTRY_FEN} AND {MOST_ENTRY_FEN - 1} THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation',
                    MESSAGE = 'an amount is a whole number of fen, below {MOST_ENTRY_FEN}';
            END IF;
            {_MOVE};
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'no such account';
            END IF;
            RETURN NULL;
        END $$""",
        f"""CREATE OR REPLACE FUNCTION ledger_balances_stand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_KEPT}';
        END $$""",
        "DROP TRIGGER ledger_balances_stand ON ledger_balances",
        "CREATE TRIGGER ledger_balances_stand BEFORE DELETE OR TRUNCATE ON ledger_balances"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_balances_stand()",
        f"""CREATE FUNCTION ledger_balance_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF {_MARKED} THEN
                RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_KEPT}';
            END IF;
            RETURN NEW;
        END $$""",
        "CREATE TRIGGER ledger_balance_moved BEFORE UPDATE ON ledger_balances"
        " FOR EACH ROW EXECUTE FUNCTION ledger_balance_moved()",
    ),
}
"""By dialect: what makes each entry move its balance once; it takes the place of what stands above under the same name."""
