"""The exchange in this process, over both databases, asked as our own roles ask it."""

from __future__ import annotations

import asyncio
import errno
import ftplib
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server_stub import backup, partners
from server_stub.app import ROLES
from server_stub.backup import files as backup_files
from server_stub.cli import parse
from server_stub.exchange import filesystem, invariants, listener, tables
from server_stub.exchange import partners as accounts
from server_stub.exchange.ftp import (
    MOST_CONNECTIONS,
    MOST_OF_A_LINE_BYTES,
    MOST_OF_ONE_ADDRESS,
    SIGN_IN_SECONDS,
)
from server_stub.exchange.listener import Doorway, Listener
from server_stub.exchange.partners import CLOSED, Limits
from server_stub.exchange.service import ExchangeService, Place, SignInRefused
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.database import Database, NoConnection
from server_stub.foundation.folders import FolderRefused, FolderUnreachable, FtpFolder, account_password
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretText
from tests.server_stub.ftp import authority, certificates
from tests.server_stub.system import START, databases

KEY = SecretText("a-partner-key-of-this-test")
BANK = SecretText("the bank's own password")
NAME = "XFMX/XFMX20260621.TXT"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True),
]


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


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash of passwords is slow on purpose."""
    monkeypatch.setattr(accounts, "hashed", lambda password: f"hash of {password.reveal()}")
    monkeypatch.setattr(accounts, "matches", lambda password, kept: kept == f"hash of {password.reveal()}")


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Database:
    databases.empty(tmp_path)
    return databases.open_role(tmp_path, tables.metadata)


@pytest.fixture
async def exchange(database: Database, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Exchange]:
    clock = SimulatedClock(START)
    service = ExchangeService(database, clock, Ids(clock, os.urandom), tmp_path, KEY, 3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        doorway = Doorway(listening, certificates)
        service.start()
        one = Exchange(service, clock, doorway, tmp_path)
        await one.door.start()
        try:
            yield one
            looks = invariants.checks(service.store).items()
            faults = await service.database.read(lambda conn: {name: look(conn) for name, look in looks})
            assert not any(faults.values()), faults
        finally:
            await one.door.stop()
            await service.stop()


async def test_a_day_between_house_and_partner(exchange: Exchange, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(b"H|20260621\nT|0|0\n")
    house, ppp = exchange.folder("tsp", "ppp"), exchange.folder("ppp")
    await house.deliver(source, NAME)
    assert await ppp.names("XFMX") == ["XFMX20260621.TXT"]
    await ppp.fetch(NAME, back)
    assert back.read_bytes() == source.read_bytes()
    await exchange.until(lambda rows: rows[0][4] == "sent", exchange.files)
    source.write_bytes(b"H|20260621\nD|1\nT|1|0\n")
    for _ in range(2):
        await ppp.deliver(source, "XFJG/XFJG20260621.TXT")
    await house.fetch("XFJG/XFJG20260621.TXT", back)
    await exchange.until(lambda rows: rows[0][4] == "used", exchange.files)
    assert await exchange.files() == [
        ("ppp", "in", "XFJG/XFJG20260621.TXT", 1, "used"),
        ("ppp", "out", NAME, 1, "sent"),
    ]
    assert await exchange.events("XFJG/XFJG20260621.TXT") == ["arrived", "repeated", "fetched"]
    # The other side's first time counts, and not its own reading back.
    assert await exchange.events(NAME) == ["made", "fetched"]
    day = (await exchange.service.database.read(tables.files.listed))[0].day
    assert day is not None
    assert day.isoformat() == "2026-06-21"


async def test_what_a_partner_takes_away_or_replaces_stays_kept(exchange: Exchange, tmp_path: Path) -> None:
    source, name = tmp_path / "source", "DZMX/DZMX20260621.TXT"
    boss = exchange.folder("boss")
    for content in (b"one", b"two"):
        source.write_bytes(content)
        await boss.deliver(source, name)
    with closing(await asyncio.to_thread(exchange.session, "boss", account_password(KEY, "boss"))) as ftp:
        await asyncio.to_thread(ftp.rename, name, "DZMX/OTHER.TXT")
        await asyncio.to_thread(ftp.delete, "DZMX/OTHER.TXT")
    assert await boss.names("DZMX") == []
    assert await exchange.files() == [
        ("boss", "in", name, 1, "superseded"),
        ("boss", "in", name, 2, "arrived"),
        ("boss", "in", "DZMX/OTHER.TXT", 1, "arrived"),
    ]
    await exchange.until(
        lambda events: events == ["arrived", "deleted"], lambda: exchange.events("DZMX/OTHER.TXT")
    )
    assert await exchange.events(name) == ["arrived", "renamed"]
    rows = await exchange.service.database.read(tables.files.listed)
    assert sorted({exchange.service.store.path(row.sha256).read_bytes() for row in rows}) == [b"one", b"two"]


async def test_a_partner_has_no_more_than_was_agreed(exchange: Exchange, tmp_path: Path) -> None:
    await exchange.add("bank", Limits(connections=2, file_bytes=1000, room_bytes=1500))
    bank = exchange.folder("bank", password=BANK)
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(b"x" * 1001)
    small.write_bytes(b"x" * 1000)
    with pytest.raises(FolderRefused, match="552 A file may have 1000 bytes at most"):
        await bank.deliver(large, "IN/A.TXT")
    await bank.deliver(small, "IN/A.TXT")
    with pytest.raises(FolderRefused, match="552 All files in the folders may have 1500 bytes together"):
        await bank.deliver(small, "IN/B.TXT")
    assert await bank.names("IN") == ["A.TXT"]
    assert [path.name for path in (exchange.data / "folders/bank/IN").iterdir()] == ["A.TXT"]
    sessions = [await asyncio.to_thread(exchange.session, "bank", BANK) for _ in range(2)]
    with pytest.raises(FolderUnreachable, match="421 Too many connections of this account; try again later"):
        await bank.names("IN")
    for session in sessions:
        session.close()


@pytest.mark.parametrize("name", ["IN/A.TXT", "IN/A.TXT.part"])
async def test_what_is_too_large_is_refused_in_words_and_takes_up_no_room(
    exchange: Exchange, name: str
) -> None:
    """The client may send all of it first: a connection that was reset would tell it nothing."""
    await exchange.add("bank", Limits(file_bytes=1_000_000, room_bytes=1_500_000))
    within, beyond = b"x" * 1_000_000, b"x" * 8_000_000
    with closing(await asyncio.to_thread(exchange.session, "bank", BANK)) as ftp, capture_logs() as logs:
        for _ in range(2):  # what was refused does not count
            with pytest.raises(ftplib.error_perm, match="552 A file may have 1000000 bytes at most"):
                await asyncio.to_thread(sent, ftp, f"STOR {name}", beyond)
            assert not [path for path in (exchange.data / "folders").rglob("*") if path.is_file()]
        await asyncio.to_thread(sent, ftp, "STOR IN/B.TXT", within)
        room = "1500000 bytes together: there is room for 500000, and this one has more"
        with pytest.raises(ftplib.error_perm, match=f"552 .* {room}"):
            await asyncio.to_thread(sent, ftp, f"STOR {name}", within)
        await asyncio.to_thread(sent, ftp, f"STOR {name}", within[:500_000])
    told = [one for one in logs if one["event"] == "file-too-large"]
    assert [(one["limit"], one["limit_bytes"]) for one in told] == [
        ("file", 1_000_000),
        ("file", 1_000_000),
        ("room", 1_500_000),
    ]
    assert {one["name"] for one in told} == {name}


async def test_what_is_gone_on_with_may_be_no_larger(exchange: Exchange) -> None:
    await exchange.add("bank", Limits(file_bytes=1000))
    with closing(await asyncio.to_thread(exchange.session, "bank", BANK)) as ftp:
        await asyncio.to_thread(sent, ftp, "STOR IN/A.TXT.part", b"x" * 900)
        with pytest.raises(ftplib.error_perm, match="552 A file may have 1000 bytes"):
            await asyncio.to_thread(sent, ftp, "APPE IN/A.TXT.part", b"x" * 101)


async def test_uploads_at_once_share_the_room(exchange: Exchange) -> None:
    await exchange.add("bank", Limits(file_bytes=1000, room_bytes=1500))
    one, other = [await asyncio.to_thread(exchange.session, "bank", BANK) for _ in range(2)]
    with closing(one), closing(other):
        for name in ("IN/A.TXT", "IN/A.TXT.part"):
            going = await begun(exchange, one, name, b"x" * 1000)
            with pytest.raises(ftplib.error_perm, match="there is room for 500, and this one has more"):
                await asyncio.to_thread(sent, other, "STOR IN/B.TXT", b"x" * 501)
            await asyncio.to_thread(sent, other, "STOR IN/B.TXT.part", b"x" * 500)
            assert (await ended(one, going))[:3] == "226"
            for left in (name, "IN/B.TXT.part"):
                await asyncio.to_thread(one.delete, left)
            await exchange.until(lambda used: used == [0], lambda: used_by(exchange, "bank"))
            await exchange.until(lambda growing: not growing, lambda: still_growing(exchange))


async def still_growing(exchange: Exchange) -> list[Path]:
    """An upload at its end is told of before it is measured."""
    return list(exchange.service.growing)


async def used_by(exchange: Exchange, partner: str) -> list[int]:
    await exchange.service.measure(partner)
    return [exchange.service.used_bytes[partner]]


async def begun(exchange: Exchange, ftp: ftplib.FTP_TLS, name: str, content: bytes) -> ssl.SSLSocket:
    """An upload of which so much has arrived, and more may come."""
    going = await asyncio.to_thread(ftp.transfercmd, f"STOR {name}")
    assert isinstance(going, ssl.SSLSocket)
    await asyncio.to_thread(going.sendall, content)

    async def sizes() -> list[int]:
        return [one.size for one in exchange.service.growing.values()]

    await exchange.until(lambda found: len(content) in found, sizes)
    return going


async def ended(ftp: ftplib.FTP_TLS, going: ssl.SSLSocket) -> str:
    """The reply to an upload that is whole."""
    with going:
        await asyncio.to_thread(going.unwrap)
    return await asyncio.to_thread(ftp.voidresp)


async def test_an_upload_goes_on_when_its_session_is_to_be_another_s(exchange: Exchange) -> None:
    """RFC 959, REIN: any transfer in progress is allowed to be completed."""
    await exchange.add("bank")
    with closing(await asyncio.to_thread(exchange.session, "bank", BANK)) as ftp:
        going = await begun(exchange, ftp, "IN/A.TXT", b"one ")
        assert (await asyncio.to_thread(ftp.sendcmd, "REIN"))[:3] == "220"
        await asyncio.to_thread(going.sendall, b"two")
        assert (await ended(ftp, going))[:3] == "226"
        with pytest.raises(ftplib.error_perm, match="530"):
            await asyncio.to_thread(ftp.pwd)
    assert (exchange.data / "folders/bank/IN/A.TXT").read_bytes() == b"one two"
    assert await exchange.events("IN/A.TXT") == ["arrived"]


async def test_a_disk_without_room_is_told_when_all_was_sent(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(size: int, _: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(filesystem, "_expect_allowed", full)
    with closing(await asyncio.to_thread(exchange.session, "boss", account_password(KEY, "boss"))) as ftp:
        with pytest.raises(ftplib.error_temp, match="452 There is no room"):
            await asyncio.to_thread(sent, ftp, "STOR DZMX/A.TXT", b"x" * 8_000_000)
        monkeypatch.undo()
        await asyncio.to_thread(sent, ftp, "STOR DZMX/A.TXT", b"x")


def sent(ftp: ftplib.FTP_TLS, command: str, content: bytes) -> None:
    """Uploads all of it before it looks at the reply, as curl does."""
    with closing(ftp.transfercmd(command)) as conn:
        conn.sendall(content)
        assert isinstance(conn, ssl.SSLSocket)
        conn.unwrap()
    ftp.voidresp()


async def test_one_address_does_not_take_all_connections(exchange: Exchange) -> None:
    with ExitStack() as silent, capture_logs() as logs:
        for _ in range(MOST_OF_ONE_ADDRESS):
            assert await asyncio.to_thread(greeted, silent, exchange, "127.0.0.5") == b"220"
        assert await asyncio.to_thread(greeted, silent, exchange, "127.0.0.5") == b"421"
        assert await exchange.folder("boss").names("DZMX") == []
    refused = [one for one in logs if one["event"] == "ftp-refused"]
    assert [(one["address"], one["why"]) for one in refused] == [("127.0.0.5", "connections of the address")]
    assert MOST_OF_ONE_ADDRESS * 4 < MOST_CONNECTIONS


async def test_who_does_not_sign_in_is_not_waited_for(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(await asyncio.to_thread(exchange.session, "boss", account_password(KEY, "boss"))) as known:
        assert SIGN_IN_SECONDS <= 30
        monkeypatch.setattr("server_stub.exchange.ftp.SIGN_IN_SECONDS", 0.05)
        with closing(socket.create_connection(exchange.doorway.address, 10)) as silent:
            told = await asyncio.to_thread(lambda: b"".join(iter(lambda: silent.recv(100), b"")))
        assert told.splitlines()[1:] == [b"421 Control connection timed out."]
        desk = exchange.door._desk
        assert desk is not None
        for session in desk.sessions:
            desk.post(session._expect_signed_in)
        assert await asyncio.to_thread(known.nlst) == ["DZMX"]


@pytest.mark.parametrize("length", [MOST_OF_A_LINE_BYTES + 1, 5000, 100_000])
async def test_a_command_that_is_too_long_gets_one_reply(exchange: Exchange, length: int) -> None:
    with closing(await asyncio.to_thread(exchange.session, "boss", account_password(KEY, "boss"))) as known:
        assert known.sock is not None
        known.sock.sendall(b"STAT " * (length // 5) + b"x" * (length % 5) + b"\r\nNOOP\r\nPWD\r\n")
        with pytest.raises(ftplib.error_perm, match="500 Command too long"):
            await asyncio.to_thread(known.getresp)
        assert (await asyncio.to_thread(known.getresp)).startswith("200")
        assert (await asyncio.to_thread(known.getresp)).startswith("257")


def greeted(silent: ExitStack, exchange: Exchange, address: str) -> bytes:
    """The code of the first reply on a connection from there, which stays open."""
    conn = socket.create_connection(exchange.doorway.address, 10, (address, 0))
    silent.enter_context(closing(conn))
    return conn.recv(3)


async def test_who_signs_in_while_accounts_are_read_stays_signed_in(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before he was there is older."""
    service, read, let_in = exchange.service, exchange.service.database.read, []

    async def slow(work: Any) -> Any:
        before = await read(work)
        if not let_in:
            await exchange.add("bank")
            let_in.append(await service.sign_in("bank", BANK, "192.0.2.7"))
        return before

    monkeypatch.setattr(service.database, "read", slow)
    await service._look()
    monkeypatch.undo()
    assert service.holds(let_in[0])


