"""What partners and the house send each other: kept whole, in every version, within what was agreed."""

from __future__ import annotations

import asyncio
import errno
import ftplib
import os
import socket
import ssl
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server_stub.exchange import filesystem, listener, tables
from server_stub.exchange.partners import Limits
from server_stub.exchange.service import ExchangeService, Place
from server_stub.foundation.database import Database
from server_stub.foundation.folders import FolderRefused, FolderUnreachable, account_password
from server_stub.foundation.ids import Ids
from tests.server_stub.exchange.service import BANK, KEY, Exchange, opened, sent

NAME = "XFMX/XFMX20260621.TXT"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True),
]


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


async def test_a_stop_cuts_who_does_not_come_to_an_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "FINISH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = await opened(database, tmp_path, listening)
        with closing(await asyncio.to_thread(one.session, "boss", account_password(KEY, "boss"))) as ftp:
            upload = await asyncio.to_thread(ftp.transfercmd, "STOR DZMX/A.TXT")
            await asyncio.to_thread(upload.sendall, b"half")
            async with asyncio.timeout(5):
                await one.door.stop()
                await one.service.stop()
            upload.close()
    assert not [path for path in (tmp_path / "folders").rglob("*") if path.is_file()]
