"""A real pcscd with the virtual reader, for tests and benchmarks: the running one, or one of our own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SOCKET = Path("/run/pcscd/pcscd.comm")
PID_FILE = Path("/run/pcscd/pcscd.pid")
VIRTUAL_READER = "Virtual PCD 00 00"
_LOCK = Path(tempfile.gettempdir()) / f"stb-pay-pcscd-{os.getuid()}.lock"
_LOCK_TIMEOUT_S = 100.0
_START_TIMEOUT_S = 10.0
_POLL_S = 0.02


def poll(done: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Asks until it is done. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(_POLL_S)


@contextlib.contextmanager
def running_pcscd() -> Iterator[Callable[[], None]]:
    """A pcscd with an empty virtual reader, nobody else's as long as the block lasts. Yields what kills it and starts it anew.

    There is one pcscd on a machine and one card in a slot, so test processes take turns by a lock file.
    """
    with open(_LOCK, "w") as lock:
        poll(lambda: _try_lock(lock.fileno()), _LOCK_TIMEOUT_S, "another test run is using pcscd")
        if _service_answers():
            poll(
                _virtual_reader_empty,
                _START_TIMEOUT_S,
                "pcscd runs, but has no empty virtual reader",
            )

            def restart_unit() -> None:
                subprocess.run(["systemctl", "restart", "pcscd"], check=True)

            yield restart_unit
            return
        process = _start()

        def restart() -> None:
            nonlocal process
            process.kill()
            process.wait()
            process = _start()

        try:
            yield restart
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _service_answers() -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(SOCKET))
        except OSError:
            return False
    return True


def _start() -> subprocess.Popen[bytes]:
    program = shutil.which("pcscd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        raise RuntimeError("pcscd is not installed: install the packages pcscd and vsmartcard-vpcd")
    if os.geteuid() != 0:
        raise RuntimeError("pcscd does not run, and only root can start it: systemctl start pcscd")
    # A pcscd that was killed leaves these behind, and the next one then takes it for alive.
    SOCKET.unlink(missing_ok=True)
    PID_FILE.unlink(missing_ok=True)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [program, "--foreground", *_without_polkit(program)], stdout=log, stderr=subprocess.STDOUT
        )

        def ready() -> bool:
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"pcscd ended at once: {log.read().decode(errors='replace')}")
            return _service_answers() and _virtual_reader_empty()

        try:
            poll(ready, _START_TIMEOUT_S, "pcscd with the virtual reader (package vsmartcard-vpcd)")
        except Exception:
            process.kill()
            process.wait()
            raise
    return process


def _without_polkit(program: str) -> list[str]:
    """A pcscd of our own asks nobody: where no policy service runs, newer ones (2.0 and later) would turn everybody away."""
    usage = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=10)
    return ["--disable-polkit"] if "--disable-polkit" in usage.stdout + usage.stderr else []


def _virtual_reader_empty() -> bool:
    from cardreader.errors import ReaderUnavailable
    from cardreader.pcsc import PcscReader

    try:
        return not PcscReader(VIRTUAL_READER).card_present()
    except ReaderUnavailable:
        return False


class InsertedCard:
    """``stb-card insert`` in another process. The card is in the slot until `pull`, or the debit, or a fault."""

    def __init__(self, profile: str, state_dir: Path, *options: str, faults: Sequence[str] = ()) -> None:
        # pcscd notices late that a card has left: whoever waits for this one is not to find the one before.
        poll(_virtual_reader_empty, _START_TIMEOUT_S, "the virtual reader has no empty slot")
        command = [
            sys.executable,
            "-m",
            "cardreader",
            "fault" if faults else "insert",
            profile,
            *faults,
            "--state",
            str(state_dir),
            *options,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if "is inserted" not in first:
            raise RuntimeError(f"stb-card insert {profile} ended with {self._process.wait()}: {first}")

    def pull(self) -> int:
        """Pulls the card, if it is still in, and returns the process's exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits until the card has left by itself and returns the process's exit code."""
        self.said, _ = self._process.communicate(timeout=10)
        return self._process.returncode