async def test_a_closed_account_does_nothing_more(exchange: Exchange) -> None:
    await exchange.add("bank")
    with closing(await asyncio.to_thread(exchange.session, "bank", BANK)) as ftp:
        assert await asyncio.to_thread(ftp.nlst) == ["IN", "OUT"]
        await exchange.service.database.write(
            lambda conn: accounts.set_state(conn, exchange.clock, "person:x", "bank", CLOSED)
        )
        exchange.clock.advance(6)

        async def known() -> list[Any]:
            await asyncio.sleep(0)
            return [exchange.service.known["bank"].state]

        await exchange.until(lambda states: states == [CLOSED], known)
        with pytest.raises(ftplib.error_temp, match="421 This account was closed or changed"):
            await asyncio.to_thread(ftp.nlst)
    with pytest.raises(FolderRefused, match="530"):
        await exchange.folder("bank", password=BANK).names("IN")


async def test_a_lock_out_ends_with_time_and_outlives_the_process(exchange: Exchange, tmp_path: Path) -> None:
    service, wrong, address = exchange.service, SecretText("wrong"), "192.0.2.7"
    right = account_password(KEY, "boss")
    for _ in range(3):
        with pytest.raises(SignInRefused, match="password"):
            await service.sign_in("boss", wrong, address)
    other = ExchangeService(
        service.database, exchange.clock, Ids(exchange.clock, os.urandom), tmp_path, KEY, 3
    )
    for one in (service, other):
        with pytest.raises(SignInRefused, match="locked-out") as refused:
            await one.sign_in("boss", right, address)
        assert refused.value.said == "Too many wrong passwords; the next try is in 20 min."
    assert (await service.sign_in("boss", right, "192.0.2.8")).name == "boss"
    exchange.clock.advance(20 * 60)
    for _ in range(5):  # those that are right do not count
        assert (await service.sign_in("boss", right, address)).name == "boss"
    # One address may not try all accounts there could be.
    for number in range(9):
        with pytest.raises(SignInRefused, match="no such account"):
            await service.sign_in(f"nobody{number}\0", wrong, "192.0.2.9")
    with pytest.raises(SignInRefused, match="locked-out"):
        await service.sign_in("nobody", wrong, "192.0.2.9")


