"""``stb-app enrol``, ``rotate-key`` and ``doctor`` against real servers, with and without TLS: every finding once."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from cardreader.errors import ReaderUnavailable, ServiceUnavailable
from server_stub import boxes, tls
from server_stub.boss import keys
from server_stub.boss.tables import metadata as boss_metadata
from server_stub.cli import parse as parse_server
from server_stub.opening import open_role
from server_stub.settings import Settings
from stb_app import cli, doctor, main, registration
from stb_app.kit.clock import CHINA, SystemClock
from stb_app.tsp.model import Hello
from stb_app.tsp.problem import Problem
from tests.server_stub.test_process import started

BOX = "85312047"
PAPERS = ("--smart-card", "8310220477550019", "--activation-code", "246810")
CHINESE = re.compile(r"[\u3000-\u9fff]")


@dataclass(frozen=True)
class Stand:
    """A server with TLS, its authority, and a box's data folder."""

    url: str
    authority: Path
    server: Path
    data: Path

    def run(self, command: str, *more: str) -> int:
        where = ("--tsp", self.url, "--ca", str(self.authority), "--data", str(self.data))
        return main.main([command, *where, "--lang", "en", *more])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("tls")
    with started(folder / "server", "--tls") as (_, url):
        assert url.startswith("https://127.0.0.1:")
        yield Stand(url, folder / "server" / tls.AUTHORITY, folder / "server", folder)


@pytest.fixture
def stand(server: Stand, tmp_path: Path) -> Stand:
    return replace(server, data=tmp_path / "box")


class Reader:
    def __init__(self, present: bool | Exception) -> None:
        self._present = present

    def card_present(self) -> bool:
        if isinstance(self._present, Exception):
            raise self._present
        return self._present


def look(
    url: str | None,
    data: Path,
    authority: Path | None = None,
    present: bool | Exception = False,
    ahead_s: float = 0,
    box: str = BOX,
) -> dict[str, tuple[str, str]]:
    """Verdict and English line by check; the Chinese line has to be Chinese."""
    options = cli.BoxOptions("doctor", url, authority, data, box, "pcsc:", "en", "", "")

    def now() -> datetime:
        return SystemClock().now() + timedelta(seconds=ahead_s)

    data.mkdir(exist_ok=True)
    findings = list(doctor.Doctor(options, data, now, lambda _: Reader(present)).findings())
    assert [one.check for one in findings] == list(doctor.CHECKS)
    chinese = registration.translator("zh")
    for one in findings:
        assert one.text == registration.REFUSED or CHINESE.search(chinese(one.text)), one.text
    for _, line in doctor.lines(iter(findings), chinese):
        assert re.match(r"[\u4e00-\u9fff]+：(正常|有问题|未检查)。", line), line
    return {one.check: (one.verdict, line) for one, line in doctor.lines(iter(findings), str)}


def test_a_box_that_is_in_order(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    assert stand.run("enrol", *PAPERS) == 0
    assert stand.run("doctor", "--reader", "sim:good") == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told[1:]] == [
        "Address", "Certificate", "Version", "Clock", "Registration", "Card reader",
    ]  # fmt: skip
    assert all(": ok. " in line for line in told[1:])
    assert told[4] == "Clock: ok. Right."
    assert stand.run("doctor", "--reader", "sim:", "--lang", "zh") == 0
    assert "登记：正常。" in capsys.readouterr().out


