"""Agreed folders: one contract for a plain folder and one behind FTP, and what goes wrong with each."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation import folders
from server_stub.foundation.folders import (
    Folder,
    FolderRefused,
    FolderUnreachable,
    FtpFolder,
    LocalFolder,
    account_password,
    folder_of,
    split_name,
)
from server_stub.foundation.secret import SecretText
from tests.server_stub.ftp import PASSWORD, FtpServer, authority, serving

NAME = "XFMX/XFMX20260621.TXT"
CONTENT = b"H|20260621\n" + b"D|0001|400\n" * 30_000 + b"T|30000|12000000\n"
_bases = itertools.count()


class There:
    """A folder, and the other side's view of it.

    Attributes:
        path: where its files are.
        server: that is asked for it; None: nobody is.
    """

    def __init__(self, folder: Folder, path: Path, server: FtpServer | None = None) -> None:
        self.folder, self.path, self.server = folder, path, server

    def has(self) -> set[str]:
        """All files there, temporary ones too."""
        return {str(file.relative_to(self.path)) for file in self.path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    with serving(tmp_path_factory.mktemp("ftp")) as server:
        yield server


@pytest.fixture(params=["local", "ftp"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> There:
    """A folder with the agreed ``XFMX`` in it."""
    if request.param == "local":
        path = tmp_path / "share"
        (path / "XFMX").mkdir(parents=True)
        return There(LocalFolder(path), path)
    server: FtpServer = request.getfixturevalue("ftp")
    return _at(server)


@pytest.fixture
def behind(ftp: FtpServer) -> Iterator[There]:
    """One behind FTP, whose server may be told to do wrong."""
    yield _at(ftp)
    ftp.faults.__init__()  # type: ignore[misc]


def _at(server: FtpServer) -> There:
    name = f"base{next(_bases)}"
    path = server.folder / name
    (path / "XFMX").mkdir(parents=True)
    return There(FtpFolder(server.url(name), SecretText(PASSWORD), authority(), 5), path, server)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "made"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.anyio
async def test_what_is_delivered_is_there_whole_and_can_be_fetched(
    there: There, source: Path, tmp_path: Path
) -> None:
    await there.folder.deliver(source, NAME)
    assert there.has() == {NAME}
    assert (there.path / NAME).read_bytes() == CONTENT
    await there.folder.fetch(NAME, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == CONTENT
    assert not (tmp_path / "fetched.part").exists()


@pytest.mark.anyio
async def test_a_delivery_takes_the_place_of_the_one_before(there: There, source: Path) -> None:
    await there.folder.deliver(source, NAME)
    source.write_bytes(b"")
    for _ in range(2):
        await there.folder.deliver(source, NAME)
        assert (there.path / NAME).read_bytes() == b""
    assert there.has() == {NAME}


@pytest.mark.anyio
async def test_names_are_of_files_that_are_whole(there: There) -> None:
    assert await there.folder.names("XFMX") == []
    for name in ("B.TXT", "A.TXT", "C.TXT.part", "odd name.TXT", "\u8d26.TXT"):
        (there.path / "XFMX" / name).touch()
    (there.path / "XFMX" / "D.TXT").mkdir()
    assert await there.folder.names("XFMX") == ["A.TXT", "B.TXT"]
    assert await there.folder.names("") == []


@pytest.mark.anyio
async def test_what_is_not_there_is_said(there: There, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "fetched"
    with pytest.raises(FileNotFoundError) as missing:
        await there.folder.fetch(NAME, target)
    assert missing.value.filename == NAME
    for call in (
        lambda: there.folder.names("QSMX"),
        lambda: there.folder.fetch("QSMX/A.TXT", target),
        lambda: there.folder.deliver(source, "QSMX/A.TXT"),
    ):
        with pytest.raises(FolderRefused, match=r"No such file|no such"):
            await call()
    assert not target.exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name",
    [
        "",
        "/A",
        "../A",
        "XFMX/../A",
        "XFMX//A",
        ".A",
        "A B",
        "A\r\nDELE B",
        "A\\B",
        "A*",
        "\u8d26",
        "A.part",
        "-A",
        "A\0",
    ],
)
async def test_names_with_odd_characters_are_refused(there: There, source: Path, name: str) -> None:
    with pytest.raises(FolderRefused, match="no name"):
        await there.folder.deliver(source, name)
    with pytest.raises(FolderRefused, match="no name"):
        await there.folder.fetch(name, source)
    assert there.has() == set()
    if name and not name.endswith(".part"):
        with pytest.raises(FolderRefused, match="no name"):
            await there.folder.names(name)


@given(st.text(max_size=30) | st.from_regex(r"[A-Z]{4}/[A-Z0-9.]{1,12}", fullmatch=True))
def test_a_name_that_is_taken_stays_below_its_folder(name: str) -> None:
    try:
        folder, file = split_name(name)
    except FolderRefused:
        return
    assert name == f"{folder}/{file}".removeprefix("/")
    assert Path("/base", name).parent == Path("/base") / folder
    assert os.path.normpath(f"/base/{name}") == f"/base/{name}"
    assert file.isascii()
    assert file.isprintable()


@pytest.mark.anyio
async def test_without_room_nothing_is_there(there: There, source: Path) -> None:
    if there.server is not None:
        there.server.faults.full = True
    else:
        os.symlink("/dev/full", there.path / f"{NAME}.part")
    try:
        with pytest.raises(FolderUnreachable, match=r"No space left|transfer aborted|hung up"):
            await there.folder.deliver(source, NAME)
    finally:
        if there.server is not None:
            there.server.faults.full = False
    assert there.has() == set()
    await there.folder.deliver(source, NAME)
    assert there.has() == {NAME}


@pytest.mark.anyio
async def test_a_name_that_cannot_be_taken_is_refused(there: There, source: Path) -> None:
    """A folder stands there; nothing is left beside it."""
    (there.path / NAME).mkdir()
    with pytest.raises(FolderRefused, match="Is a directory"):
        await there.folder.deliver(source, NAME)
    assert there.has() == set()


@pytest.mark.anyio
async def test_a_file_that_changes_while_it_is_delivered_is_not_there(
    there: There, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    real = folders.print_of

    def changed(file: Any, copy: Any = None) -> Any:
        found = real(file, copy)
        if not seen:
            with source.open("r+b") as made:
                made.write(b"h")
        seen.append(found)
        return found

    monkeypatch.setattr(folders, "print_of", changed)
    with pytest.raises(FolderUnreachable, match="changed while it was delivered"):
        await there.folder.deliver(source, NAME)
    assert there.has() == set()


@pytest.mark.anyio
async def test_a_file_that_changes_while_it_is_fetched_is_not_kept(
    there: There, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (there.path / NAME).write_bytes(CONTENT)
    target = tmp_path / "fetched"
    target.write_bytes(b"from before")

    def grow(*_: object) -> None:
        with (there.path / NAME).open("ab") as more:
            more.write(b"more")

    real = folders.print_of

    def grown(file: Any, copy: Any = None) -> Any:
        found = real(file, copy)
        if not isinstance(file, io.BytesIO) and found.size >= len(CONTENT):
            grow()
        return found

    monkeypatch.setattr(folders, "print_of", grown)
    with pytest.raises(FolderUnreachable, match="changed while it was fetched"):
        await there.folder.fetch(NAME, target)
    assert target.read_bytes() == b"from before"
    assert not target.with_name("fetched.part").exists()


@pytest.mark.anyio
async def test_what_cannot_be_kept_here_is_said(there: There, tmp_path: Path) -> None:
    (there.path / NAME).write_bytes(CONTENT)
    os.symlink("/dev/full", tmp_path / "fetched.part")
    with pytest.raises(FolderUnreachable, match="No space left"):
        await there.folder.fetch(NAME, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


@pytest.mark.anyio
async def test_what_is_read_back_must_be_what_was_sent(behind: There, source: Path) -> None:
    assert behind.server is not None
    behind.server.faults.garbles = True
    with pytest.raises(FolderRefused, match="not what was sent"):
        await behind.folder.deliver(source, NAME)
    assert behind.has() == set()


@pytest.mark.anyio
async def test_a_plain_folder_is_read_back_too(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "share").mkdir()
    real = Path.replace

    def garbled(path: Path, target: Path) -> Any:
        path.write_bytes(b"garbage")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", garbled)
    with pytest.raises(FolderRefused, match="not what was sent"):
        await LocalFolder(tmp_path / "share").deliver(source, "A.TXT")
    assert not (tmp_path / "share" / "A.TXT").exists()


@pytest.mark.anyio
async def test_no_link_leads_out_of_a_plain_folder(tmp_path: Path, source: Path) -> None:
    share, other = tmp_path / "share", tmp_path / "other"
    share.mkdir()
    other.mkdir()
    (other / "A.TXT").write_bytes(b"a secret")
    os.symlink(other, share / "XFMX")
    os.symlink(other / "A.TXT", share / "B.TXT")
    folder = LocalFolder(share)
    with pytest.raises(FolderRefused, match="leads out"):
        await folder.fetch("XFMX/A.TXT", tmp_path / "fetched")
    with pytest.raises(FolderRefused, match="leads out"):
        await folder.deliver(source, "XFMX/A.TXT")
    with pytest.raises(FolderRefused):
        await folder.fetch("B.TXT", tmp_path / "fetched")
    assert await folder.names("") == []
    os.mkfifo(share / "C.TXT")
    with pytest.raises(FolderRefused, match="is no file"):
        await folder.fetch("C.TXT", tmp_path / "fetched")


@pytest.mark.anyio
@pytest.mark.parametrize("after", [0, 1000, 200_000])
async def test_a_server_that_goes_away_in_the_middle(
    behind: There, source: Path, tmp_path: Path, after: int
) -> None:
    assert behind.server is not None
    behind.server.faults.cut_after = after
    with pytest.raises(FolderUnreachable):
        await behind.folder.deliver(source, NAME)
    assert behind.has() <= {f"{NAME}.part"}
    (behind.path / NAME).write_bytes(CONTENT)
    with pytest.raises(FolderUnreachable):
        await behind.folder.fetch(NAME, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    behind.server.faults.cut_after = None
    await behind.folder.deliver(source, NAME)
    assert behind.has() == {NAME}


@pytest.mark.anyio
async def test_renaming_that_is_refused_leaves_nothing(behind: There, source: Path) -> None:
    assert behind.server is not None
    behind.server.faults.no_rename = True
    with pytest.raises(FolderRefused, match="Renaming is not allowed here"):
        await behind.folder.deliver(source, NAME)
    assert behind.has() == set()


@pytest.mark.anyio
@pytest.mark.parametrize("tells", [False, True])
async def test_a_wrong_password_is_a_persons_and_said_nowhere(
    behind: There, source: Path, tells: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert behind.server is not None
    behind.server.faults.tells = tells
    wrong = FtpFolder(behind.server.url(), SecretText("another-password"), authority(), 5)
    with caplog.at_level(logging.DEBUG), pytest.raises(FolderRefused, match="530") as refused:
        await wrong.deliver(source, NAME)
    ours = [record.getMessage() for record in caplog.records if record.name != "pyftpdlib"]
    assert "another-password" not in f"{refused.value!r} {wrong!r} {wrong.__dict__} {ours}"
    assert refused.value.__suppress_context__


@pytest.mark.anyio
async def test_a_certificate_of_another_authority_or_name_is_refused(behind: There, tmp_path: Path) -> None:
    assert behind.server is not None
    stranger = FtpFolder(behind.server.url(), SecretText(PASSWORD), None, 5)
    with pytest.raises(FolderRefused, match="certificate is not believed"):
        await stranger.names("")
    # All of 127.0.0.0/8 is this machine, and the certificate is for .1.
    elsewhere = behind.server.url().replace("127.0.0.1", "localhost")
    assert await FtpFolder(elsewhere, SecretText(PASSWORD), authority(), 5).names("") == []
    with serving(tmp_path, "127.0.0.2") as other:
        misnamed = FtpFolder(other.url(), SecretText(PASSWORD), authority(), 5)
        with pytest.raises(FolderRefused, match="certificate is not believed"):
            await misnamed.names("")
        assert other.faults.seen == ["AUTH"]


@pytest.mark.anyio
async def test_a_server_that_is_away_or_says_nothing_is_tried_again_later(
    behind: There, source: Path
) -> None:
    assert behind.server is not None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = FtpFolder(f"ftps://tsp@127.0.0.1:{port}", SecretText(PASSWORD), authority(), 5)
    with pytest.raises(FolderUnreachable, match=f"127.0.0.1:{port}"):
        await away.deliver(source, NAME)
    behind.server.faults.silent = True
    for limits in ((0.1, 60), (60, 0.1)):
        silent = FtpFolder(behind.server.url(), SecretText(PASSWORD), authority(), *limits)
        with pytest.raises(FolderUnreachable, match=r"timed out|took longer"):
            await silent.names("")


@pytest.mark.anyio
async def test_whoever_stops_waiting_leaves_no_thread_behind(behind: There, source: Path) -> None:
    assert behind.server is not None
    behind.server.faults.silent = True
    folder = FtpFolder(behind.server.url(), SecretText(PASSWORD), authority(), 60)
    waiting = asyncio.create_task(folder.names(""))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.1)
    async with asyncio.timeout(5):
        await asyncio.get_running_loop().shutdown_default_executor()


@pytest.mark.anyio
async def test_an_old_server_s_list_of_names_will_do(behind: There) -> None:
    assert behind.server is not None
    behind.server.faults.no_mlsd = True
    for name in ("B.TXT", "A.TXT", "C.TXT.part", "odd name.TXT"):
        (behind.path / "XFMX" / name).touch()
    assert await behind.folder.names("XFMX") == ["A.TXT", "B.TXT"]
    assert {"MLSD", "NLST"} <= {*behind.server.faults.seen}


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
async def test_everything_is_under_tls_of_1_2_at_least(behind: There) -> None:
    assert behind.server is not None
    context = authority()
    context.minimum_version = ssl.TLSVersion.TLSv1
    folder = FtpFolder(behind.server.url(), SecretText(PASSWORD), context, 5)
    assert await folder.names("") is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    seen = behind.server.faults.seen
    assert (
        seen.index("AUTH") < seen.index("USER") < seen.index("PASS") < seen.index("PROT") < seen.index("MLSD")
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://tsp@there/",
        "ftps://there/",
        "ftps://tsp@/",
        "ftps://tsp:a-secret@there/",
        "ftps://tsp@there:99999/",
        "ftps://tsp@there/\r\nDELE",
        "ftps://tsp@there/?a-secret",
        "file://",
        "file:///",
        "/srv/files",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"wanted|no password in it") as refused:
        folder_of(url, SecretText("x"))
    assert "a-secret" not in str(refused.value)


def test_an_address_says_which_kind_of_folder(tmp_path: Path) -> None:
    assert repr(folder_of(f"file://{tmp_path}/a%20b")) == f"LocalFolder({tmp_path}/a b)"
    assert repr(folder_of("ftps://tsp@[::1]:2121/ppp/")) == "FtpFolder(ftps://tsp@[::1]:2121/ppp)"
    believing_anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    believing_anybody.check_hostname = False
    believing_anybody.verify_mode = ssl.CERT_NONE
    with pytest.raises(ValueError, match="believes anybody"):
        folder_of("ftps://tsp@there", SecretText("x"), believing_anybody)


def test_a_bundled_account_s_password_is_its_own() -> None:
    key, other = SecretText("one partner key"), SecretText("another partner key")
    passwords = {
        account_password(one, name).reveal() for one in (key, other) for name in ("tsp", "ppp", "boss")
    }
    assert len(passwords) == 6
    assert account_password(key, "tsp") == account_password(key, "tsp")
