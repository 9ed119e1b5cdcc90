"""Who is let in, how many at once, who is locked out; accounts that are closed, changed, or added by the command."""

from __future__ import annotations

import asyncio
import ftplib
import os
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server_stub import backup, partners
from server_stub.app import ROLES
from server_stub.backup import files as backup_files
from server_stub.cli import parse
from server_stub.exchange import partners as accounts
from server_stub.exchange import tables
from server_stub.exchange.ftp import (
    MOST_CONNECTIONS,
    MOST_OF_A_LINE_BYTES,
    MOST_OF_ONE_ADDRESS,
    SIGN_IN_SECONDS,
)
from server_stub.exchange.partners import CLOSED, Limits
from server_stub.exchange.service import ExchangeService, SignInRefused
from server_stub.foundation.database import NoConnection
from server_stub.foundation.folders import FolderRefused, FolderUnreachable, account_password
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretText
from tests.server_stub.exchange.service import BANK, KEY, Exchange, sent
from tests.server_stub.system import START, databases

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True),
]


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


Said = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def said(exchange: Exchange, capsys: pytest.CaptureFixture[str]) -> Said:
    """What is answered to ``partners`` with these words, after its code."""
    url = databases.of(exchange.data)
    where = ["--data", str(exchange.data), *(["--database", url] if url else [])]

    async def run(*words: str) -> tuple[int, str]:
        options = parse(["partners", *words, *where], ROLES)
        code = await asyncio.to_thread(partners.run, options, exchange.clock)
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


async def test_what_was_agreed_is_changed_while_the_server_runs(exchange: Exchange, said: Said) -> None:
    await exchange.add("bank", Limits(file_bytes=1000), addresses=["192.0.2.0/24", "127.0.0.1"])

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


async def test_the_command_and_a_backup(exchange: Exchange, tmp_path: Path, said: Said) -> None:
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
    made = await asyncio.to_thread(backup.make, kept, tmp_path, databases.of(tmp_path), START.isoformat())
    assert [*made["roles"]] == ["exchange"]
    assert backup_files.EXCHANGED == ("files", "folders")
    backup.put_back(kept, copy, databases.empty(copy))
    assert (copy / "folders/bank/YH/YH20260621.copy").read_bytes() == b"one"
    assert not (copy / "folders/bank/YH/CUT.TXT.part").exists()
    row = (await exchange.service.database.read(tables.files.listed))[0]
    assert (copy / "files/exchange" / str(row.kept)).read_bytes() == b"one"
