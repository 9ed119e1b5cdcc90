"""What a partner's account sees of the disk, and the files that it uploads."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS

from server_stub.exchange.partners import Partner
from server_stub.exchange.paths import OddName, resolve
from server_stub.exchange.service import DELETED, Allowance, Growing, Place
from server_stub.foundation.folders import NAME, TEMPORARY


class TooLarge(OSError):
    """An upload has outgrown what its partner may have.

    Attributes:
        said: for the client: which limit, and how many bytes.
        facts: the same for the log.
    """

    def __init__(self, said: str, **facts: str | int) -> None:
        super().__init__(errno.EFBIG, os.strerror(errno.EFBIG))
        self.said, self.facts = said, facts


class InUse(Exception):
    """What is asked for has to wait until a transfer has ended, another's or one's own; the text says so."""


class Upload:
    """A file that a client writes.

    Args:
        path: where it grows.
        place: where it is to be shown.
        account: who delivers it; a session may meanwhile be another's.
        growing: told of every byte.
        allowance: how large it may become, at this moment.
        failed: told once, as soon as something cannot be written.

    Attributes:
        given_up: what still comes is thrown away. A connection that we closed meanwhile would be reset, and the client would see
            that rather than why.
    """

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        place: Place,
        account: Partner,
        growing: Growing,
        allowance: Callable[[], Allowance],
        failed: Callable[[Upload, OSError], None],
    ) -> None:
        self._file, self._growing, self._allowance, self._failed = file, growing, allowance, failed
        self.path, self.place, self.account = path, place, account
        self.name = str(path)
        self.given_up = False

    @property
    def closed(self) -> bool:
        return self._file.closed

    @property
    def temporary(self) -> bool:
        """Its name says that it is not whole; it may be gone on with."""
        return self.place.name.endswith(TEMPORARY)

    def write(self, chunk: bytes) -> None:
        if self.given_up:
            return
        try:
            size = self._file.tell() + len(chunk)
            _expect_allowed(size, self._allowance())
            self._growing.size = size
            self._file.write(chunk)
        except OSError as error:
            self.given_up = True
            # Before it is closed: from then on its name may be another's upload.
            self.discard(for_good=isinstance(error, TooLarge))
            with contextlib.suppress(OSError):  # on a full disk what is still to be written fails once more
                self._file.close()
            self._failed(self, error)

    def seek(self, position: int) -> None:
        self._file.seek(position)

    def close(self) -> None:
        """Raises OSError: there is no room for what was written last."""
        self._file.close()

    def discard(self, *, for_good: bool = False) -> None:
        """It was not whole; unless that is for good, a temporary one may be gone on with."""
        if for_good or not self.temporary:
            self.path.unlink(missing_ok=True)


class Filesystem(AbstractedFS):  # type: ignore[misc]
    """What an account sees: its folders below ``/``; plain files and folders, and no link."""

    def ftpnorm(self, ftppath: str) -> str:
        return "/" + "/".join(_parts(self.cwd, ftppath))

    def ftp2fs(self, ftppath: str) -> str:
        return str(Path(self.root, *_parts(self.cwd, ftppath)))

    def fs2ftp(self, fspath: str) -> str:
        return "/" + "/".join(self.parts(fspath))

    def validpath(self, path: str) -> bool:
        """Whether no link leads anywhere on the way."""
        return os.path.realpath(path) == str(Path(os.path.realpath(self.root), *self.parts(path)))

    def parts(self, path: str) -> tuple[str, ...]:
        """Where something is, from the account's root on."""
        return Path(path).relative_to(self.root).parts

    def place(self, path: str) -> Place:
        """The same, as partner and name."""
        parts, partner = self.parts(path), self.cmd_channel.partner
        return Place(parts[0], "/".join(parts[1:])) if partner.house else Place(partner.name, "/".join(parts))

    def chdir(self, path: str) -> None:
        # Not the process's: there is one for all.
        if not os.path.isdir(path):
            raise FilesystemError("No such folder")
        self.cwd = self.fs2ftp(path)

    def listdir(self, path: str) -> list[str]:
        rights, parts = self.cmd_channel.partner.rights, self.parts(path)
        with os.scandir(path) as found:
            return [
                one.name
                for one in found
                if NAME.fullmatch(one.name)
                and (one.is_dir(follow_symlinks=False) or one.is_file(follow_symlinks=False))
                and rights((*parts, one.name))
            ]

    def open(self, filename: str, mode: str) -> Any:
        session = self.cmd_channel
        session.let_go()
        if session.upload is not None:
            raise InUse("This connection's upload has not ended")
        if mode == "rb":
            return self._opened(filename, os.O_RDONLY, mode)
        desk, path, place = session.desk, Path(filename), self.place(filename)
        if desk.stopping:
            raise FilesystemError("The service is being stopped; try again")
        if filename.endswith(TEMPORARY):
            file = self.hold(filename, os.O_CREAT | (os.O_APPEND if mode == "ab" else 0), mode)
            before = os.fstat(file.fileno()).st_size  # what is there of it counts already
            if mode == "wb":
                file.truncate()
            return self._upload(file, path, place, before)
        if mode != "wb":
            raise FilesystemError(f"What is whole is not changed; go on with one that ends in {TEMPORARY}")
        if not path.parent.is_dir() or path.is_dir():
            raise FilesystemError(
                "No such folder" if not path.parent.is_dir() else "There is a folder of that name"
            )
        growing = desk.service.new_upload()
        file = self._opened(str(growing), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        return self._upload(file, growing, place, 0)

    def _upload(self, file: IO[bytes], path: Path, place: Place, before: int) -> Upload:
        session, service = self.cmd_channel, self.cmd_channel.desk.service
        account, growing = session.partner, Growing(place.partner, before, before)
        service.growing[path] = growing
        allowance = partial(service.allowance, account, growing)
        upload = Upload(file, path, place, account, growing, allowance, session.give_up)
        session.upload = upload
        return upload

    def hold(self, filename: str, how: int = 0, mode: str = "r+b") -> IO[bytes]:
        """A temporary file, which is nobody else's until what is returned is closed: no other session's, nor another process's.

        Args:
            how: more flags to open it with.

        Raises:
            InUse: it is being written, or renamed.
            FilesystemError: it cannot be opened.
        """
        try:
            file = self._opened(filename, os.O_RDWR | how, mode)
        except OSError as error:
            raise FilesystemError(os.strerror(error.errno or 0)) from error
        # Renamed or deleted just now it is another one's, or nobody's.
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(filename)):
                return file
        file.close()
        raise InUse("Another connection is at this file")

    def rename(self, src: str, dst: str) -> None:
        """From one temporary name to another."""
        with self.hold(src), self.hold(dst, os.O_CREAT):
            super().rename(src, dst)

    def remove(self, path: str) -> None:
        place, desk = self.place(path), self.cmd_channel.desk
        if path.endswith(TEMPORARY):
            with self.hold(path):
                super().remove(path)
        else:
            super().remove(path)
            desk.tell(desk.service.note(place, DELETED, by=self.cmd_channel.partner.name))
        desk.tell(desk.service.measure(place.partner))

    def get_user_by_uid(self, uid: int) -> str:
        return "exchange"

    def get_group_by_gid(self, gid: int) -> str:
        return "exchange"

    def _opened(self, filename: str, how: int, mode: str) -> IO[bytes]:
        file: IO[bytes] = open(  # noqa: SIM115
            filename, mode, opener=lambda name, _: os.open(name, how | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        )
        found = os.fstat(file.fileno())
        # What has another name is a kept one.
        if not stat.S_ISREG(found.st_mode) or (mode != "rb" and found.st_nlink > 1):
            file.close()
            raise FilesystemError("This is no file that can be opened so")
        return file


class Rights:
    """The library asks an authorizer; each session has its own, for its partner."""

    def __init__(self, partner: Partner, filesystem: Callable[[], Filesystem]) -> None:
        self._partner, self._filesystem = partner, filesystem

    def has_perm(self, username: str, perm: str, path: str | None = None) -> bool:
        if path is None:
            return True
        return perm in self._partner.rights(self._filesystem().parts(path))

    def get_perms(self, username: str) -> str:
        return "elrwadf"

    def get_msg_quit(self, username: str) -> str:
        return "Goodbye."

    def impersonate_user(self, username: str, password: str) -> None:
        """All files are this process's."""

    def terminate_impersonation(self, username: str) -> None:
        """Nor is anything given back."""


def _expect_allowed(size: int, allowance: Allowance) -> None:
    most, room, left = allowance
    if size > most:
        said = f"A file may have {most} bytes at most, and this one has more."
        raise TooLarge(said, limit="file", limit_bytes=most)
    if size > left:
        said = f"All files in the folders may have {room} bytes together: there is room for {left}, and this one has more."
        raise TooLarge(said, limit="room", limit_bytes=room, left_bytes=left)


def _parts(present: str, path: str) -> tuple[str, ...]:
    try:
        return resolve(present, path)
    except OddName as error:
        raise FilesystemError(str(error).capitalize()) from error
