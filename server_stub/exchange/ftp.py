"""FTP with TLS for partners (RFC 959, 2228, 3659, 4217), on the library's loop in a thread of its own.

The loop serves all clients: whatever could wait is handed over (``Desk``), and the client's next commands stay in line until it
is done. Only what imports this needs the library, which takes a while to load.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, TypeVar

import structlog
from OpenSSL import SSL
from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer
from sqlalchemy.exc import SQLAlchemyError

from server_stub.exchange.data import Data, Waiting
from server_stub.exchange.filesystem import Filesystem, InUse, Rights, TooLarge, Upload
from server_stub.exchange.partners import Partner
from server_stub.exchange.service import ExchangeService, Place, SignInRefused
from server_stub.foundation.database import DatabaseFault, outage
from server_stub.foundation.folders import TEMPORARY
from server_stub.foundation.secret import SecretText

BACKLOG = 100
MOST_CONNECTIONS, MOST_OF_ONE_ADDRESS = 400, 64
SIGN_IN_SECONDS, IDLE_SECONDS = 20, 300
REFUSED_AFTER_SECONDS = 0.5
MOST_OF_A_LINE_BYTES = 2048
TOO_LONG = "\n"
"""Stands in the line for a command that was too long; none has that in it."""
MOST_IN_LINE = 16
"""Commands that wait while one is worked on; who sends more does not listen."""
LEFT_OUT = {
    *("PORT", "EPRT"),  # we connect to nobody
    *("MKD", "XMKD", "RMD", "XRMD"),  # folders are agreed
    *("SITE CHMOD", "MFMT", "STOU"),
}
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Session(TLS_FTPHandler):  # type: ignore[misc]
    """A client. Everything goes byte for byte, whatever type it names: files are compared by their hashes.

    Attributes:
        partner: as whom it is signed in.
        upload: what it writes, until that is whole.
    """

    dtp_handler = Data
    passive_dtp = Waiting
    abstracted_fs = Filesystem
    proto_cmds: ClassVar = {
        name: how for name, how in TLS_FTPHandler.proto_cmds.items() if name not in LEFT_OUT
    }
    tls_control_required = tls_data_required = True
    banner = "Exchange of files."
    timeout = IDLE_SECONDS
    auth_failed_timeout = REFUSED_AFTER_SECONDS
    use_sendfile = False
    desk: Desk
    partner: Partner | None = None
    upload: Upload | None = None
    _busy = _too_long = False
    _in_buffer: list[bytes]
    _in_buffer_len: int
    _in_dtp_queue: tuple[Upload, str] | None
    _rnfr: str | None

    def __init__(self, conn: socket.socket, server: FTPServer, ioloop: IOLoop | None = None) -> None:
        self._line: deque[tuple[str, str, str]] = deque()
        super().__init__(conn, server, ioloop)

    @property
    def _current_type(self) -> str:
        return "i"

    @_current_type.setter
    def _current_type(self, value: str) -> None:
        """Whatever the library sets."""

    def collect_incoming_data(self, data: bytes) -> None:
        self._too_long = self._too_long or self._in_buffer_len + len(data) > MOST_OF_A_LINE_BYTES
        if self._too_long:
            self._in_buffer, self._in_buffer_len = [], 0
        else:
            super().collect_incoming_data(data)

    def found_terminator(self) -> None:
        """One reply for each command, also for one that is too long: the library gives several, then takes its end for a command."""
        if self._too_long:
            self._too_long = False
            self.pre_process_command(TOO_LONG, "", "")
        else:
            super().found_terminator()

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        if self._busy:
            self._line.append((line, cmd, arg))
            if len(self._line) > MOST_IN_LINE:
                self.close()
            return
        if line is TOO_LONG:
            self.respond("500 Command too long.")
            return
        if self.partner is not None and not self.desk.service.holds(self.partner):
            self.respond("421 This account was closed or changed.")
            self.close_when_done()
            return
        try:
            super().pre_process_command(line, cmd, arg)
        except FilesystemError as error:
            self.respond(f"550 {error}.")
        except InUse as error:
            log.info("file-in-use", partner=self.username, address=self.remote_ip, command=cmd)
            self.respond(f"450 {error}; try again later.")

    def ftp_PASS(self, line: str) -> None:
        if self.authenticated or not self.username:
            super().ftp_PASS(line)
            return
        name, address = self.username, self.remote_ip.removeprefix("::ffff:")

        def let_in(partner: Partner) -> None:
            if self.desk.signed_in(partner.name) >= partner.connections:
                log.warning("ftp-refused", partner=name, address=address, why="connections")
                put_off("Too many connections of this account")
                return
            self.partner = partner
            self.authorizer = Rights(partner, lambda: self.fs)
            self.handle_auth_success(str(self.desk.root(partner)), "", "Signed in.")
            log.info("ftp-signed-in", partner=name, address=address)
            self._go_on()

        def refused(error: BaseException) -> None:
            if isinstance(error, SignInRefused):
                log.warning("ftp-refused", partner=name[:32], address=address, why=error.why)
                self.handle_auth_failed(error.said, "")
                return
            log.error("ftp-sign-in-put-off", partner=name[:32], address=address, error=_what(error))
            put_off("Nobody can be signed in at present")

        def put_off(why: str) -> None:
            # Not 530: to a client that would be a wrong password, which it need not try again.
            self.respond(f"421 {why}; try again later.")
            self.close_when_done()

        self._hand_over(self.desk.service.sign_in(name, SecretText(line), address), let_in, refused)

    def on_login_failed(self, username: str, password: str) -> None:
        self._go_on()

    def ftp_TYPE(self, line: str) -> None:
        self.respond("200 Whatever the type, files go byte for byte.")

    def ftp_RNFR(self, path: str) -> None:
        if path.endswith(TEMPORARY) and os.path.isfile(path):
            self.fs.hold(path).close()
        super().ftp_RNFR(path)

    def ftp_RNTO(self, path: str) -> None:
        source, self._rnfr = self._rnfr, None
        if source is None:
            self.respond("503 Bad sequence of commands: use RNFR first.")
        elif path.endswith(TEMPORARY):
            self._rename_temporary(source, path)
        elif not os.path.isfile(source) or os.path.isdir(path):
            self.respond(
                "550 There is a folder of that name." if os.path.isdir(path) else "550 No such file."
            )
        elif source == path:
            self.respond("250 It has that name.")
        else:
            temporary = source.endswith(TEMPORARY)
            was, held = (None, self.fs.hold(source)) if temporary else (self.fs.place(source), None)
            assert self.partner is not None
            said = "250 It has its name, and is kept."
            self._take_in(self.partner, Path(source), self.fs.place(path), said, was, held)

    def on_file_received(self, file: str) -> None:
        upload, self.upload = self.upload, None
        assert upload is not None
        if upload.temporary:
            self._measure(upload)
        else:
            self._take_in(upload.account, upload.path, upload.place, "226 It is there whole, and kept.")

    def on_incomplete_file_received(self, file: str) -> None:
        upload, self.upload = self.upload, None
        if upload is not None and upload.given_up:
            return
        name = file if upload is None else upload.place.name
        log.warning("file-cut", partner=self.username, address=self.remote_ip, file=Path(name).name)
        if upload is not None:
            upload.discard()
            self._measure(upload)

    def give_up(self, upload: Upload, error: OSError) -> None:
        """An upload cannot be gone on with. The client is told at once, and may go on sending."""
        said = self.words_of(error, upload.place)

        def measured(_: object) -> None:
            self.respond(said)
            self._go_on()

        measure = self.desk.service.measure(upload.place.partner, upload.path)
        self._hand_over(measure, measured, measured)

    def words_of(self, error: BaseException | None, place: Place | None = None) -> str:
        """The reply to a transfer that has failed, which is logged."""
        told = {"partner": self.username}
        if place is not None:
            told = {"partner": place.partner, "by": self.username, "name": place.name}
        if isinstance(error, TooLarge):
            log.warning("file-too-large", **told, **error.facts)
            return f"552 {error.said}"
        number = error.errno if isinstance(error, OSError) else None
        log.warning("transfer-failed", **told, error=os.strerror(number) if number else repr(error))
        if number in NO_ROOM:
            return "452 There is no room; try again later."
        return "451 The transfer has failed; try again later."

    def on_file_sent(self, file: str) -> None:
        if self.partner is not None and self.fs is not None and not file.endswith(TEMPORARY):
            self.desk.tell(self.desk.service.fetched(self.partner, self.fs.place(file)))

    def ftp_REIN(self, line: str) -> None:
        """RFC 959, 4.1.1 and 5.4: a transfer goes on to its end, and the reply is 220; the library's is another."""
        self.flush_account()
        self.respond("220 Ready for a new user.")

    def ftp_ABOR(self, line: str) -> None:
        super().ftp_ABOR(line)
        self.let_go()

    def flush_account(self) -> None:
        super().flush_account()
        self.partner = None
        self.let_go()

    def let_go(self) -> None:
        """An upload whose data connection has not come is none any more."""
        upload, data = self.upload, self.data_channel
        if upload is None or (data is not None and data.file_obj is upload):
            return
        self.upload = self._in_dtp_queue = None
        upload.close()
        upload.discard()
        self._measure(upload)

    def close(self) -> None:
        self.desk.sessions.discard(self)
        super().close()
        if self.upload is not None:  # its data connection has never come
            self.upload.close()
            self.upload.discard()
            self.desk.service.growing.pop(self.upload.path, None)

    def handle(self) -> None:
        self.desk.sessions.add(self)
        self.call_later(SIGN_IN_SECONDS, self._expect_signed_in)
        super().handle()

    def handle_max_cons(self) -> None:
        log.warning("ftp-refused", address=self.remote_ip, why="connections of all")
        super().handle_max_cons()

    def handle_max_cons_per_ip(self) -> None:
        log.warning("ftp-refused", address=self.remote_ip, why="connections of the address")
        super().handle_max_cons_per_ip()

    def _make_epasv(self, extmode: bool = False) -> None:
        self.let_go()  # or it would take the next one's data connection
        super()._make_epasv(extmode)

    def _expect_signed_in(self) -> None:
        """Whoever does not say who he is makes room for others, whatever else he says."""
        if self._busy:  # his password is being looked at
            self.call_later(REFUSED_AFTER_SECONDS, self._expect_signed_in)
        elif not self.authenticated:
            self.handle_timeout()

    def _rename_temporary(self, source: str, path: str) -> None:
        if not source.endswith(TEMPORARY):
            self.respond(f"550 What is whole gets no name that ends in {TEMPORARY}.")
            return
        try:
            if source != path:
                self.fs.rename(source, path)
        except OSError as error:
            self.respond(f"550 {os.strerror(error.errno or 0)}.")
        else:
            self.respond("250 It has that name.")

    def _measure(self, upload: Upload) -> None:
        """What its partner's folders take up has changed."""
        self.desk.tell(self.desk.service.measure(upload.place.partner, upload.path))

    def _take_in(
        self,
        account: Partner,
        source: Path,
        place: Place,
        said: str,
        was: Place | None = None,
        held: IO[bytes] | None = None,
    ) -> None:
        async def kept() -> None:
            with held or contextlib.nullcontext():
                await self.desk.service.take_in(account, source, place, was)

        def done(_: object) -> None:
            self.respond(said)
            self._go_on()

        def failed(error: BaseException) -> None:
            if isinstance(error, OSError):
                log.error("file-not-kept", partner=place.partner, name=place.name, error=str(error))
            room = isinstance(error, OSError) and error.errno in NO_ROOM
            self.respond(
                "452 There is no room; try again later."
                if room
                else "451 It could not be kept; try again later."
            )
            self._go_on()

        self._hand_over(kept(), done, failed)

    def _hand_over(
        self,
        work: Coroutine[Any, Any, T],
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """The client's next commands wait until it is done."""
        self._busy = True

        def ended(call: Callable[[Any], None], value: Any) -> None:
            if not self._closed:
                call(value)

        self.desk.ask(work, lambda value: ended(done, value), lambda error: ended(failed, error))

    def _go_on(self) -> None:
        self._busy = False
        while self._line and not self._busy and not self._closed:
            self.pre_process_command(*self._line.popleft())


class Server(FTPServer):  # type: ignore[misc]
    """Goes on accepting whatever one connection was like."""

    max_cons = MOST_CONNECTIONS
    max_cons_per_ip = MOST_OF_ONE_ADDRESS

    def handle_error(self) -> None:
        log.exception("exchange-fault")


class Contexts(NamedTuple):
    """TLS of control and data connections."""

    control: SSL.Context
    data: SSL.Context

    @classmethod
    def of(cls, certificate: Path, key: Path) -> Contexts:
        """With that certificate. Raises OpenSSL.SSL.Error."""
        return cls(*(context_of(certificate, key, data=data) for data in (False, True)))


class Desk:
    """Between the FTP's thread and the event loop.

    Args:
        loop: where the service is.

    Attributes:
        sessions: the clients that are connected.
        stopping: nothing new is begun.
    """

    def __init__(
        self,
        service: ExchangeService,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        contexts: Contexts,
        passive_ports: Sequence[int] | None,
    ) -> None:
        self.service = service
        self.sessions: set[Session] = set()
        self.stopping = False
        self._loop = loop
        self._asked: set[Future[Any]] = set()
        self._calls: deque[Callable[[], None]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._fileno = self._woken.fileno()
        self._ftp = IOLoop()
        self._ftp.register(self._fileno, self, self._ftp.READ)
        own = {"desk": self, "ssl_context": contexts.control, "passive_ports": passive_ports}
        self.data_context = contexts.data
        self._server = Server(
            listening, type("OwnSession", (Session,), own), ioloop=self._ftp, backlog=BACKLOG
        )

    def run(self) -> None:
        """Serves until ``end``; in a thread of its own."""
        while self._ftp.socket_map:
            try:
                self._ftp.loop()
            except Exception:
                log.exception("exchange-fault")

    def root(self, partner: Partner) -> Path:
        """What is ``/`` for an account."""
        folders = self.service.paths.folders
        return folders if partner.house else folders / partner.name

    def signed_in(self, name: str) -> int:
        """How many clients are signed in as a partner."""
        return sum(one.partner is not None and one.partner.name == name for one in self.sessions)

    def ask(
        self,
        work: Coroutine[Any, Any, T],
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Has something done in the event loop; what comes of it is told in the FTP's thread.

        Args:
            failed: logs an OSError: only it knows what that means.
        """
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._asked.add(asked)

        def ended(future: Future[T]) -> None:
            self._asked.discard(asked)
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self.post(lambda: done(future.result()))
                return
            if isinstance(error, (DatabaseFault, SQLAlchemyError)) and (said := outage(error)) is not None:
                log.error("database-away", error=said)
            elif not isinstance(error, (SignInRefused, OSError)):
                log.error("exchange-fault", exc_info=error)
            self.post(lambda: failed(error))

        asked.add_done_callback(ended)

    def tell(self, work: Coroutine[Any, Any, None]) -> None:
        """The same for what nobody waits for."""

        def failed(error: BaseException) -> None:
            if isinstance(error, OSError):
                log.error("exchange-fault", exc_info=error)

        self.ask(work, lambda _: None, failed)

    def post(self, call: Callable[[], None]) -> None:
        """Has something done in the FTP's thread."""
        self._calls.append(call)
        with contextlib.suppress(OSError):  # it has ended, or is awake
            self._wake.send(b"x")

    def quiet(self) -> bool:
        """Whether nothing is under way: no transfer, nothing that was handed over."""
        return not self._asked and all(
            one.data_channel is None for one in [*self.sessions] if not one._closed
        )

    def begin_stop(self) -> None:
        """Nobody else is let in, and nothing new is begun."""
        self.stopping = True
        self.post(self._server.close)

    def end(self) -> None:
        """Cuts whoever is still connected; ``run`` returns."""
        self.post(self._ftp.close)

    def drop(self) -> None:
        """What was handed over and is not done is given up."""
        for asked in [*self._asked]:
            asked.cancel()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        """The library's loop was woken."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._calls:
            try:
                self._calls.popleft()()
            except Exception:
                log.exception("exchange-fault")

    def handle_close(self) -> None:
        """Only we close it."""

    def close(self) -> None:
        """The library's loop ends."""
        self._wake.close()
        self._woken.close()


def context_of(certificate: Path, key: Path, *, data: bool) -> SSL.Context:
    """TLS 1.2 at least, with that certificate.

    Args:
        data: for data connections, which have no more than that: with TLS 1.3 we would send session tickets that nobody reads who
            only uploads; the system of a client that closes then answers with a reset, and the end of its file is lost.

    Raises:
        OpenSSL.SSL.Error
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    if data:
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_id(b"stb-exchange")
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    return context


def _what(error: BaseException) -> str:
    """In one line, without values."""
    said = error.strerror if isinstance(error, OSError) else outage(error)
    return said or type(error).__name__
