"""The exchange in this process, and clients that ask it as our own roles do."""

from __future__ import annotations

import asyncio
import ftplib
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from server_stub.exchange import partners as accounts
from server_stub.exchange import tables
from server_stub.exchange.listener import Doorway, Listener
from server_stub.exchange.partners import Limits
from server_stub.exchange.service import ExchangeService
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.database import Database
from server_stub.foundation.folders import FtpFolder, account_password
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretText
from tests.server_stub.ftp import authority, certificates
from tests.server_stub.system import START

KEY = SecretText("a-partner-key-of-this-test")
BANK = SecretText("the bank's own password")


class Exchange:
    """One that runs, and its clients."""

    def __init__(self, service: ExchangeService, clock: SimulatedClock, doorway: Doorway, data: Path) -> None:
        self.service, self.clock, self.doorway, self.data = service, clock, doorway, data
        self.door = Listener(service, doorway)

    def folder(self, account: str, base: str = "", password: SecretText | None = None) -> FtpFolder:
        host, port = self.doorway.address
        secret = password or account_password(KEY, account)
        return FtpFolder(f"ftps://{account}@{host}:{port}/{base}", secret, self.doorway.own_context(), 10)

    async def add(self, name: str, limits: Limits = Limits(), **other: Any) -> None:
        hashed = accounts.hashed(BANK)
        await self.service.database.write(
            lambda conn: accounts.add(conn, self.clock, "person:x", name, hashed, limits=limits, **other)
        )

    async def files(self) -> list[tuple[str, str, str, int, str]]:
        """Partner, direction, name, version, state of every version."""
        rows = await self.service.database.read(tables.files.listed)
        return sorted((row.partner, row.direction, row.name, row.version, row.state) for row in rows)

    async def events(self, name: str) -> list[str]:
        """Of the newest version."""
        read = self.service.database.read
        rows = await read(lambda conn: tables.files.listed(conn, name=name))
        row = max(rows, key=lambda row: row.version)
        return [one.event for one in await read(lambda conn: tables.files.history(conn, row.id))]

    async def until(self, reached: Callable[[list[Any]], bool], what: Callable[[], Any]) -> None:
        """What a client need not wait for is done in the background."""
        async with asyncio.timeout(10):
            while not reached(await what()):
                await asyncio.sleep(0)

    def session(self, account: str, password: SecretText) -> ftplib.FTP_TLS:
        client = ftplib.FTP_TLS(context=authority(), timeout=10)
        client.connect(*self.doorway.address)
        client.login(account, password.reveal())
        client.prot_p()
        client.voidcmd("TYPE I")
        return client


async def opened(database: Database, data: Path, listening: socket.socket) -> Exchange:
    """One that is asked where the socket listens; whoever opened it stops its door, and then its service."""
    clock = SimulatedClock(START)
    service = ExchangeService(database, clock, Ids(clock, os.urandom), data, KEY, 3)
    one = Exchange(service, clock, Doorway(listening, certificates), data)
    service.start()
    await one.door.start()
    return one


def sent(ftp: ftplib.FTP_TLS, command: str, content: bytes) -> None:
    """Uploads all of it before it looks at the reply, as curl does."""
    with closing(ftp.transfercmd(command)) as conn:
        conn.sendall(content)
        assert isinstance(conn, ssl.SSLSocket)
        conn.unwrap()
    ftp.voidresp()