def test_a_box_changes_its_key_and_the_doctor_still_finds_it_well(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stand.run("rotate-key") == 1
    assert "not registered" in capsys.readouterr().err
    assert stand.run("rotate-key", "--lang", "zh") == 1
    assert "的登记。请登记" in capsys.readouterr().err
    assert stand.run("enrol", *PAPERS) == 0
    first = json.loads((stand.data / "enrolment.json").read_text())["key_id"]
    assert stand.run("rotate-key") == 0
    kept = json.loads((stand.data / "enrolment.json").read_text())
    assert first != kept["key_id"]
    assert (kept["next_key"], [one.stem for one in (stand.data / "keys").glob("*.pem")]) == (
        None,
        [kept["key_id"]],
    )
    assert look(stand.url, stand.data, stand.authority)["enrolment"][0] == "ok"


def test_the_operator_s_word_is_heard(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    def operator(*said: str) -> int:
        return boxes.run(parse_server(["boxes", *said, "--data", str(stand.server)], ()))

    assert stand.run("enrol", *PAPERS) == 0
    assert operator("stolen", BOX) == 0
    assert stand.run("enrol", *PAPERS) == 1
    assert "reported stolen" in capsys.readouterr().err
    assert operator("suspend", BOX) == 0
    assert stand.run("enrol", *PAPERS) == 1
    assert operator("activate", BOX) == 0
    assert stand.run("enrol", *PAPERS) == 0
    capsys.readouterr()
    assert operator("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].split() == ["BOX", "SMART", "CARD", "STATE", "SUBSCRIBER", "KEY"]
    key = json.loads((stand.data / "enrolment.json").read_text())["key_id"]
    assert re.split(" {2,}", lines[1])[:4] == [BOX, PAPERS[1], "active", "Ms Zhang"]
    assert re.split(" {2,}", lines[1])[4].startswith(f"{key} since ")
    assert ["85312050", "8310220477550043", "suspended", "Ms Chen", "none"] in [
        re.split(" {2,}", line) for line in lines
    ]
    assert operator("revoke", BOX) == 0
    assert look(stand.url, stand.data, stand.authority)["enrolment"] == (
        "wrong",
        "Registration: wrong. The registration of this box was withdrawn. "
        "Please call the hotline to have it registered again. (key-revoked)",
    )
    assert stand.run("enrol", *PAPERS) == 1  # its code has ended with its key
    capsys.readouterr()
    assert operator("list") == 0
    assert "none (key-revoked)" in capsys.readouterr().out
    assert operator("activate", BOX) == 0
    assert "may be registered once it has an activation code" in capsys.readouterr().out
    assert operator("activation", BOX) == 0
    code = capsys.readouterr().out.split("activation code ")[1].split()[0]
    assert stand.run("enrol", *PAPERS[:3], code) == 0
    with closing(open_role(boss_metadata, stand.server, "", os.urandom, make=False)) as boss:
        usual = keys.activation_hash(BOX, PAPERS[3])
        assert boss.submit(lambda conn: keys.set_activation(conn, BOX, usual)).result()
    assert operator("suspend", "99999999") == 1
    assert boxes.run(parse_server(["boxes", "list", "--data", str(stand.data)], ())) == 2


def test_the_server_s_key_changes_and_the_box_follows(stand: Stand) -> None:
    assert stand.run("enrol", *PAPERS) == 0
    before = json.loads((stand.data / "enrolment.json").read_text())["server_keys"]
    assert len(before) >= 1
    options = parse_server(["rotate-key", "--data", str(stand.server)], ())
    assert boxes.rotate_server_key(options) == 0
    assert look(stand.url, stand.data, stand.authority)["enrolment"][0] == "ok"


def test_wrong_papers_and_a_folder_in_use(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    assert stand.run("enrol", "--smart-card", "8310220477550019", "--activation-code", "000000") == 1
    told = capsys.readouterr().err
    assert all(word in told for word in ("Box number", "smart-card number", "activation code", "all three"))
    one_digit_wrong = ("--smart-card", "8310220477550010", "--activation-code", "246810")
    assert stand.run("enrol", *one_digit_wrong, "--lang", "zh") == 1
    assert capsys.readouterr().err.rstrip().endswith("请对照单据核对这三项。（activation-code-wrong）")
    assert stand.run("enrol", "--smart-card", "8310 2204 7755 0019", "--activation-code", "246810") == 0
    with main.only_one(stand.data):
        assert stand.run("enrol", *PAPERS) == 1
        assert "another television" in capsys.readouterr().err
        found = look(stand.url, stand.data, stand.authority)
        assert found["enrolment"][0] == "unknown"
        assert "Switch it off" in found["enrolment"][1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "No address was given"),
        ("nonsense", "is no address"),
        ("http://[::1", "is no address"),
        ("http://127.0.0.1:9", "Nobody takes calls"),
    ],
)
def test_an_address_that_leads_nowhere(url: str | None, words: str, tmp_path: Path) -> None:
    found = look(url, tmp_path)
    assert found["address"][0] == "wrong"
    assert words in found["address"][1]
    assert {
        check: verdict for check, (verdict, _) in found.items() if check not in ("address", "reader")
    } == {
        "certificate": "unknown",
        "clock": "unknown",
        "enrolment": "unknown",
        "version": "unknown",
    }
    assert found["reader"][0] == "ok"


@pytest.mark.parametrize(
    ("error", "words"), [(TimeoutError, "does not answer"), (socket.gaierror, "is not known")]
)
def test_an_address_that_is_silent_or_a_name_that_nobody_has(
    error: type[OSError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", silent)
    verdict, line = look("http://tsp.example:9", tmp_path)["address"]
    assert (verdict, words in line) == ("wrong", True)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Callable[[tls.Files | None], str]]:
    """A listener with these files that answers every request with one word; its address."""
    sockets: list[socket.socket] = []

    def listen(files: tls.Files | None) -> str:
        context = None
        if files is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files.certificate, files.key)
        own = socket.create_server(("127.0.0.1", 0))
        sockets.append(own)

        def serve() -> None:
            while True:
                try:
                    connection, _ = own.accept()
                except OSError:
                    return
                with connection:
                    try:
                        secured = (
                            connection
                            if context is None
                            else context.wrap_socket(connection, server_side=True)
                        )
                        secured.recv(4096)
                        secured.sendall(
                            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nword"
                        )
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        return f"{'http' if files is None else 'https'}://localhost:{own.getsockname()[1]}"

    yield listen
    for one in sockets:
        # Wakes the thread that waits for the next caller.
        one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.mark.parametrize(
    ("days", "host", "with_authority", "words"),
    [
        (0, "localhost", False, "Nobody this box trusts"),
        (-400, "localhost", True, "It has run out"),
        (1, "localhost", True, "It is not valid yet"),
        (0, "127.0.0.2", True, "It is not for 127.0.0.2"),
    ],
)
def test_a_certificate_that_is_not_right(
    days: int,
    host: str,
    with_authority: bool,
    words: str,
    tmp_path: Path,
    listener: Callable[[tls.Files | None], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = tls.files(Settings(), tmp_path, "localhost", SystemClock().now() + timedelta(days=days))
    url = listener(made)
    if host != "localhost":
        really, port = socket.create_connection, int(url.rpartition(":")[2])
        monkeypatch.setattr(socket, "create_connection", lambda *_: really(("127.0.0.1", port)))
        url = f"https://{host}:{port}"
    found = look(url, tmp_path / "box", made.authority if with_authority else None)
    assert found["certificate"][0] == "wrong"
    assert words in found["certificate"][1]
    assert found["clock"][0] == "unknown"


def test_no_tls_where_tls_was_asked_for_and_no_certificate_in_the_file(
    tmp_path: Path, listener: Callable[[tls.Files | None], str]
) -> None:
    url = listener(None).replace("http:", "https:")
    assert "begin with http://" in look(url, tmp_path)["certificate"][1]
    (tmp_path / "nothing.pem").write_text("nothing")
    assert "is no certificate" in look(url, tmp_path, tmp_path / "nothing.pem")["certificate"][1]


def test_a_platform_that_hangs_is_not_said_to_speak_another_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CONNECT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # the calls are taken by the system
        verdict, line = look(f"https://localhost:{nobody.getsockname()[1]}", tmp_path)["certificate"]
    assert (verdict, "says nothing" in line) == ("wrong", True)


def test_what_answers_is_no_platform(tmp_path: Path, listener: Callable[[tls.Files | None], str]) -> None:
    found = look(listener(None), tmp_path)
    assert found["certificate"] == (
        "ok", "Certificate: ok. None: the connection is not encrypted. Use https outside of a test network.",
    )  # fmt: skip
    assert found["version"][0] == "wrong"
    assert "no payment platform" in found["version"][1]


def test_http_where_tls_is_spoken_is_wrong_before_anything_is_asked(stand: Stand, tmp_path: Path) -> None:
    found = look(stand.url.replace("https:", "http:"), tmp_path)
    assert found["address"][0] == "ok"
    assert found["certificate"][0] == "wrong"
    assert "must begin with https://" in found["certificate"][1]
    assert {found[check][0] for check in ("version", "clock", "enrolment")} == {"unknown"}


def test_why_a_platform_says_nothing(tmp_path: Path) -> None:
    options = cli.BoxOptions("doctor", "https://127.0.0.1:1", None, tmp_path, BOX, "pcsc:", "en", "", "")
    silent = Problem("tsp-unreachable")
    silent.__cause__ = requests.ReadTimeout()
    said = doctor.Doctor(options, tmp_path, SystemClock().now, lambda _: Reader(None)).no_hello(silent)
    assert "perhaps the platform hangs" in said
    assert CHINESE.search(registration.translator("zh")(said))


def test_another_platform_than_the_box_s_own(
    stand: Stand, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert stand.run("enrol", *PAPERS) == 0
    with started(tmp_path / "other") as (_, url):
        capfd.readouterr()
        verdict, line = look(url, stand.data)["enrolment"]
    assert (verdict, "Another platform answers" in line) == ("wrong", True), line
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [
        (1.4, "ok. Right."),
        (-59, "ok. 59 seconds out, which does no harm."),
        (75, "wrong. This box is 75 seconds ahead: it says 13:19:15, right is 13:18:00. Set its clock."),
        (-91, "wrong. This box is 2 minutes behind: it says 13:16:29, right is 13:18:00. Set its clock."),
        (7200, "wrong. This box is 2 hours ahead: it says 15:18:00, right is 13:18:00. Set its clock."),
        (-864e6, "wrong. This box is 10000 days behind: it says 1999-07-08 13:18:00, right is 2026-11-23 13:18:00. Set"
                 " its clock."),
    ],
)  # fmt: skip
def test_a_clock_is_out_by_so_much(ahead_s: float, words: str) -> None:
    options = cli.BoxOptions("doctor", None, None, None, BOX, "pcsc:", "en", "", "")
    right = datetime(2026, 11, 23, 5, 18, tzinfo=UTC)
    hello = Hello("stb-pay", "1", 1, False, right, "96123")
    ours = right.astimezone(CHINA) + timedelta(seconds=ahead_s)
    look = doctor.Doctor(options, Path(), lambda: ours, lambda _: Reader(None))
    assert [line for _, line in doctor.lines(iter([look.clock(hello, ours, ours)]), str)] == [
        f"Clock: {words}"
    ]
    chinese = doctor.Doctor(replace(options, lang="zh"), Path(), lambda: ours, lambda _: Reader(None))
    found = chinese.clock(hello, ours, ours)
    [(_, line)] = doctor.lines(iter([found]), registration.translator("zh"))
    assert not re.search("[A-Za-z.]", line), line


def test_a_box_that_is_not_registered_and_one_whose_key_ended(stand: Stand, tmp_path: Path) -> None:
    assert "stb-app enrol" in look(stand.url, stand.data, stand.authority)["enrolment"][1]
    assert stand.run("enrol", *PAPERS) == 0
    other = replace(stand, data=tmp_path / "other")
    assert other.run("enrol", *PAPERS) == 0
    assert "is registered on another device" in look(stand.url, stand.data, stand.authority)["enrolment"][1]


def test_another_version_of_the_interface(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "API", 2)
    verdict, line = look(stand.url, stand.data, stand.authority)["version"]
    assert (verdict, "version 1 of the interface, this box version 2" in line) == ("wrong", True)


@pytest.mark.parametrize(
    ("present", "verdict", "words"),
    [
        (ReaderUnavailable("no reader is plugged in"), "wrong", "Check its cable."),
        (ServiceUnavailable("it does not run"), "wrong", "The smart-card service (pcscd) does not run"),
        (OSError("broken"), "wrong", "Check its cable."),
        (True, "ok", "a card is in it"),
        (False, "ok", "no card is in it"),
    ],
)
def test_the_reader(present: bool | Exception, verdict: str, words: str, tmp_path: Path) -> None:
    found = look(None, tmp_path, present=present)["reader"]
    assert (found[0], words in found[1]) == (verdict, True)


def test_something_wrong_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["doctor", "--data", str(tmp_path), "--reader", "sim:", "--lang", "en"]) == 1
    assert "Address: wrong. " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "words"), [(502, "A gateway on the way answers"), (302, "sends to another address")]
)
def test_what_answers_in_the_platform_s_place_is_called_what_it_is(status: int, words: str) -> None:
    options = cli.BoxOptions("doctor", "https://127.0.0.1:1", None, None, BOX, "pcsc:", "en", "", "")
    problem = Problem("tsp-unreachable", facts={"status": status})
    said = doctor.Doctor(options, Path(), SystemClock().now, lambda _: Reader(None)).no_hello(problem)
    assert words in said
    assert CHINESE.search(registration.translator("zh")(said))


def test_the_box_is_the_one_that_is_registered_from_the_folder(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    papers = ("--smart-card", "8310220477550027", "--activation-code", "246810")
    assert stand.run("enrol", "--box", "85312048", *papers) == 0
    capsys.readouterr()
    assert stand.run("doctor", "--reader", "sim:") == 0
    assert "Box 85312048 is registered, and in service as of" in capsys.readouterr().out
