"""The command in a process of its own: start, health, stop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography.fernet import Fernet
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.responses import Response

from server_stub import main
from server_stub.app import ROLES
from server_stub.boxes import rotate_server_key
from server_stub.cli import parse
from server_stub.foundation.audit import Audit
from server_stub.main import _config, bind, run
from server_stub.settings import Settings
from tests.postgres import cluster
from tests.server_stub.signing import RemoteBox
from tests.server_stub.system import first_database, first_start

COMMAND = [sys.executable, "-m", "server_stub", "run"]


@contextmanager
def started(data: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address from the line it prints."""
    port = () if "--port" in options else ("--port", "0")
    process = subprocess.Popen(
        [*COMMAND, *port, "--data", str(data), *options],
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


def test_it_answers_and_stops_on_sigterm_with_a_long_poll_open(tmp_path: Path) -> None:
    with started(tmp_path) as (process, address):
        health = httpx.get(f"{address}/healthz")
        assert health.json() == {
            "status": "ok",
            "roles": ["boss", "tsp", "sandbox", "ppp", "exchange", "backoffice"],
        }
        box = enrolled(address)
        order = box.post("/orders", service="sports", term="monthly")
        payment = box.post(f"/orders/{order['order']}/payments", method="wallet:demo")
        assert payment["qr"]["payload"].startswith(f"{address}/w/")
        answers: list[httpx.Response] = []
        sent = threading.Event()
        box.on_sent(sent.set)

        def poll() -> None:
            path = f"/payments/{payment['payment']}"
            answers.append(box.send("GET", path, timeout=30, after=payment["version"], wait=25))

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


@pytest.mark.parametrize("command", ["run", "check"])
def test_what_a_command_leaves_in_cycles_is_collected(tmp_path: Path, command: str) -> None:
    told = "import atexit, gc; atexit.register(lambda: print('collects', gc.isenabled()))"
    program = f"{told}; from server_stub.__main__ import main; main()"
    port = ("--port", "0") if command == "run" else ()
    with subprocess.Popen(
        [sys.executable, "-c", program, command, "--data", str(tmp_path), *port],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        if command == "run":
            assert process.stdout.readline().startswith("stb-server listening on")
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read().splitlines()[-1] == "collects True"


def enrolled(address: str) -> RemoteBox:
    """An enrolled box."""
    box = RemoteBox(address, "85312047")
    box.enrol()
    return box


def test_in_the_local_network_there_is_the_page_behind_a_code_and_nothing_else(tmp_path: Path) -> None:
    # All of 127.0.0.0/8 is this machine: .2 stands for its address in the local network.
    with started(tmp_path, "--lan", STB_SERVER_LAN_ADDRESS="127.0.0.2") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        box = enrolled(address)
        order = box.post("/orders", service="sports", term="monthly")
        payment = box.post(f"/orders/{order['order']}/payments", method="wallet:demo")
        payload = payment["qr"]["payload"]
        lan, _, code = payload.partition("/w/")
        assert lan.startswith("http://127.0.0.2:")
        assert len(payload) <= 62
        page = httpx.get(payload)
        assert order["number"] in page.text
        assert 'id="silence"' not in page.text
        assert 'id="silence"' in httpx.get(f"{address}/w/{code}").text
        paths = ("/", "/healthz", "/docs", "/openapi.json", "/sandbox/faults", "/stb/v1/hello")
        for path in (*paths, "/boss/v1/boxes/85312047/home", f"/stb/v1/payments/{payment['payment']}"):
            assert httpx.get(f"{lan}{path}", headers={"STB-Number": box.number}).status_code == 404, path
        assert httpx.put(f"{lan}/sandbox/faults", json={"gateway_silent": True}).status_code == 404
        assert httpx.post(f"{lan}/notices/wallets/demo").status_code == 404
        assert httpx.post(f"{payload}/silence").status_code == 404
        assert httpx.get(f"{address}/sandbox/faults").json() == {"gateway_silent": False}
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{lan.replace('127.0.0.2', '127.0.0.1')}/healthz")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address.replace('127.0.0.1', '127.0.0.2')}/healthz")
        assert httpx.post(f"{payload}/pay").status_code == 303
        follow(box, payment, "done")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def follow(box: RemoteBox, payment: Any, state: str) -> Any:
    """The payment once it is in that state."""
    while payment["state"] != state:
        payment = box.get(f"/payments/{payment['payment']}", after=payment["version"], wait=10)
    return payment


def test_a_tsp_that_was_killed_after_the_money_opens_the_service_when_it_is_back(tmp_path: Path) -> None:
    secret = {"STB_SERVER_PARTNER_KEY": "a-secret-of-this-test"}
    with started(tmp_path / "boss", "boss", **secret) as (boss, boss_address):
        tsp = {**secret, "STB_SERVER_BOSS_URL": boss_address}
        with started(tmp_path / "tsp", "tsp", "sandbox", **tsp) as (process, address):
            box = enrolled(address)
            order = box.post("/orders", service="sports", term="monthly")
            later = box.post("/orders", service="kids", term="monthly")
            payment = box.post(f"/orders/{order['order']}/payments", method="wallet:demo")
            boss.kill()
            boss.wait(10)
            assert httpx.post(f"{payment['qr']['payload']}/pay").status_code == 303
            assert follow(box, payment, "paid")["money"] == "taken"
            process.kill()
    port = boss_address.rpartition(":")[2]
    with (
        started(tmp_path / "boss", "boss", "--port", port, **secret),
        started(tmp_path / "tsp", "tsp", "sandbox", **tsp) as (_, address),
    ):
        done = follow(box.at(address), payment, "done")
        assert (done["money"], done["number"]) == ("taken", order["number"])
        sports = box.get("/services/sports")
        assert (sports["status"], sports["valid_until"]) == ("active", done["valid_until"])
        # What was only quoted when it was killed can be paid.
        assert box.post(f"/orders/{later['order']}/payments", method="wallet:demo")["state"] == "waiting"


def test_it_stops_when_its_parent_lets_go(tmp_path: Path) -> None:
    with started(tmp_path, "--parent-pipe") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


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


def test_a_second_server_over_the_same_folder_is_refused(tmp_path: Path) -> None:
    with started(tmp_path) as (_, address):
        message = refused("--port", "0", "--data", str(tmp_path))
        assert message.count("\n") == 1
        assert "another server" in message
        assert str(tmp_path) in message
        assert httpx.get(f"{address}/healthz").is_success


def test_a_server_that_was_killed_holds_its_folder_no_longer(tmp_path: Path) -> None:
    for _ in range(2):
        with started(tmp_path) as (process, address):
            assert httpx.get(f"{address}/healthz").is_success
            process.kill()


@pytest.mark.parametrize("name", ["tsp.db", "boss.db", "tsp.key", "partners.key"])
def test_a_file_that_is_not_what_it_should_be_is_said_clearly(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"x" if name == "tsp.key" else b"\xffgarbage\x00" * 1000)
    assert run(parse(["run", "--port", "0", "--data", str(tmp_path)], ROLES)) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(tmp_path / name) in message
    assert "put " in message


def test_a_port_that_is_taken_is_said_clearly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("--port", str(port), "--data", str(tmp_path))
    assert f"127.0.0.1:{port}" in message
    assert "in use" in message


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("bank",), {}, "no role 'bank'"),
        (("--port", "99999"), {}, "0 to 65535"),
        ((), {"STB_SERVER_QR_SECONDS": "soon"}, "STB_SERVER_QR_SECONDS"),
        (("tsp", "sandbox"), {}, "STB_SERVER_BOSS_URL"),
        ((), {"STB_SERVER_QR_SECONDS": "99999999999999"}, "STB_SERVER_QR_SECONDS"),
        ((), {"STB_SERVER_PARTNER_SECONDS": "nan"}, "STB_SERVER_PARTNER_SECONDS"),
        ((), {"STB_SERVER_PARTNER_SECONDS": "inf"}, "STB_SERVER_PARTNER_SECONDS"),
        ((), {"STB_SERVER_BOSS_URL": "nonsense"}, "STB_SERVER_BOSS_URL"),
        ((), {"STB_SERVER_WALLET_URL": "http://:99999"}, "STB_SERVER_WALLET_URL"),
        ((), {"STB_SERVER_NOTIFY_URL": "http://[::1"}, "STB_SERVER_NOTIFY_URL"),
        ((), {"STB_SERVER_BOSS_URL": "http://xn--\u00fc"}, "STB_SERVER_BOSS_URL"),
        ((), {"STB_SERVER_BOSS_URL": "http://u:a-secret@h:99999"}, "without a name or password"),
        ((), {"STB_SERVER_WALLET_URL": "http://u:a-secret@h"}, "STB_SERVER_WALLET_URL"),
        ((), {"STB_SERVER_PARTNER_KEY": "a-secret-of-this-te\u00dft"}, "STB_SERVER_PARTNER_KEY must be 16"),
        ((), {"STB_SERVER_PARTNER_KEY": "a secret of this test"}, "without spaces"),
        ((), {"STB_SERVER_PARTNER_KEY": "fifteen-letters"}, "'openssl rand -hex 32' makes one"),
        ((), {"STB_SERVER_PSAMS": "foo"}, "STB_SERVER_PSAMS: 'foo' names no PSAM; sim:1 to sim:999"),
        ((), {"STB_SERVER_PSAMS": "sim:1,sim:0"}, "'sim:0' names no PSAM"),
        ((), {"STB_SERVER_PSAMS": "sim:1000"}, "'sim:1000' names no PSAM"),
        ((), {"STB_SERVER_PSAMS": "sim:1:nobody"}, "'sim:1:nobody' names no PSAM"),
        ((), {"STB_SERVER_PSAMS": "pcsc:"}, "'pcsc:' names no PSAM"),
        ((), {"STB_SERVER_PSAMS": "sim:1, sim:1"}, "'sim:1' stands there twice"),
        (("--data", ""), {}, "a folder is wanted"),
        (("--host", ""), {}, "an address is wanted"),
        (("--host", "no such host"), {}, "cannot listen on no such host:0: this machine has no such address"),
        (("--host", "a" * 70), {}, "this machine has no such address; give --host one that it has"),
        (("--host", "192.0.2.1"), {}, "cannot listen on 192.0.2.1:0: this machine has no such address"),
        (("boss", "--lan"), {"STB_SERVER_LAN_ADDRESS": "127.0.0.2"}, "role sandbox"),
        (("--database", "mysql://stb@db/stb"), {}, "postgresql://user@host"),
        ((), {"STB_SERVER_DATABASE": "postgresql://stb@127.0.0.1:1/stb"}, "127.0.0.1:1/stb"),
        (("--lan",), {"STB_SERVER_LAN_ADDRESS": "::1"}, "STB_SERVER_LAN_ADDRESS"),
        (("--lan",), {"STB_SERVER_LAN_ADDRESS": "192.0.2.1"}, "give STB_SERVER_LAN_ADDRESS one that it has"),
    ],
)
def test_what_cannot_be_understood_is_said_clearly(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        sys.exit(run(parse(["run", "--port", "0", "--data", str(tmp_path), *arguments], ROLES)))
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert said in message
    assert "rrno" not in message
    assert "a-secret" not in message
    for secret in (value for name, value in environment.items() if name.endswith("_KEY")):
        assert secret not in message


def test_an_answer_s_parts_leave_at_once() -> None:
    """Nagle's algorithm would hold a body back until the box has acknowledged its head: 40 ms, for every answer."""
    seen: list[int] = []

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        seen.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(connected, sock=bind("127.0.0.1", 0)) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await reader.read()
            writer.close()

    asyncio.run(ask())
    assert seen == [1]


def test_nobody_is_believed_who_says_that_he_asks_for_another_unless_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else whoever is on this machine had as many addresses to guess from as he liked."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    assert not _config(FastAPI()).proxy_headers
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.7")
    believing = _config(FastAPI())
    assert (believing.proxy_headers, believing.forwarded_allow_ips) == (True, "192.0.2.7")


@pytest.mark.parametrize("name", ["tsp.key", "boss.db", "tsp.db"])
def test_a_server_does_not_begin_anew_beside_what_it_knew(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lost key or database is said; nothing is made in its place."""
    shutil.copytree(first_start().name, tmp_path, dirs_exist_ok=True)
    for role in ("boss", "tsp"):
        with closing(sqlite3.connect(tmp_path / f"{role}.db")) as conn, conn:
            columns = [row[1] for row in conn.execute("PRAGMA table_info(orders)")]
            conn.execute(f"INSERT INTO orders VALUES ({', '.join('0' for _ in columns)})")
    for file in tmp_path.glob(f"{name}*"):
        file.unlink()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run(parse(["run", "--port", "0", "--data", str(tmp_path)], ROLES)) == 2
    said = capsys.readouterr().err
    assert f"{name} is missing" in said
    assert said.count("\n") == 1
    after = sorted(path.name for path in tmp_path.iterdir() if path.suffix not in (".lock",))
    assert [path for path in after if not path.endswith(("-wal", "-shm"))] == before


def test_a_server_that_reaches_no_database_or_has_another_s_folder_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Least of all a key, which would be taken for the installation's."""
    data = tmp_path / "data"
    begun = cluster().make(first_database())
    nowhere = ("postgresql://stb@127.0.0.1:1/stb", "127.0.0.1:1/stb")
    for url, said in (nowhere, (cluster().url(begun), "tsp.key is missing")):
        assert run(parse(["run", "--port", "0", "--data", str(data), "--database", url], ROLES)) == 2
        assert said in capsys.readouterr().err
        assert not data.exists()
    cluster().drop(begun)


def test_a_key_of_another_server_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(first_start().name, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tsp.key").write_bytes(Fernet.generate_key())
    for command in (run, rotate_server_key):
        words = ["run", "--port", "0"] if command is run else ["rotate-key"]
        assert command(parse([*words, "--data", str(tmp_path)], ROLES)) == 2
        said = capsys.readouterr().err
        assert "tsp.key is not the key that this database was begun with" in said
        assert said.count("\n") == 1


def test_what_is_kept_is_the_owners_and_the_log_has_the_head_of_the_audit_log(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [*COMMAND, "--port", "0", "--data", str(data), "--parent-pipe"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    heads = {line["role"]: line["hash"] for line in lines if line["event"] == "audit-head"}
    with closing(sqlite3.connect(data / "tsp.db")) as conn:
        assert conn.execute("SELECT hash FROM audit_head").fetchone() == (heads["tsp"],)
    assert heads.keys() == {"backoffice", "boss", "exchange", "ppp", "tsp"}
    assert [path.name for path in data.rglob("*") if path.stat().st_mode & 0o077] == []
    # A reader who has seen enough.
    reading, writing = os.pipe()
    os.close(reading)
    listing = [sys.executable, "-m", "server_stub", "boxes", "list", "--data", str(data)]
    done = subprocess.run(listing, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_disk_that_is_full_when_the_roles_begin_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill the files open without room; the first thing that is written then has none."""
    shutil.copytree(first_start().name, tmp_path, dirs_exist_ok=True)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def no_room(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, full)

    monkeypatch.setattr(Audit, "append", no_room)
    assert run(parse(["run", "--port", "0", "--data", str(tmp_path)], ROLES)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"stb-server: {tmp_path}/exchange.db cannot be written, the disk is full;"
        " make room, or give --data another folder\n"
    )


def test_what_a_stop_breaks_off_is_answered_and_was_not_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "STOP_SECONDS", 0.1)
    shutil.copytree(first_start().name, tmp_path, dirs_exist_ok=True)
    options = parse(["run", "--port", "0", "--data", str(tmp_path)], ROLES)
    server, listener = main._server(options, Settings(psams=""))

    async def hang(_: Any) -> Response:
        server.should_exit = True
        await asyncio.Event().wait()
        raise AssertionError

    app: Any = server.config.app
    app.router.add_route("/hang", hang)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, f"{address}/hang", timeout=10)
        assert main._serve(server, listener, options) == main.FORCED
        answer = asked.result()
    assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_libraries_say_is_a_line_of_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    before = structlog.get_config()
    try:
        main.configure_logging()
        logging.getLogger("uvicorn.error").error("Cancel %d task(s)", 1, exc_info=ValueError("why"))
    finally:
        structlog.configure(**before)
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["logger"], told["level"]) == ("Cancel 1 task(s)", "uvicorn.error", "error")
    assert "ValueError: why" in told["exception"]
