"""PPP, BOSS or the FTP service are away over two cut-offs; then the next run catches up by itself. ONL-8, ONL-9"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from server_stub.foundation.folders import Entry, FolderError, FolderUnreachable, FtpFolder
from server_stub.foundation.secret import SecretText
from tests.server_stub.ftp import PASSWORD, FtpServer, authority, serving
from tests.server_stub.system import exchange_below, running_with_ppp
from tests.server_stub.tsp.mornings import breaks, morning, runs
from tests.server_stub.tsp.test_uploads import DAY, days_of, mended, next_day, paid, telling

pytestmark = pytest.mark.anyio
DAYS = 2


@dataclass
class Outage:
    """An FTP server with TLS, and who is away.

    Attributes:
        away: roles that reach nothing: to all others they are switched off.
    """

    place: Path
    server: FtpServer | None = None
    away: set[str] = field(default_factory=set)
    _running: ExitStack = field(default_factory=ExitStack)

    def begin(self, who: str) -> None:
        """Somebody is away; ``ftp`` is the server itself."""
        if who == "ftp":
            self._running.close()
        else:
            self.away.add(who)

    def end(self) -> None:
        """Everybody is there, at the same address."""
        self.away.clear()
        self._running.close()
        port = 0 if self.server is None else self.server.port
        self.server = self._running.enter_context(serving(self.place, port=port))

    def folder(self, role: str, partner: str) -> Reached:
        """Where a role and a partner exchange files."""
        assert self.server is not None
        url = self.server.url(partner if role == "tsp" else role)
        return Reached(FtpFolder(url, SecretText(PASSWORD), authority(), 10), role, self)

    def close(self) -> None:
        self._running.close()


@dataclass(frozen=True)
class Reached:
    """A folder of the FTP server, as long as its role is there."""

    ftp: FtpFolder
    role: str
    outage: Outage

    def _tried(self) -> FtpFolder:
        if self.role in self.outage.away:
            raise FolderUnreachable(f"{self.role} is away")
        return self.ftp

    async def names(self, folder: str) -> list[str]:
        return await self._tried().names(folder)

    async def entries(self, folder: str) -> list[Entry]:
        return await self._tried().entries(folder)

    async def fetch(self, name: str, target: Path) -> None:
        await self._tried().fetch(name, target)

    async def deliver(self, source: Path, name: str) -> None:
        await self._tried().deliver(source, name)


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    exchange_below(tmp_path)
    one = Outage(tmp_path / "exchange")
    one.end()
    yield one
    one.close()


@pytest.mark.parametrize("who", ["ftp", "ppp", "boss"])
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_the_next_run_catches_up_by_itself(who: str, kind: str, tmp_path: Path, outage: Outage) -> None:
    async with running_with_ppp(tmp_path / "data", folder=outage.folder) as system:
        done = await paid(system, 2)
        fen = sum(payment["amount_fen"] for payment in done)
        outage.begin(who)
        for day in range(1, DAYS + 1):
            next_day(system, day)
            if who == "ftp":
                with pytest.raises(FolderError):
                    await telling(system).run()
            else:
                await telling(system).run()
        if who != "boss":
            assert {row[1] for row in await days_of(system)} == {"made" if who == "ftp" else "sent"}
        compared = {pair for pair, (state, _) in (await runs(system)).items() if state == "done"}
        assert compared <= {"ppp": {"boss"}, "boss": {"ppp"}, "ftp": set()}[who]
        outage.end()
        await morning(system, DAYS + 1)
        await mended(system)
        assert [row[:3] for row in await days_of(system)] == [
            ((DAY + timedelta(days=day)).isoformat(), "answered", 0 if day else 2) for day in range(DAYS + 1)
        ]
        assert (await days_of(system))[0][4:] == (2, fen, 0)
        assert await runs(system) == {"boss": ("done", {"matched": 2}), "ppp": ("done", {"matched": 2})}
        assert [row for row in await breaks(system) if row[2] != "closed"] == []
