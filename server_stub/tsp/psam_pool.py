"""The PSAM pool: leases as rows, and one thread a PSAM through which its commands go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import structlog
from sqlalchemy import Connection, Row, bindparam, delete, select

from cardreader.errors import CardReaderError, CardRemoved, ReaderUnavailable
from cardreader.psam import Psam, PsamInit
from cardreader.reader import Connection as CardConnection
from cardreader.readers import open_reader
from cardreader.sim.psam import has_begun, open_psam
from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.startup import CannotStart
from server_stub.foundation.statements import Statement
from server_stub.tsp.tables import audit, debits, leases, moves, payments, psam_locks

PURCHASE = 0x06
"""Transaction type of a purchase from the electronic purse."""
LOOK_AGAIN = timedelta(seconds=5)
"""After so long a PSAM that could not be reached is looked for again."""
TURN = timedelta(seconds=2)
"""How long others wait for a turn's commands; the turn of a process that died ends with it."""
# A pool has tens of PSAMs: to read all leases costs no more than to say which.
_LEASES = Statement(select(leases).order_by(leases.c.expires_at, leases.c.psam))
_LOCKED = Statement(select(psam_locks.c.psam))
COMPLETED = (
    select(debits.c.psam, debits.c.terminal_transaction_number)
    .select_from(debits.join(payments, payments.c.id == debits.c.payment_id))
    .where(
        payments.c.state.in_(("paid", "opened", "service-refused")),
        payments.c.id.not_in(
            select(moves.c.row).where(moves.c.target == "paid", moves.c.actor.startswith("person"))
        ),
    )
)
"""The purchases that a PSAM has completed, and so will never complete again; what a person has accepted, it has not."""
_RELEASE = Statement(delete(leases).where(leases.c.payment_id == bindparam("payment")))

T = TypeVar("T")
log = structlog.get_logger(__name__)


class NumberMoved(Exception):
    """The PSAM's terminal transaction number is no longer the one MAC1 was made with.

    Attributes:
        moved: by how much.
    """

    def __init__(self, moved: int) -> None:
        super().__init__(f"the terminal transaction number has moved by {moved}")
        self.moved = moved


@dataclass(frozen=True, slots=True)
class Purchase:
    """What INIT SAM FOR PURCHASE is made of, besides the type; bytes as in the command."""

    random: bytes
    offline_number: int
    amount_fen: int
    date: bytes
    time: bytes
    key_version: int
    algorithm_id: int
    application_serial8: bytes


class PsamUnit:
    """One PSAM of the pool; its commands run one after the other in a thread of its own.

    Args:
        connect: powers it; once more when it has left, or its reader or reader service.

    Raises:
        CardReaderError: it is not there, or does not work.
    """

    def __init__(self, name: str, connect: Callable[[], CardConnection]) -> None:
        self.name = name
        self._connect = connect
        self._connection = connect()
        self._psam = Psam(self._connection)
        self._lost = False
        self.terminal_number = self._psam.terminal_number
        self.key_index = self._psam.application.key_index
        self.issuer_id = self._psam.application.issuer_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"psam-{name}")
        self._begun_by: str | None = None

    async def initialize(self, turn: Turn, purchase: Purchase) -> PsamInit:
        """80 70: MAC1 for a payment. Raises CardReaderError."""
        return await self._run(lambda: self._initialize(turn, purchase))

    async def verify(self, turn: Turn, purchase: Purchase, number: bytes, mac2: bytes) -> None:
        """80 72: the card's proof for a payment. Begins again unless the turn before was this process's own and
        the PSAM has done nothing since.

        Raises:
            NumberMoved: the PSAM has completed a purchase since MAC1.
            MacInvalid: the proof is wrong. CardReaderError: the PSAM does not work.
        """

        def work() -> None:
            if self._begun_by is None or self._begun_by != turn.before:
                current = self._initialize(turn, purchase).terminal_transaction_number
                if current != number:
                    # What has just been begun has another number: no proof of this payment's fits it.
                    self._begun_by = None
                    raise NumberMoved(int.from_bytes(current) - int.from_bytes(number))
            # The PSAM forgets what was begun with this command, whatever it answers.
            self._begun_by = None
            self._psam.credit_for_purchase(mac2)

        await self._run(work)

    def close(self) -> None:
        """Powers the PSAM off."""
        self._thread.shutdown()
        self._connection.close()

    def _initialize(self, turn: Turn, purchase: Purchase) -> PsamInit:
        self._begun_by = None
        answer = self._psam.initialize_for_purchase(
            purchase.random,
            purchase.offline_number,
            purchase.amount_fen,
            PURCHASE,
            purchase.date,
            purchase.time,
            purchase.key_version,
            purchase.algorithm_id,
            purchase.application_serial8,
        )
        self._begun_by = turn.id
        return answer

    async def _run(self, work: Callable[[], T]) -> T:
        def run() -> T:
            if self._lost:
                self._power_again()
            try:
                return work()
            except (CardRemoved, ReaderUnavailable):
                self._lost = True
                raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _power_again(self) -> None:
        """The PSAM has left, or its reader; perhaps it is back. What was begun with it is forgotten."""
        self._begun_by = None
        self._connection.close()
        self._connection = self._connect()
        self._psam = Psam(self._connection)
        if self._psam.terminal_number != self.terminal_number:
            raise ReaderUnavailable(f"there is another PSAM now where {self.name} was")
        self._lost = False
        log.info("psam-available", psam=self.name)