async def test_many_guesses_at_once_are_no_more_than_one_by_one(exchange: Exchange) -> None:
    guesses = [exchange.service.sign_in("boss", SecretText("wrong"), "192.0.2.7") for _ in range(20)]
    found = await asyncio.gather(*guesses, return_exceptions=True)
    assert sorted(str(one) for one in found) == ["locked-out"] * 17 + ["password"] * 3


async def test_many_at_once_who_are_right_are_let_in(exchange: Exchange) -> None:
    """Each counts as wrong while it is looked at."""
    right, address = account_password(KEY, "boss"), "192.0.2.7"
    found = await asyncio.gather(*(exchange.service.sign_in("boss", right, address) for _ in range(20)))
    assert {one.name for one in found} == {"boss"}


async def test_a_stop_cuts_who_does_not_come_to_an_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "FINISH_SECONDS", 0.1)
    clock = SimulatedClock(START)
    service = ExchangeService(database, clock, Ids(clock, os.urandom), tmp_path, KEY, 3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        doorway = Doorway(listening, certificates)
        service.start()
        one = Exchange(service, clock, doorway, tmp_path)
        await one.door.start()
        with closing(await asyncio.to_thread(one.session, "boss", account_password(KEY, "boss"))) as ftp:
            upload = await asyncio.to_thread(ftp.transfercmd, "STOR DZMX/A.TXT")
            await asyncio.to_thread(upload.sendall, b"half")
            async with asyncio.timeout(5):
                await one.door.stop()
                await service.stop()
            upload.close()
    assert not [path for path in (tmp_path / "folders").rglob("*") if path.is_file()]


async def test_a_database_that_is_away_lets_nobody_in(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Any) -> Any:
        raise NoConnection("away")

    monkeypatch.setattr(exchange.service.database, "write", away)
    with capture_logs() as logs, pytest.raises(FolderUnreachable, match="421 Nobody can be signed in"):
        await exchange.folder("boss").names("DZMX")
    assert [one["event"] for one in logs] == ["database-away", "ftp-sign-in-put-off"]
    monkeypatch.undo()
    assert await exchange.folder("boss").names("DZMX") == []


async def test_a_full_disk_is_no_wrong_password(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it fills up once the password was right."""
    service, right, address = exchange.service, account_password(KEY, "boss"), "192.0.2.7"
    write = service.database.write

    async def fills_up(work: Callable[[Any], Any]) -> Any:
        if "give_back" in work.__qualname__:
            raise NoConnection("database or disk is full")
        return await write(work)

    monkeypatch.setattr(service.database, "write", fills_up)
    for _ in range(3):
        with pytest.raises(NoConnection):
            await service.sign_in("boss", right, address)
    monkeypatch.undo()
    exchange.clock.advance(6)

    async def owed() -> list[Any]:
        await asyncio.sleep(0)
        return service._owed

    await exchange.until(lambda attempts: attempts == [], owed)
    for _ in range(3):
        with pytest.raises(SignInRefused, match="password"):
            await service.sign_in("boss", SecretText("wrong"), address)


async def test_what_cannot_be_kept_is_not_acknowledged(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange.service.store, "put", full)
    (tmp_path / "source").write_bytes(b"one")
    with pytest.raises(FolderUnreachable, match="452 There is no room"):
        await exchange.folder("boss").deliver(tmp_path / "source", "DZMX/A.TXT")
    assert await exchange.folder("boss").names("DZMX") == []
    assert await exchange.files() == []


async def test_what_is_being_kept_is_not_written_to(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is free again when it is there whole, or could not be kept."""
    keep, name = exchange.service.store.put, "DZMX/A.TXT.part"
    begun, may_go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> Any:
        begun.set()
        may_go_on.wait(10)
        if not may_fail:
            return keep(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(exchange.service.store, "put", slow)
    password = account_password(KEY, "boss")
    one, other = [await asyncio.to_thread(exchange.session, "boss", password) for _ in range(2)]
    with closing(one), closing(other):
        await asyncio.to_thread(sent, one, f"STOR {name}", b"whole")
        for may_fail in (True, False):
            begun.clear()
            may_go_on.clear()
            renamed = asyncio.create_task(asyncio.to_thread(one.rename, name, "DZMX/A.TXT"))
            assert await asyncio.to_thread(begun.wait, 10)
            for command in ("STOR", "DELE", "RNFR"):
                with pytest.raises(ftplib.error_temp, match="450 Another connection is at this file"):
                    await asyncio.to_thread(other.sendcmd, f"{command} {name}")
            may_go_on.set()
            if may_fail:
                with pytest.raises(ftplib.error_temp, match="452"):
                    await renamed
        assert (await renamed)[:3] == "250"
        await asyncio.to_thread(sent, other, f"STOR {name}", b"next")
    assert (exchange.data / "folders/boss/DZMX/A.TXT").read_bytes() == b"whole"


async def test_an_upload_that_never_comes_lets_go_of_its_name(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server_stub.exchange.data.Waiting.timeout", 0.05)
    password, name = account_password(KEY, "boss"), "DZMX/A.TXT.part"
    silent, other = [await asyncio.to_thread(exchange.session, "boss", password) for _ in range(2)]
    with closing(silent), closing(other):
        for command in ("PASV", f"STOR {name}"):
            await asyncio.to_thread(silent.sendcmd, command)
        with pytest.raises(ftplib.error_temp, match="421 Passive data channel timed out"):
            await asyncio.to_thread(silent.getresp)
        await asyncio.to_thread(silent.pwd)  # it has been seen to
        monkeypatch.undo()
        await asyncio.to_thread(sent, other, f"STOR {name}", b"next")


async def test_what_two_processes_show_at_once_is_the_newest_version(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, place = exchange.service, Place("boss", "DZMX/A.TXT")
    other = ExchangeService(
        service.database, exchange.clock, Ids(exchange.clock, os.urandom), exchange.data, KEY, 3
    )
    account = await service.sign_in("boss", account_password(KEY, "boss"), "192.0.2.7")
    other._own.mkdir()
    show, entered, may_show = service._show, threading.Event(), threading.Event()

    def slow(*given: Any) -> None:
        entered.set()
        may_show.wait(10)
        show(*given)

    monkeypatch.setattr(service, "_show", slow)
    sources = [tmp_path / name for name in ("first", "second")]
    for source in sources:
        source.write_bytes(source.name.encode())
    first = asyncio.create_task(service.take_in(account, sources[0], place))
    assert await asyncio.to_thread(entered.wait, 10)
    second = asyncio.create_task(other.take_in(account, sources[1], place))
    await asyncio.wait([second], timeout=0.5)
    may_show.set()
    assert [(await one).version for one in (first, second)] == [1, 2]
    assert service.paths.of(place).read_bytes() == b"second"


async def test_what_was_agreed_is_changed_while_the_server_runs(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await exchange.add("bank", Limits(file_bytes=1000), addresses=["192.0.2.0/24", "127.0.0.1"])
    url = databases.of(tmp_path)
    where = ["--data", str(tmp_path), *(["--database", url] if url else [])]

    async def said(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(
            partners.run, parse(["partners", *words, *where], ROLES), exchange.clock
        )
        told = capsys.readouterr()
        return code, told.out + told.err

    async def known() -> list[Any]:
        await asyncio.sleep(0)
        return [exchange.service.known["bank"].connections]

    with closing(await asyncio.to_thread(exchange.session, "bank", BANK)) as client:
        done = await said("change", "bank", "--file-bytes", "2000", "--connections", "3", "--folder", "DK=rw")
        assert done == (0, "partner bank is changed\n")
        exchange.clock.advance(6)
        await exchange.until(lambda found: found == [3], known)
        with pytest.raises(ftplib.error_temp, match="421 This account was closed or changed"):
            await asyncio.to_thread(client.nlst)
    with closing(await asyncio.to_thread(exchange.session, "bank", BANK)) as client:
        assert await asyncio.to_thread(client.nlst) == ["DK"]
        await asyncio.to_thread(sent, client, "STOR DK/A.TXT", b"x" * 2000)
    row = exchange.service.known["bank"]
    assert row.addresses == ("192.0.2.0/24", "127.0.0.1/32")  # what is not given stays
    assert row.room_bytes == Limits().room_bytes
    assert (await said("change", "bank", "--address", "192.0.2.7"))[0] == 0
    with pytest.raises(SignInRefused, match="address"):
        await exchange.service.sign_in("bank", BANK, "127.0.0.1")
    assert (await said("change", "bank", "--address", "any"))[0] == 0
    assert (await exchange.service.sign_in("bank", BANK, "203.0.113.9")).addresses == ()
    assert await said("change", "nobody", "--address", "any") == (
        1,
        "stb-server: there is no partner nobody\n",
    )
    for words, why in (
        ((), "nothing is given that could be changed"),
        (("--address", "any", "--address", "192.0.2.7"), "an address like"),
        (("--folder", "in=r", "--folder", "IN=rw"), "folders in and IN differ in capitals only"),
        (("--folder", "IN=r", "--folder", "IN=rw"), "folder IN is named twice"),
        (("--folder", "IN=r", "--folder", "IN/SUB=rw"), "IN/SUB=rw: .* none is within another"),
    ):
        code, told = await said("change", "bank", *words)
        assert code == 1
        assert re.search(why, told), told
        if words[:1] == ("--folder",):
            assert await said("add", "other", *words) == (1, told)
    code, told = await said("change", "ppp", "--folder", "IN=rw")
    assert (code, told) == (1, "stb-server: the folders of ppp are those that this program works with\n")
    records = await exchange.service.database.read(
        lambda conn: [(row.action, row.subject) for row in conn.execute(tables.audit.records.select())]
    )
    assert records[-3:] == [("partner-changed", "bank")] * 3


async def test_the_command_and_a_backup(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = databases.of(tmp_path)
    where = ["--data", str(tmp_path), *(["--database", url] if url else [])]

    async def said(*words: str) -> tuple[int, str]:
        options = parse(["partners", *words, *where], ROLES)
        code = await asyncio.to_thread(partners.run, options, exchange.clock)
        told = capsys.readouterr()
        return code, told.out + told.err

    code, told = await said("add", "bank", "--address", "127.0.0.1", "--folder", "DK=r", "--folder", "YH=rw")
    assert code == 0
    password = SecretText(told.split()[5])
    (tmp_path / "source").write_bytes(b"one")
    await exchange.folder("bank", password=password).deliver(tmp_path / "source", "YH/YH20260621.copy")
    assert (await said("add", "bank")) == (1, "stb-server: there is a partner bank already\n")
    assert (await said("add", "Bank"))[0] == (await said("add", "b", "--address", "x"))[0] == 1
    assert (await said("add", "b", "--folder", "../x=rw"))[0] == 1
    listed = (await said("list"))[1].splitlines()
    assert listed[1].split() == ["bank", "open", "127.0.0.1/32", "DK=r", "YH=rw", "its", "own"]
    assert [line.split()[0] for line in listed[1:]] == ["bank", "boss", "ppp", "tsp"]
    assert "YH/YH20260621.copy" in (await said("files", "bank"))[1]
    assert (await said("files", "boss"))[1] == "no files\n"
    assert await said("close", "bank") == (0, "partner bank is closed\n")
    assert await said("open", "bank") == (0, "partner bank is open\n")
    other = SecretText((await said("password", "bank"))[1].split()[4])
    assert other != password
    assert await said("close", "nobody") == (1, "stb-server: there is no partner nobody\n")
    with pytest.raises(SignInRefused, match="password"):
        await exchange.service.sign_in("bank", password, "127.0.0.1")
    records = await exchange.service.database.read(
        lambda conn: [row.action for row in conn.execute(tables.audit.records.select())]
    )
    assert records[-4:] == ["partner-added", "partner-closed", "partner-opened", "partner-password"]

    kept, copy = tmp_path / "kept", tmp_path / "copy"
    (tmp_path / "folders/bank/YH/CUT.TXT.part").write_bytes(b"cut")
    made = await asyncio.to_thread(backup.make, kept, tmp_path, url, START.isoformat())
    assert [*made["roles"]] == ["exchange"]
    assert backup_files.EXCHANGED == ("files", "folders")
    backup.put_back(kept, copy, databases.empty(copy))
    assert (copy / "folders/bank/YH/YH20260621.copy").read_bytes() == b"one"
    assert not (copy / "folders/bank/YH/CUT.TXT.part").exists()
    row = (await exchange.service.database.read(tables.files.listed))[0]
    assert (copy / "files/exchange" / str(row.kept)).read_bytes() == b"one"
