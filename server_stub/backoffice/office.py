"""The back office's parts: its own books, those of the roles beside it, sign-in, and what takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import MetaData

from server_stub.backoffice import staff, tables
from server_stub.backoffice.errors import Away
from server_stub.backoffice.passwords import Passwords
from server_stub.backoffice.signin import SignIn
from server_stub.backoffice.tasks import Tasks
from server_stub.backoffice.totals import Totals
from server_stub.boss import tables as boss
from server_stub.exchange import tables as exchange
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids, RandomBytes
from server_stub.foundation.outbox import Outbox
from server_stub.ppp import tables as ppp
from server_stub.sandbox import tables as sandbox
from server_stub.settings import Settings
from server_stub.tsp import operating
from server_stub.tsp import tables as tsp
from server_stub.tsp.moves import Moves

if TYPE_CHECKING:
    from server_stub.tsp.service import TspService

METADATA: Mapping[str, MetaData] = {
    one.info["role"]: one
    for one in (
        *(tsp.metadata, boss.metadata, ppp.metadata, sandbox.metadata),
        *(exchange.metadata, tables.metadata),
    )
}
"""The roles whose books are looked into, in the order in which they are shown."""


class Office:
    """The back office of one process.

    Args:
        database: its own.
        beside: the databases of the roles that it can look into, by role.
        tsp: the TSP, where it runs in this process: what is decided wakes it at once.
        set_by: names of the variables that are set in the environment.
        noted: is told how every password that was given has ended, as of ``SignIn``.

    Attributes:
        databases: ``beside``, and its own.
        settings: its own, with those that the TSP's server has noted, as of the last ``look_at_settings``.
        exports: the folder of files that were asked for; None: none can be had here.
        files: below which each role keeps the contents of exchanged files; None: none can be read here.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        random: RandomBytes,
        settings: Settings,
        beside: Mapping[str, Database],
        tsp: TspService | None,
        set_by: frozenset[str],
        passwords: Passwords | None = None,
        let_go: Callable[[], None] = lambda: None,
        *,
        exports: Path | None = None,
        files: Path | None = None,
        noted: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.random = random
        self.settings = self._own = settings
        self.databases: Mapping[str, Database] = {**beside, "backoffice": database}
        self.tsp = tsp
        self.set_by = set_by
        self.ids = Ids(clock, random)
        self.passwords = passwords or Passwords()
        self.sign_in = SignIn(database, clock, random, self.passwords, settings, noted)
        self.tasks = Tasks(database, clock, self.ids)
        self.exports = exports
        self._totals: Totals | None = None
        self.files = files
        self._let_go = let_go

    @property
    def test_mode(self) -> bool:
        """Whether the money is play money, as far as it can be told from here."""
        if self.tsp is not None:
            return self.tsp.test_mode
        return any(url.startswith("sim:") for url in self.settings.psam_urls)

    @property
    def noted(self) -> frozenset[str]:
        """Names of the settings that are another server's here."""
        return frozenset(
            name for name in operating.NAMES if getattr(self.settings, name) != getattr(self._own, name)
        )

    async def look_at_settings(self) -> None:
        """Takes what the TSP's server decides by: of two limits, or calendars, one would be wrong."""
        if "tsp" in self.databases:
            self.settings = await self.databases["tsp"].look(lambda conn: operating.noted(conn, self._own))

    def books(self, role: str) -> Database:
        """The database of a role. Raises Away."""
        if role not in self.databases:
            raise Away(role)
        return self.databases[role]

    def totals(self) -> Totals:
        """The totals of the days. Raises Away."""
        if self._totals is None:
            self._totals = Totals(self.database, self.books("tsp"), self.clock)
        return self._totals

    def moves(self) -> Moves:
        """What moves payments in the TSP's books: that TSP itself where it runs here. Raises Away."""
        if self.tsp is not None:
            return self.tsp.core
        outbox = Outbox(self.books("tsp"), tsp.outbox, self.clock, "backoffice", {})
        return Moves(self.clock, self.ids, self.settings, outbox)

    async def anybody(self) -> bool:
        """Whether any member of staff has been let in yet."""
        return await self.database.look(staff.anybody)

    def start(self) -> None:
        """It begins to answer. Raises CannotStart."""
        tables.audit.note_start(self.database, self.clock, "backoffice")

    async def stop(self) -> None:
        """Ends what is under way and lets go of its database."""
        await self.tasks.stop()
        if self._totals is not None:
            await self._totals.stop()
        try:
            tables.audit.note_stop(self.database, self.clock, "backoffice")
        finally:
            self.database.close()
            self._let_go()
