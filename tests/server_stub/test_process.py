"""The command in a process of its own: start, health, stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.server_stub.system import ACTIVATION, SMART_CARDS

COMMAND = [sys.executable, "-m", "server_stub.main", "run"]


@contextmanager
def started(data: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address from the line it prints."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--data", str(data), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        prefix = "stb-server listening on "
        assert line.startswith(prefix)
        yield process, line.removeprefix(prefix).strip()
    finally:
        process.kill()
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def post(address: str, path: str, body: Any, headers: dict[str, str]) -> Any:
    key = {"Idempotency-Key": f"key-{path}".replace("/", "-")[:64]}
    return (
        httpx.post(f"{address}/stb/v1{path}", json=body, headers={**headers, **key}).raise_for_status().json()
    )


def test_it_answers_and_stops_on_sigterm_with_a_long_poll_open(tmp_path: Path) -> None:
    with started(tmp_path) as (process, address):
        health = httpx.get(f"{address}/healthz")
        assert health.json() == {"status": "ok", "roles": ["boss", "tsp", "sandbox"]}
        enrolment = {"box_number": "85312047", "activation_code": ACTIVATION}
        body = {**enrolment, "smart_card_number": SMART_CARDS["85312047"]}
        token = post(address, "/enrolments", body, {})["token"]
        headers = {"STB-Number": "85312047", "Authorization": f"Bearer {token}"}
        order = post(address, "/orders", {"service": "sports", "term": "monthly"}, headers)
        payment = post(address, f"/orders/{order['order']}/payments", {"method": "wallet:demo"}, headers)
        assert payment["qr"]["payload"].startswith(f"{address}/w/")
        answers: list[httpx.Response] = []
        path = f"{address}/stb/v1/payments/{payment['payment']}"
        sent = threading.Event()

        def poll() -> None:
            query = {"after": payment["version"], "wait": 25}
            with httpx.Client(timeout=30, event_hooks={"request": [lambda _: sent.set()]}) as client:
                answers.append(client.get(path, params=query, headers=headers))

        thread = threading.Thread(target=poll)
        thread.start()
        assert sent.wait(10)
        httpx.get(f"{address}/healthz")  # answered after the poll was taken in
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 2
        thread.join(10)
        assert answers[0].json()["state"] == "waiting"


def test_it_stops_when_its_parent_lets_go(tmp_path: Path) -> None:
    with started(tmp_path, "--parent-pipe") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    with started(tmp_path / "data"):
        for name in ("partners.key", "tsp.key"):
            assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600


def refused(*arguments: str, **environment: str) -> str:
    """Standard error of a start that must fail as a usage error."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_said_clearly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("--port", str(port), "--data", str(tmp_path))
    assert f"127.0.0.1:{port}" in message
    assert "in use" in message


def test_what_cannot_be_understood_is_said_clearly(tmp_path: Path) -> None:
    assert "no role 'bank'" in refused("bank")
    data = ("--port", "0", "--data", str(tmp_path))
    assert "STB_SERVER_QR_SECONDS" in refused(*data, STB_SERVER_QR_SECONDS="soon")
    assert "STB_SERVER_BOSS_URL" in refused("tsp", "sandbox", *data)
