"""Agreed folders at other sides, where files are fetched and delivered: over FTP with TLS, or a plain folder.

FolderError                   what, where, and what to do; never a password
├── FolderUnreachable         away, silent, too slow, without room: the same works later
└── FolderRefused             not let in, not allowed, not there, not what was delivered: a person has to act

A delivery goes to a temporary name, which ends in ``.part``, is renamed, and is read back: size and SHA-256. Whoever lists a
folder sees no temporary names; so a file is there whole or not at all, and a delivery can be repeated as often as is liked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ftplib
import hashlib
import hmac
import os
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import structlog

from server_stub.foundation.secret import SecretText

TEMPORARY = ".part"
"""What the name of a file ends in that is not whole."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
"""What files and folders may be called: nothing that means something else to any system it comes by."""
BLOCK_BYTES = 1 << 16
SECONDS, LONGEST_SECONDS = 30.0, 900.0
PORT = 21
NOT_UNDERSTOOD = ("500", "502")
MARKS = ("size=", "modify=", "unique=")
"""Facts of a listing (RFC 3659, 7.5) that change with a file's content."""
FOR_A_PERSON = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM),
    *(errno.ELOOP, errno.EROFS, errno.ENOTEMPTY, errno.EEXIST),
)
"""What a machine says of a place where nothing will do until somebody does something about it."""
T = TypeVar("T")

log = structlog.get_logger(__name__)


class FolderError(Exception):
    """The root."""


class FolderUnreachable(FolderError):
    """The other side is away, or does not answer, or has no room at present."""


class FolderRefused(FolderError):
    """It cannot be done like this, however often it is tried."""


class _NotThere(FileNotFoundError):
    """The folder is there, and has no such file."""


class Entry(NamedTuple):
    """A file in a listing.

    Attributes:
        name: without the folder's.
        mark: changes when the file does; for comparing alone.
    """

    name: str
    mark: str


class Folder(Protocol):
    """One agreed place at another side.

    Names are relative, of parts as ``NAME`` has them: ``XFMX/XFMX20260621.TXT``. All methods raise FolderError, also for
    other names.
    """

    async def names(self, folder: str) -> list[str]:
        """The names of the files in a folder of it that are whole, sorted, without the folder's."""
        ...

    async def entries(self, folder: str) -> list[Entry]:
        """The same files, each with a mark that another content has not."""
        ...

    async def fetch(self, name: str, target: Path) -> None:
        """Copies a whole file to ``target``, or leaves that as it was. Raises FileNotFoundError too."""
        ...

    async def deliver(self, source: Path, name: str) -> None:
        """Puts a file there under that name, in place of any other; returns when it has been read back as it was sent.

        After FolderUnreachable nobody knows whether it is there; it can be delivered again.
        """
        ...


def folder_of(
    url: str,
    password: SecretText | None = None,
    authority: ssl.SSLContext | None = None,
    seconds: float = SECONDS,
) -> Folder:
    """The folder at an address: ``ftps://USER@HOST:PORT/BASE`` (explicit TLS) or ``file:///PATH``.

    Args:
        authority: whose certificates are believed; None: the system's.
        seconds: how long the other side may be silent.

    Raises:
        ValueError: it is no such address; its text has no password.
    """
    if url.startswith("file:///") and len(url) > len("file:///"):
        return LocalFolder(Path(unquote(urlsplit(url).path)))
    return FtpFolder(url, password or SecretText(""), authority, seconds)


def account_password(partner_key: SecretText, account: str) -> SecretText:
    """With what a bundled role signs in at the bundled exchange: both derive it from the partner key."""
    label = b"exchange account\0" + account.encode()
    return SecretText(hmac.new(partner_key.reveal().encode(), label, hashlib.sha256).hexdigest())


def split_name(name: str) -> tuple[str, str]:
    """Folder and file of a name.

    Raises:
        FolderRefused: a part has characters that some system could take for something else, or it is a temporary name.

    >>> split_name("XFMX/XFMX20260621.TXT")
    ('XFMX', 'XFMX20260621.TXT')
    """
    if not all(map(NAME.fullmatch, name.split("/"))) or name.endswith(TEMPORARY):
        raise FolderRefused(f"{name!r} is no name for a file to be exchanged")
    folder, _, file = name.rpartition("/")
    return folder, file


