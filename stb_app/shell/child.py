"""The bundled server as a child of the television:
started, read for its address, restarted, and never left behind.
"""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Before the first, second ... restart in a row; the last one from then on."""
STOP_WITHIN_S = 5.0
CANNOT_START = 2
"""Exit code of a server that cannot start as it was told to; the last line on its standard error says why."""
_TAIL_BYTES = 4096
_LISTENING = re.compile(r"^stb-server listening on (https?://\S+:(\d+))\s*$")


class ServerChild:
    """Keeps one server running until ``close``.

    The child gets a pipe as its standard input and ends when that closes: also when the television is killed,
    nothing stays.

    Args:
        command: program and arguments for a port; 0 lets the server choose. A server that is started again gets the
            port it had, so that a code on a phone stays good.
        log_path: where its standard error goes, and what it prints besides its address.
        on_address: gets the server's URL whenever it has come up; on the child's own thread.
        on_down: the server has ended without having been asked to; on the same thread. Gets why, where it could not start
            as it was told to.
        wait: waits for seconds and returns True when it was ended by ``close``; a test passes its own.
        port_path: where the port is kept for the next time the television is switched on; used again while it is free.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        log_path: Path,
        on_address: Callable[[str], None],
        on_down: Callable[[str | None], None],
        wait: Callable[[float], bool] | None = None,
        port_path: Path | None = None,
    ) -> None:
        self._command = command
        self._port_path = port_path
        self._port = _free(_kept(port_path))
        self._log_path = log_path
        self._on_address = on_address
        self._on_down = on_down
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="server-child", daemon=True)

    def start(self) -> None:
        """Returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Asks the server to end by closing its input; ends it by force when it does not."""
        self._closing.set()
        with self._lock:
            process = self._process
        if process is not None:
            _end(process)
        self._thread.join(STOP_WITHIN_S)

    def _run(self) -> None:
        deaths = 0
        while not self._closing.is_set():
            came_up, why = self._live_once()
            if self._closing.is_set():
                return
            deaths = 0 if came_up else deaths
            log.warning("the server has ended; it is started again%s", f": {why}" if why else "")
            self._on_down(why)
            if self._wait(PAUSES_S[min(deaths, len(PAUSES_S) - 1)]):
                return
            deaths += 1

    def _live_once(self) -> tuple[bool, str | None]:
        """One life of the server: whether it had told its address; and why it could not start, where it has said so."""
        came_up, why = False, None
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("a", encoding="utf-8") as server_log:
            with self._lock:
                if self._closing.is_set():
                    return False, None
                began = server_log.tell()
                try:
                    process = self._process = subprocess.Popen(
                        self._command(self._port),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=server_log,
                        text=True,
                        # A Ctrl-C in the terminal is for the television, which then closes the pipe.
                        start_new_session=True,
                    )
                except OSError:
                    log.exception("the server cannot be started")
                    return False, None
            assert process.stdout is not None
            for line in process.stdout:
                found = _LISTENING.match(line)
                if found:
                    came_up = True
                    self._keep(int(found.group(2)))
                    self._on_address(found.group(1))
                else:
                    server_log.write(line)
                    server_log.flush()
            _end(process)
        if not came_up:
            self._port = 0  # somebody else may have taken it
            if process.returncode == CANNOT_START:
                why = _last_line(self._log_path, began)
        return came_up, why

    def _keep(self, port: int) -> None:
        if port == self._port and (self._port_path is None or self._port_path.exists()):
            return
        self._port = port
        if self._port_path is not None:
            try:
                self._port_path.write_text(f"{port}\n", encoding="ascii")
            except OSError:
                log.exception(
                    "the server's port cannot be kept: a code on a phone will not outlive the television"
                )


def _last_line(path: Path, began: int) -> str | None:
    """What was written last since that place in the file."""
    with path.open("rb") as log_file:
        log_file.seek(max(began, path.stat().st_size - _TAIL_BYTES))
        lines = log_file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


def _kept(path: Path | None) -> int:
    """The port of the last time; 0 when none is known."""
    try:
        text = path.read_text("ascii").strip() if path is not None else ""
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdecimal() and int(text) < 65536 else 0


def _free(port: int) -> int:
    """The port, or 0 when somebody else has it by now."""
    if port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return 0
    return port


def _end(process: subprocess.Popen[str]) -> None:
    """The child has had its say: input closed, a while to end in order, then force."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