def open_unit(url: str, state_dir: str | None) -> PsamUnit:
    """Powers the PSAM that a URL names: ``sim:NUMBER``, ``sim:NUMBER:ISSUER`` or ``pcsc:NAME``.

    Raises:
        CardReaderError: it is not there now, or does not work.
    """
    if (simulated := _simulated(url)) is not None:
        number, issuer = simulated
        return PsamUnit(url, lambda: open_psam(number, state_dir, issuer))
    reader = open_reader(url)
    return PsamUnit(url, lambda: reader.wait_for_card(0, threading.Event()))


def expect_counters(conn: Connection, urls: Iterable[str], state_dir: str) -> None:
    """A simulated PSAM that has completed purchases of this database must have its counter: without it, it would begin at 1
    again, and use its transaction numbers twice.

    Raises:
        CannotStart
    """
    for url in urls:
        simulated = _simulated(url)
        if simulated is None or has_begun(simulated[0], state_dir, simulated[1]):
            continue
        if conn.execute(COMPLETED.where(debits.c.psam == url).limit(1)).first() is not None:
            raise CannotStart(
                f"{state_dir} has no counter of {url}, which has completed payments of this database and would use its "
                "transaction numbers again; put the folder back from a copy, or let --data name the server's own"
            )


def used(conn: Connection) -> Sequence[str]:
    """URLs of all PSAMs that payments of this database have had."""
    return conn.scalars(select(debits.c.psam).distinct()).all()


def _simulated(url: str) -> tuple[int, str] | None:
    """Number and issuer of a simulated PSAM; None for one in a reader."""
    scheme, _, rest = url.partition(":")
    number, _, issuer = rest.partition(":")
    return (int(number), issuer or "known") if scheme == "sim" else None


class Opener:
    """Brings a pool's PSAMs in as they can be reached: a reader may be plugged in, or its service start, later.

    Args:
        urls: of all PSAMs of the pool.
        state_dir: folder in which simulated PSAMs keep their counters; None: in memory.
        open_one: powers the PSAM of a URL; raises CardReaderError.

    Attributes:
        units: those that have answered, by URL.
    """

    def __init__(
        self,
        urls: Sequence[str],
        state_dir: str | None,
        clock: Clock,
        open_one: Callable[[str, str | None], PsamUnit] = open_unit,
    ) -> None:
        self.units: dict[str, PsamUnit] = {}
        self._urls = urls
        self._state_dir = state_dir
        self._clock = clock
        self._open_one = open_one
        self._reported: set[str] = set()

    def look(self) -> None:
        """Opens what can be reached and is not open; what cannot is reported once."""
        for url in self._missing():
            try:
                self.units[url] = self._open_one(url, self._state_dir)
            except CardReaderError as error:
                if url not in self._reported:
                    self._reported.add(url)
                    log.error("psam-unavailable", psam=url, error=str(error))
            else:
                if url in self._reported:
                    self._reported.remove(url)
                    log.info("psam-available", psam=url)

    async def look_again(self) -> datetime | None:
        """The same in a thread; returns when to look next, None when there is nothing to look for."""
        if self._missing():
            await asyncio.to_thread(self.look)
        return self._clock.now() + LOOK_AGAIN if self._missing() else None

    def _missing(self) -> list[str]:
        return [url for url in self._urls if url not in self.units]


def serves(units: Mapping[str, PsamUnit], issuer_id: bytes) -> bool:
    """Whether there is a PSAM for an issuer at all, usable at this moment or not."""
    return any(unit.issuer_id == issuer_id for unit in units.values())


def candidates(conn: Connection, units: Mapping[str, PsamUnit], issuer_id: bytes) -> list[str]:
    """Names of the PSAMs that can serve an issuer and have not locked themselves."""
    locked = {row.psam for row in _LOCKED.all(conn)}
    return [unit.name for unit in units.values() if unit.issuer_id == issuer_id and unit.name not in locked]