class Print(NamedTuple):
    """What two copies of a file are compared by: SHA-256 in hex, and bytes."""

    sha256: str
    size: int


def print_of(file: IO[bytes], copy: Callable[[bytes], object] | None = None) -> Print:
    """Reads a file from where it stands to its end; each block is handed to ``copy``."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
        if copy is not None:
            copy(block)
    return Print(digest.hexdigest(), size)


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def placed(target: Path) -> Iterator[IO[bytes]]:
    """A file to be written, which has its name, on the disk, when all went well; otherwise it is gone. Raises OSError."""
    part = target.with_name(target.name + TEMPORARY)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


class LocalFolder:
    """A folder of this machine, or a share that is mounted here.

    Args:
        path: with the agreed folders in it; none is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"LocalFolder({self._path})"

    async def names(self, folder: str) -> list[str]:
        return [entry.name for entry in await self.entries(folder)]

    async def entries(self, folder: str) -> list[Entry]:
        return await asyncio.to_thread(self._entries, folder)

    async def fetch(self, name: str, target: Path) -> None:
        await asyncio.to_thread(self._fetch, name, target)

    async def deliver(self, source: Path, name: str) -> None:
        await asyncio.to_thread(self._deliver, source, name)

    def _entries(self, folder: str) -> list[Entry]:
        with _local_words(self._path / folder), os.scandir(self._inside(folder)) as found:
            files = {one.name: one.stat() for one in found if one.is_file(follow_symlinks=False)}
            marks = {name: f"{one.st_size} {one.st_mtime_ns} {one.st_ino}" for name, one in files.items()}
        return [Entry(name, marks[name]) for name in _whole(marks)]

    def _fetch(self, name: str, target: Path) -> None:
        folder, file = split_name(name)
        with _local_words(self._path / name):
            path = self._inside(folder) / file
            with _opened(path, name) as source, placed(target) as copy:
                before = _standing(source)
                print_of(source, copy.write)
                if _standing(source) != before:
                    raise FolderUnreachable(f"{path} was changed while it was fetched")

    def _deliver(self, source: Path, name: str) -> None:
        folder, file = split_name(name)
        with source.open("rb") as original:
            wanted = print_of(original)
        with _local_words(self._path / name):
            target = self._inside(folder) / file
            with source.open("rb") as original, placed(target) as copy:
                _expect_unchanged(print_of(original, copy.write), wanted, source)
            with target.open("rb") as back:
                found = print_of(back)
            if found != wanted:
                target.unlink()
                raise _not_as_sent(str(target))

    def _inside(self, folder: str) -> Path:
        """The folder, which no link may lead out of."""
        _expect_folder(folder)
        path = (self._path / folder).resolve(strict=True)
        if not path.is_relative_to(self._path.resolve()):
            raise FolderRefused(f"{self._path / folder} leads out of {self._path}")
        return path


