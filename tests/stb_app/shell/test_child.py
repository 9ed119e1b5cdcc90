"""The bundled server as a child: its address, its restarts, its end."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from stb_app.shell.child import PAUSES_S, ServerChild

DEADLINE_S = 10.0
LISTEN = "print('something first'); print('stb-server listening on http://127.0.0.1:4711', flush=True);"
UNTIL_CLOSED = "import sys; sys.stdin.read(); print('orderly end', flush=True)"


class Watched:
    """A child whose pauses are kept, not waited for; after ``lives`` of them it is not started again."""

    def __init__(self, program: str, log_path: Path, lives: int = 1) -> None:
        self.addresses: list[str] = []
        self.downs = 0
        self.reasons: list[str | None] = []
        self.pauses: list[float] = []
        self.up = threading.Event()
        self.over = threading.Event()
        self._lives = lives
        self.ports: list[int] = []
        self.child = ServerChild(
            lambda port: (self.ports.append(port), (sys.executable, "-c", program))[1],
            log_path, self._address, self._down, self._wait,
        )  # fmt: skip
        self.child.start()

    def _address(self, url: str) -> None:
        self.addresses.append(url)
        self.up.set()

    def _down(self, why: str | None) -> None:
        self.downs += 1
        self.reasons.append(why)

    def _wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        if len(self.pauses) == self._lives:
            self.over.set()
            return True
        return False


def test_the_address_is_read_and_closing_ends_it_in_order(tmp_path: Path) -> None:
    log = tmp_path / "server" / "server.log"
    watched = Watched(LISTEN + UNTIL_CLOSED, log)
    assert watched.up.wait(DEADLINE_S)
    assert watched.addresses == ["http://127.0.0.1:4711"]
    watched.child.close()
    assert log.read_text().splitlines() == ["something first", "orderly end"]
    assert watched.downs == 0


def test_a_server_that_dies_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    watched = Watched("import sys; sys.exit('cannot')", tmp_path / "server.log", lives=4)
    assert watched.over.wait(DEADLINE_S)
    assert watched.pauses == list(PAUSES_S[:4])
    assert watched.downs == 4
    assert (tmp_path / "server.log").read_text().count("cannot") == 4


def test_one_that_cannot_start_as_it_was_told_to_says_why(tmp_path: Path) -> None:
    program = "import sys; sys.stderr.write('stb-server: a bad number\\n'); sys.exit({})"
    watched = Watched(program.format(2), tmp_path / "server.log", lives=2)
    assert watched.over.wait(DEADLINE_S)
    assert watched.reasons == ["stb-server: a bad number"] * 2
    crashed = Watched(program.format(1), tmp_path / "server.log")
    assert crashed.over.wait(DEADLINE_S)
    assert crashed.reasons == [None]


def test_one_that_had_come_up_is_started_again_at_once(tmp_path: Path) -> None:
    watched = Watched(LISTEN, tmp_path / "server.log", lives=3)
    assert watched.over.wait(DEADLINE_S)
    assert len(watched.addresses) == 3
    assert watched.pauses == [PAUSES_S[0]] * 3
    assert watched.ports == [0, 4711, 4711], "a code that is shown stays good only at the same port"


def test_a_program_that_is_not_there_is_no_crash(tmp_path: Path) -> None:
    over = threading.Event()
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        over.set()
        return True

    nothing: Callable[..., None] = lambda *_: None  # noqa: E731
    child = ServerChild(
        lambda port: (str(tmp_path / "missing"),), tmp_path / "server.log", nothing, nothing, wait
    )
    child.start()
    assert over.wait(DEADLINE_S)
    child.close()


def test_the_port_outlives_the_television_where_it_is_free(tmp_path: Path) -> None:
    """A code on a phone names it."""
    kept = tmp_path / "server.port"

    def first_port() -> int:
        ports: list[int] = []
        up = threading.Event()

        def command(port: int) -> tuple[str, ...]:
            ports.append(port)
            return (sys.executable, "-c", said + UNTIL_CLOSED)

        child = ServerChild(
            command, tmp_path / "log", lambda _: up.set(), lambda: None, lambda _: True, port_path=kept
        )
        child.start()
        assert up.wait(DEADLINE_S)
        child.close()
        return ports[0]

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = LISTEN.replace("4711", str(port))
        assert first_port() == 0
        assert kept.read_text() == f"{port}\n"
        assert first_port() == 0, "somebody else has it"
    assert first_port() == port
    kept.write_text("nonsense")
    assert first_port() == 0