def note_locked(conn: Connection, psam: str, now: datetime) -> None:
    """A PSAM has said that it has locked itself: no payment gets it any more, from any process."""
    if statements.insert_once(conn, psam_locks, {"psam": psam, "locked_at": now}):
        log.error("psam-locked", psam=psam)


def unlock(
    conn: Connection, psam: str, clock: Clock, actor: str, locked_at: datetime | None = None, **facts: str
) -> bool:
    """Somebody has unlocked or changed it; False for one that is not noted as locked.

    Args:
        actor: who says so, for the audit log.
        locked_at: of the lock that is meant; None: of whatever lock there is.
        facts: what else belongs there, such as the reason.
    """
    mine = psam_locks.c.psam == psam
    if locked_at is not None:
        mine &= psam_locks.c.locked_at == locked_at
        facts["locked_at"] = locked_at.isoformat()
    if not conn.execute(delete(psam_locks).where(mine)).rowcount:
        return False
    audit.append(conn, clock, actor, "psam-unlock", psam, **facts)
    return True


def lease(
    conn: Connection,
    payment: str,
    names: Sequence[str],
    now: datetime,
    seconds: float,
    *,
    again: bool = False,
) -> str | None:
    """Gives a payment one of these PSAMs, the one it has if that is among them; None when none is free.

    One whose lease has run out comes last: its payment may still want to complete there. Whoever had a turn at
    the PSAM has it no longer. The payment's row is locked before: all take payment and lease in this order.

    Args:
        again: MAC1 has been made, and since then the payment has not held it all the time.
    """
    wanted = frozenset(names)
    every = _LEASES.all(conn)
    rows = [row for row in every if row.psam in wanted]
    if any(row.payment_id == payment and row.psam not in wanted for row in every):
        release(conn, payment)
    until = now + timedelta(seconds=seconds)
    values = {"payment_id": payment, "acquired_at": now, "expires_at": until, "again": again}
    taken = {**values, "begun_by": None, "busy_until": None}

    def take(row: Row[Any]) -> bool:
        # Another process may have been quicker since the rows were read.
        still = {"psam": row.psam, "payment_id": row.payment_id, "expires_at": row.expires_at}
        return bool(statements.change(conn, leases, taken, **still))

    for row in rows:
        if row.payment_id == payment and take(row):
            return str(row.psam)
    held = {row.psam for row in rows}
    for name in names:
        if name not in held and statements.insert_once(conn, leases, {"psam": name, **values}):
            return name
    for row in rows:
        if row.payment_id != payment and row.expires_at <= now and take(row):
            return str(row.psam)
    return None


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to send a PSAM the commands of one step, for one process at a time.

    Attributes:
        id: no other turn has it; begins with the name of its process.
        before: the id of the turn before at this lease; None: nobody has begun anything since it was given.
        alone: nobody else has had the PSAM since the payment first got it, before MAC1 (its lease may have run out).
    """

    id: str
    before: str | None
    alone: bool


TakenTurn = Turn | Literal["busy", "lost"]


def take_turn(
    conn: Connection, payment: str, psam: str, turn: str, now: datetime, seconds: float, *, anew: bool
) -> TakenTurn:
    """Lengthens a payment's lease and begins a turn; or says that another process's turn is under way.

    Args:
        anew: a lease that has run out, or that others have had since, is taken again if it can be.
    """
    mine = {"psam": psam, "payment_id": payment}
    row = statements.one(conn, leases, lock=True, **mine)
    # Of one process no two turns of a payment are under way: its steps come one after the other.
    if row is not None and row.begun_by is not None and not row.begun_by.startswith(turn.split()[0]):
        under_way: bool = row.busy_until is not None and row.busy_until > now
        if under_way:
            return "busy"
    if not anew and (row is None or row.expires_at <= now):
        return "lost"
    if row is None and lease(conn, payment, [psam], now, seconds, again=True) is None:
        return "lost"
    values = {"expires_at": now + timedelta(seconds=seconds), "begun_by": turn, "busy_until": now + TURN}
    statements.change(conn, leases, values, **mine)
    return Turn(turn, None if row is None else row.begun_by, row is not None and not row.again)


def end_turn(conn: Connection, psam: str, turn: Turn) -> bool:
    """Ends a turn; returns whether nobody has begun another one or got the PSAM since it began."""
    return bool(statements.change(conn, leases, {"busy_until": None}, psam=psam, begun_by=turn.id))


def release(conn: Connection, payment: str) -> None:
    """Gives back what a payment holds."""
    _RELEASE.run(conn, {"payment": payment})
