"""The PSAM pool: leases as rows, and one thread a PSAM through which its commands go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Row, delete, insert, select, update

from cardreader.errors import ApplicationBlocked, CardReaderError
from cardreader.psam import Psam, PsamInit
from cardreader.reader import Connection as CardConnection
from cardreader.readers import open_reader
from cardreader.sim.psam import open_psam
from server_stub.foundation.clock import Clock
from server_stub.tsp.tables import leases

PURCHASE = 0x06
"""Transaction type of a purchase from the electronic purse."""
LOOK_AGAIN = timedelta(seconds=5)
"""After so long a PSAM that could not be reached is looked for again."""

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

    Attributes:
        usable: False once the PSAM has locked itself.
    """

    def __init__(self, name: str, connection: CardConnection) -> None:
        self.name = name
        self.usable = True
        self._connection = connection
        self._psam = Psam(connection)
        self.terminal_number = self._psam.terminal_number
        self.key_index = self._psam.application.key_index
        self.issuer_id = self._psam.application.issuer_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"psam-{name}")
        self._begun_for: str | None = None

    async def initialize(self, payment: str, purchase: Purchase) -> PsamInit:
        """80 70: MAC1 for a payment. Raises CardReaderError."""
        return await self._run(lambda: self._initialize(payment, purchase))

    async def verify(self, payment: str, purchase: Purchase, number: bytes, mac2: bytes) -> None:
        """80 72: the card's proof for a payment. Begins again where the PSAM has done something else.

        Raises:
            NumberMoved: the PSAM has completed a purchase since MAC1.
            MacInvalid: the proof is wrong. CardReaderError: the PSAM does not work.
        """

        def work() -> None:
            if self._begun_for != payment:
                current = self._initialize(payment, purchase).terminal_transaction_number
                if current != number:
                    # What has just been begun has another number: no proof of this payment's fits it.
                    self._begun_for = None
                    raise NumberMoved(int.from_bytes(current) - int.from_bytes(number))
            # The PSAM forgets what was begun with this command, whatever it answers.
            self._begun_for = None
            self._psam.credit_for_purchase(mac2)

        await self._run(work)

    def close(self) -> None:
        """Powers the PSAM off."""
        self._thread.shutdown()
        self._connection.close()

    def _initialize(self, payment: str, purchase: Purchase) -> PsamInit:
        self._begun_for = None
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
        self._begun_for = payment
        return answer

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except ApplicationBlocked:
            self.usable = False
            log.error("psam-locked", psam=self.name)
            raise


def open_unit(url: str, state_dir: str | None) -> PsamUnit:
    """Powers the PSAM that a URL names: ``sim:NUMBER``, ``sim:NUMBER:ISSUER`` or ``pcsc:NAME``.

    Raises:
        CardReaderError: it is not there now, or does not work.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sim":
        number, _, issuer = rest.partition(":")
        return PsamUnit(url, open_psam(int(number), state_dir, issuer or "known"))
    return PsamUnit(url, open_reader(url).wait_for_card(0, threading.Event()))


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


def candidates(units: Mapping[str, PsamUnit], issuer_id: bytes) -> list[str]:
    """Names of the PSAMs that can serve an issuer."""
    return [unit.name for unit in units.values() if unit.usable and unit.issuer_id == issuer_id]


def lease(conn: Connection, payment: str, names: Sequence[str], now: datetime, seconds: float) -> str | None:
    """Gives a payment one of these PSAMs, the one it has if that is among them; None when none is free.

    One whose lease has run out comes last: its payment may still want to complete there.
    """
    release(conn, payment, keep=names)
    rows: dict[str, Row[Any]] = {
        row.psam: row
        for row in conn.execute(select(leases).where(leases.c.psam.in_(names)).with_for_update())
    }
    mine = [name for name in names if name in rows and rows[name].payment_id == payment]
    free = [name for name in names if name not in rows]
    over = sorted(
        (name for name in rows if rows[name].expires_at <= now), key=lambda name: rows[name].expires_at
    )
    for name in (*mine, *free, *over):
        values = {"payment_id": payment, "acquired_at": now, "expires_at": now + timedelta(seconds=seconds)}
        if name in rows:
            conn.execute(update(leases).where(leases.c.psam == name).values(**values))
        else:
            conn.execute(insert(leases).values(psam=name, **values))
        return name
    return None


def holds(conn: Connection, payment: str, psam: str) -> bool:
    """Whether nobody else has had the PSAM since the payment got it (its lease may have run out)."""
    held = select(leases.c.psam).where((leases.c.psam == psam) & (leases.c.payment_id == payment))
    return conn.execute(held).one_or_none() is not None


def extend(conn: Connection, payment: str, psam: str, now: datetime, seconds: float) -> bool:
    """Lengthens a lease that has not run out; returns whether there was one."""
    mine = (leases.c.psam == psam) & (leases.c.payment_id == payment) & (leases.c.expires_at > now)
    longer = update(leases).where(mine).values(expires_at=now + timedelta(seconds=seconds))
    return bool(conn.execute(longer).rowcount)


def release(conn: Connection, payment: str, keep: Sequence[str] = ()) -> None:
    """Gives back what a payment holds, except the named ones."""
    mine = (leases.c.payment_id == payment) & leases.c.psam.not_in(keep)
    conn.execute(delete(leases).where(mine))