class FtpFolder:
    """A folder of an FTP server with TLS (RFC 4217): signed in anew for each call, passive mode, data under TLS too.

    Args:
        url: ``ftps://USER@HOST:PORT/BASE``; BASE is relative to where the account starts, with another slash before it absolute.
        authority: whose certificates are believed; None: the system's.
        seconds: how long the server may be silent.
        longest: how long one call may take.

    Raises:
        ValueError: it is no such address, or the context believes anybody; the text has no password.
    """

    def __init__(
        self,
        url: str,
        password: SecretText,
        authority: ssl.SSLContext | None,
        seconds: float,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        parts = _ftp_address(url)
        self._host, self._port = parts.hostname or "", parts.port or PORT
        self._user = unquote(parts.username or "")
        self._base = unquote(parts.path.removeprefix("/")).rstrip("/")
        self._password = password
        self._context = authority or ssl.create_default_context()
        if self._context.verify_mode is not ssl.CERT_REQUIRED:
            raise ValueError("certificates of an FTP server are verified, and this context believes anybody")
        if self._context.minimum_version < ssl.TLSVersion.TLSv1_2:
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seconds = seconds
        self._longest = longest

    def __repr__(self) -> str:
        return f"FtpFolder({self.address})"

    @property
    def address(self) -> str:
        """For people."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ftps://{self._user}@{host}:{self._port}/{self._base}"

    async def names(self, folder: str) -> list[str]:
        return [entry.name for entry in await self.entries(folder)]

    async def entries(self, folder: str) -> list[Entry]:
        def work(ftp: _Session) -> list[Entry]:
            self._enter(ftp, folder)
            marks = ftp.listed()
            return [Entry(name, marks[name]) for name in _whole(marks)]

        _expect_folder(folder)
        return await self._signed_in(work)

    async def fetch(self, name: str, target: Path) -> None:
        folder, file = split_name(name)

        def work(ftp: _Session) -> None:
            self._enter(ftp, folder)
            before = ftp.standing(file)
            if before is None:
                if file in ftp.listed():
                    raise FolderRefused(f"{self.address}: {name} may not be read")
                raise _NotThere(errno.ENOENT, f"not at {self.address}", name)
            with placed(target) as copy:
                found = ftp.received(f"RETR {file}", copy.write)
                if ftp.standing(file) != before or found.size != before[0]:
                    raise FolderUnreachable(f"{self.address}: {name} was changed while it was fetched")

        await self._signed_in(work)

    async def deliver(self, source: Path, name: str) -> None:
        folder, file = split_name(name)

        def work(ftp: _Session) -> None:
            with source.open("rb") as original:
                wanted = print_of(original)
            self._enter(ftp, folder)
            temporary = file + TEMPORARY
            try:
                with source.open("rb") as original:
                    _expect_unchanged(ftp.stored(temporary, original), wanted, source)
                if (standing := ftp.standing(temporary)) is None or standing[0] != wanted.size:
                    raise _not_as_sent(f"{self.address}: {name}")
                ftp.rename(temporary, file)
            except Exception:
                # Where the connection is what failed, the next delivery writes over what is left.
                with contextlib.suppress(OSError, EOFError, ftplib.Error):
                    ftp.delete(temporary)
                raise
            if ftp.received(f"RETR {file}") != wanted:
                ftp.delete(file)
                raise _not_as_sent(f"{self.address}: {name}")

        await self._signed_in(work)

    def _enter(self, ftp: _Session, folder: str) -> None:
        if folder:
            ftp.cwd(folder)

    async def _signed_in(self, work: Callable[[_Session], T]) -> T:
        """Runs ``work`` on a connection, in a thread. Whoever is no longer waited for is cut off, so that the thread ends."""
        ftp = _Session(self._context, self._seconds)
        try:
            async with asyncio.timeout(self._longest):
                return await asyncio.to_thread(self._run, ftp, work)
        except asyncio.CancelledError:
            ftp.cut_off()
            raise
        except TimeoutError:
            ftp.cut_off()
            raise FolderUnreachable(f"{self.address} took longer than {self._longest:g} s") from None

    def _run(self, ftp: _Session, work: Callable[[_Session], T]) -> T:
        try:
            ftp.connect(self._host, self._port)
            ftp.login(self._user, self._password.reveal())
            ftp.prot_p()
            ftp.voidcmd("TYPE I")
            if self._base:
                ftp.cwd(self._base)
            done = work(ftp)
            with contextlib.suppress(OSError, EOFError, ftplib.Error):
                ftp.quit()
            return done
        except (FolderError, FileNotFoundError):
            raise
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not believed ({error.verify_message})"
            raise FolderRefused(f"{self.address}: {why}") from None
        except ftplib.error_perm as error:
            raise FolderRefused(f"{self.address}: refused, {self._said(error)}") from None
        except (ftplib.Error, EOFError, OSError, ValueError) as error:
            raise FolderUnreachable(f"{self.address}: {self._said(error) or 'it has hung up'}") from None
        finally:
            ftp.close()

    def _said(self, error: BaseException) -> str:
        """What a server has said, in one line; some say again what they were told."""
        text = " ".join(str(error).split())
        secret = self._password.reveal()
        return text.replace(secret, str(self._password)) if secret else text


class _Session(ftplib.FTP_TLS):
    """One connection, whose data connections go on with the session of the control connection: some servers want that."""

    def __init__(self, context: ssl.SSLContext, seconds: float) -> None:
        super().__init__(context=context, timeout=seconds)
        self._data: socket.socket | None = None

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        self._data = conn
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            secured = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        except BaseException:
            conn.close()
            raise
        self._data = secured
        return secured, size

    def cut_off(self) -> None:
        """From another thread: whatever waits for the server ends."""
        for sock in (self._data, self.sock):
            if sock is not None:
                with contextlib.suppress(OSError):
                    # The TLS object is in use by its own thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def listed(self) -> dict[str, str]:
        """The files in the present folder, each with a mark that another content has not."""
        try:
            lines = [(facts.lower().split(";"), name) for facts, _, name in self._lines("MLSD")]
            files = {name: facts for facts, name in lines if "type=file" in facts}
            return {
                name: " ".join(sorted(fact for fact in facts if fact.startswith(MARKS)))
                for name, facts in files.items()
            }
        except ftplib.error_perm as error:
            if not str(error).startswith(NOT_UNDERSTOOD):
                raise
        try:
            names = ["".join(parts) for parts in self._lines("NLST")]
            return {name: str(self.standing(name)) for name in names}
        except ftplib.error_perm as error:
            if str(error).startswith("550"):  # how some say that there are none
                return {}
            raise

    def standing(self, name: str) -> tuple[int, str] | None:
        """Size of a file, and when it was changed; None where there is none."""
        try:
            size = self.size(name)
        except ftplib.error_perm as error:
            if str(error).startswith("550"):
                return None
            raise
        try:
            changed = self.voidcmd(f"MDTM {name}")
        except ftplib.error_perm:  # the size must do
            changed = ""
        return size or 0, changed

    def received(self, command: str, copy: Callable[[bytes], object] | None = None) -> Print:
        """What a command has sent; each block is handed to ``copy``."""
        with contextlib.closing(self.transfercmd(command)) as conn:
            with conn.makefile("rb") as file:
                found = print_of(file, copy)
            _end(conn)
        self.voidresp()
        return found

    def stored(self, name: str, source: IO[bytes]) -> Print:
        """Sends a file; returns what was sent of it."""
        with contextlib.closing(self.transfercmd(f"STOR {name}")) as conn:
            try:
                sent = print_of(source, conn.sendall)
            except OSError:
                conn.close()
                self.voidresp()  # why the server has hung up
                raise
            _end(conn)
        self.voidresp()
        return sent

    def _lines(self, command: str) -> list[tuple[str, str, str]]:
        """The lines that a command has sent, parted at the first space."""
        blocks: list[bytes] = []
        self.received(command, blocks.append)
        return [
            line.partition(" ") for line in b"".join(blocks).decode("utf-8", "replace").split("\r\n") if line
        ]


def _end(conn: socket.socket) -> None:
    """Says that this was all: without it, the other side cannot tell the end from a cut."""
    assert isinstance(conn, ssl.SSLSocket)
    with contextlib.suppress(OSError):  # it does not say so itself, and what has arrived is looked at
        conn.unwrap()


def _ftp_address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        right = parts.scheme == "ftps" and parts.hostname and parts.username and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or not url.isprintable():
        raise ValueError("an address like ftps://USER@HOST:PORT/FOLDER or file:///FOLDER is wanted")
    if parts.password is not None:
        raise ValueError("an address of a folder has no password in it")
    return parts


def _expect_folder(folder: str) -> None:
    if folder and not all(map(NAME.fullmatch, folder.split("/"))):
        raise FolderRefused(f"{folder!r} is no name of an agreed folder")


def _whole(found: Iterable[str]) -> list[str]:
    names = sorted(found)
    odd = [name for name in names if not NAME.fullmatch(name)]
    if odd:
        log.warning("folder-odd-names", names=odd[:5], count=len(odd))
    return [name for name in names if NAME.fullmatch(name) and not name.endswith(TEMPORARY)]


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _NotThere(errno.ENOENT, f"not in {path.parent}", name) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FolderRefused(f"{path} is no file")
        yield file


def _standing(file: IO[bytes]) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _expect_unchanged(sent: Print, wanted: Print, source: Path) -> None:
    if sent != wanted:
        raise FolderUnreachable(f"{source} was changed while it was delivered")


def _not_as_sent(where: str) -> FolderRefused:
    return FolderRefused(f"{where}: what is read back is not what was sent; it was taken away again")


@contextlib.contextmanager
def _local_words(place: Path) -> Iterator[None]:
    """What the machine says about a place, as FolderError."""
    try:
        yield
    except _NotThere:
        raise
    except OSError as error:
        kind = FolderRefused if error.errno in FOR_A_PERSON else FolderUnreachable
        raise kind(f"{place}: {error.strerror}") from error
