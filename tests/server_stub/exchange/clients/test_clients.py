"""The exchange of a real server, asked by lftp, curl and Python's ftplib."""

from __future__ import annotations

import ftplib
import hashlib
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from server_stub.exchange.partners import Limits
from tests.server_stub.exchange.clients.server import CONTENT, Exchange, ran, uploading

pytestmark = pytest.mark.xdist_group("exchange")  # one server for all of the folder
ELSEWHERE, STRANGE, GUESSING = "127.0.0.9", "127.0.1.1", "127.0.0.7"
"""All of 127.0.0.0/8 is this machine."""


def test_lftp_puts_lists_goes_on_and_gets(exchange: Exchange, source: Path, tmp_path: Path) -> None:
    half, back = tmp_path / "half", tmp_path / "back"
    for path in (half, back):
        path.write_bytes(CONTENT[:300_000])
    done = exchange.lftp(
        "ppp",
        "cd XFJG",
        f"put {half} -o XFJG20260621.TXT.part",
        f"put -c {source} -o XFJG20260621.TXT.part",
        "mv XFJG20260621.TXT.part XFJG20260621.TXT",
        f"put {source} -o LFTP.TXT",
        "cls -1",
        f"get -c XFJG20260621.TXT -o {back}",
        "rm LFTP.TXT",
    )
    assert done.returncode == 0, done.stderr
    names = done.stdout.decode().split()
    assert {"LFTP.TXT", "XFJG20260621.TXT"} <= {*names}
    assert "XFJG20260621.TXT.part" not in names
    assert back.read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    listed = exchange.listed("ppp")
    for name in ("XFJG/XFJG20260621.TXT", "XFJG/LFTP.TXT"):
        assert ["ppp", "in", name, "1", "arrived", str(len(CONTENT)), digest] in listed
    assert not any(one[2].endswith(".part") for one in listed)
    assert "LFTP.TXT" not in exchange.shown("ppp/XFJG")


def test_curl_puts_lists_goes_on_and_gets(exchange: Exchange, source: Path, tmp_path: Path) -> None:
    back = tmp_path / "back"
    back.write_bytes(CONTENT[:123_456])
    put = exchange.curl("boss", "DZMX/DZMX20260621.TXT", "-T", str(source))
    assert put.returncode == 0, put.stderr
    assert exchange.curl("boss", "DZMX/", "--list-only").stdout.decode().split() == ["DZMX20260621.TXT"]
    got = exchange.curl("boss", "DZMX/DZMX20260621.TXT", "-C", "-", "-o", str(back))
    assert got.returncode == 0, got.stderr
    assert back.read_bytes() == CONTENT
    empty = tmp_path / "empty"
    empty.touch()
    assert exchange.curl("boss", "DZMX/EMPTY.TXT", "-T", str(empty)).returncode == 0
    assert [
        "boss",
        "in",
        "DZMX/EMPTY.TXT",
        "1",
        "arrived",
        "0",
        hashlib.sha256().hexdigest(),
    ] in exchange.listed()


def test_the_house_gives_and_takes_in_every_partner_s_folder(exchange: Exchange, source: Path) -> None:
    for partner, folder in (("ppp", "XFMX"), ("bank", "OUT")):
        put = exchange.curl("tsp", f"{partner}/{folder}/HOUSE20260621.TXT", "-T", str(source))
        assert put.returncode == 0, put.stderr
        assert exchange.curl(partner, f"{folder}/HOUSE20260621.TXT").stdout == CONTENT
        told = [one for one in exchange.listed(partner) if one[2] == f"{folder}/HOUSE20260621.TXT"]
        assert [one[:4] for one in told] == [[partner, "out", f"{folder}/HOUSE20260621.TXT", "1"]]
        # What it gets, a partner only reads.
        assert exchange.curl(partner, f"{folder}/HOUSE20260621.TXT", "-T", str(source)).returncode == 25
        assert exchange.curl(partner, f"{folder}/", "-Q", "DELE HOUSE20260621.TXT").returncode == 21
    listed = exchange.curl("tsp", "", "--list-only").stdout.decode().split()
    assert listed == ["bank", "boss", "ppp", "small"]


def test_what_is_text_to_others_goes_byte_for_byte_too(exchange: Exchange) -> None:
    lines = b"H|1\r\nT|1\n"
    with exchange.ftplib("boss") as ftp:
        ftp.voidcmd("TYPE A")
        with closing(ftp.transfercmd("STOR DZMX/LINES.TXT")) as conn:
            conn.sendall(lines)
            assert isinstance(conn, ssl.SSLSocket)
            conn.unwrap()
        ftp.voidresp()
        with closing(ftp.transfercmd("RETR DZMX/LINES.TXT")) as conn:
            assert conn.recv(100) == lines
    told = [one for one in exchange.listed("boss") if one[2] == "DZMX/LINES.TXT"]
    assert [one[6] for one in told] == [hashlib.sha256(lines).hexdigest()]


def test_curl_and_lftp_hear_what_was_agreed(exchange: Exchange, tmp_path: Path) -> None:
    """Not that the connection was reset, which would be tried again for ever."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * 20_000_000)
    put = exchange.curl("small", "IN/A.TXT", "-v", "-T", str(large))
    assert put.returncode == 70  # "remote disk full"
    assert b"552 A file may have 1000 bytes at most, and this one has more." in put.stderr
    put = exchange.lftp("small", f"put {large} -o IN/A.TXT.part")
    assert put.returncode == 1
    assert b"552 A file may have 1000 bytes at most" in put.stderr
    assert exchange.shown("small/IN") == []
    assert exchange.growing() == []


def test_two_at_once_do_not_get_into_each_other_s_way(exchange: Exchange, tmp_path: Path) -> None:
    contents = {name: hashlib.shake_128(name.encode()).digest(400_000) for name in ("one", "two")}
    done: dict[str, int] = {}

    def put(name: str) -> None:
        (tmp_path / name).write_bytes(contents[name])
        done[name] = exchange.curl("bank", f"IN/{name}.TXT", "-T", str(tmp_path / name)).returncode

    threads = [threading.Thread(target=put, args=(name,)) for name in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert done == {"one": 0, "two": 0}
    for name, content in contents.items():
        assert exchange.curl("bank", f"IN/{name}.TXT").stdout == content


def test_a_slow_client_holds_up_nobody(exchange: Exchange, source: Path) -> None:
    with exchange.ftplib("bank") as slow:
        slow_upload = uploading(slow, "IN/SLOW.TXT", CONTENT[:1000])
        with exchange.ftplib("ppp") as reading:
            stalled = reading.transfercmd("RETR XFMX/HOUSE20260621.TXT") if _there(exchange) else None
            assert exchange.curl("boss", "DZMX/FAST.TXT", "-T", str(source)).returncode == 0
            assert exchange.curl("boss", "DZMX/FAST.TXT").stdout == CONTENT
            if stalled is not None:
                stalled.close()
        assert "SLOW.TXT" not in exchange.shown("bank/IN")
        slow_upload.sendall(CONTENT[1000:])
        assert isinstance(slow_upload, ssl.SSLSocket)
        slow_upload.unwrap()
        assert slow.voidresp().startswith("226")
    assert exchange.curl("bank", "IN/SLOW.TXT").stdout == CONTENT


def _there(exchange: Exchange) -> bool:
    return "HOUSE20260621.TXT" in exchange.shown("ppp/XFMX")


def test_without_tls_nobody_is_let_in_and_nothing_goes_over(exchange: Exchange, source: Path) -> None:
    plain = ["curl", "-v", "--user", f"ppp:{exchange.password('ppp')}", f"ftp://127.0.0.1:{exchange.port}/"]
    done = ran(plain)
    assert done.returncode == 67
    assert b"SSL/TLS required on the control channel" in done.stderr
    assert b"PASS" not in done.stderr
    with exchange.ftplib("ppp") as ftp:
        ftp.prot_c()
        with pytest.raises(ftplib.error_perm, match="SSL/TLS required on the data channel"):
            ftp.nlst()
    for version in ("1.0", "1.1"):
        old = exchange.curl(
            "ppp", "", f"--tlsv{version}", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0"
        )
        assert old.returncode == 35
    # We connect to nobody, wherever a client says that it listens.
    with exchange.ftplib("ppp") as ftp:
        for command in ("PORT 127,0,0,1,10,10", "EPRT |1|127.0.0.1|2570|"):
            with pytest.raises(ftplib.error_perm, match="not understood"):
                ftp.sendcmd(command)


def test_data_connections_use_the_ports_that_are_set(exchange: Exchange) -> None:
    with exchange.ftplib("ppp") as ftp:
        for _ in range(5):
            assert 52300 <= ftp.makepasv()[1] <= 52399


def test_wrong_passwords_lock_out_by_account_and_address(exchange: Exchange) -> None:
    url = f"ftp://127.0.0.1:{exchange.port}/"
    secured = ["curl", "-v", "--ssl-reqd", "--cacert", exchange.authority, "--interface", GUESSING]
    for account in ("boss", "boss", "nobody", "boss"):
        wrong = ran([*secured, "--user", f"{account}:wrong", url])
        assert wrong.returncode == 67
        assert b"530 Sign-in refused." in wrong.stderr
    right = ["--user", f"boss:{exchange.password('boss')}", url]
    locked = ran([*secured, *right])
    assert locked.returncode == 67
    assert b"530 Too many wrong passwords; the next try is in 20 min." in locked.stderr
    # Whoever guesses locks nobody else out.
    assert ran([*secured, "--user", f"ppp:{exchange.password('ppp')}", url]).returncode == 0
    assert exchange.curl("boss", "").returncode == 0


def test_a_connection_too_many_is_no_wrong_password(exchange: Exchange) -> None:
    """It is answered 421, which a client tries again; and more of them than passwords may be wrong lock nobody out."""

    def at_once() -> list[subprocess.CompletedProcess[bytes]]:
        with ThreadPoolExecutor(14) as pool:
            return [*pool.map(lambda _: exchange.curl("bank", "", "-v"), range(14))]

    def put_off(done: subprocess.CompletedProcess[bytes]) -> bool:
        return b"< 421 Too many connections of this account; try again later." in done.stderr

    with ExitStack() as sessions:
        for _ in range(Limits().connections):
            sessions.enter_context(exchange.ftplib("bank"))
        assert all(put_off(done) for done in at_once())
    assert all(done.returncode == 0 or put_off(done) for done in at_once())
    assert exchange.curl("bank", "", "--retry", "3").returncode == 0


def test_an_account_is_let_in_from_its_own_addresses_only(exchange: Exchange) -> None:
    assert exchange.curl("bank", "", "--interface", ELSEWHERE).returncode == 0
    assert exchange.curl("bank", "", "--interface", STRANGE).returncode == 67


WAYS = (
    "{}",
    "/{}",
    "../{}",
    "/../../{}",
    "IN/../../{}",
    "IN/../../../folders/{}",
    "./.././{}",
    "//{}",
    "..\\{}",
    "%2e%2e/{}",
    "..%2f{}",
    "..;/{}",
    "\u2025/{}",
    "/\u2215..\u2215{}",
    "IN/LINK/../../{}",
    "IN/LINK",
    "IN/LINK/{}",
    "~/{}",
    "*/{}",
    "/{}\0",
    "-a /{}",
)


COMMANDS = (
    *("CWD {}", "SIZE {}", "MDTM {}", "MLST {}", "STAT {}", "DELE {}", "RNFR {}", "MKD {}/NEW", "RMD {}"),
    *("SITE CHMOD 777 {}", "MFMT 20260101000000 {}"),
)


MOVING = ("RETR {}", "LIST {}", "NLST {}", "MLSD {}", "STOR {}", "APPE {}", "STOU {}")


def test_no_path_leads_to_another_partner(exchange: Exchange, source: Path) -> None:
    secret = exchange.data / "folders" / "ppp" / "QSMX" / "SECRET.TXT"
    secret.write_bytes(b"another's secret")
    assert exchange.curl("bank", "IN/OWN.TXT", "-T", str(source)).returncode == 0
    links = exchange.data / "folders" / "bank" / "IN"
    (links / "LINK").symlink_to(secret.parent)
    (links / "LINKED.TXT").symlink_to(secret)
    before = {path: path.stat().st_mtime_ns for path in (exchange.data / "folders").rglob("*")}
    targets = [
        way.format(what) for way in WAYS for what in ("ppp", "ppp/QSMX", "ppp/QSMX/SECRET.TXT", ".incoming")
    ]
    targets += ["IN/LINKED.TXT", "../../partners.key", "/etc/passwd", "../../../../../../etc/passwd"]
    with exchange.ftplib("bank") as ftp:
        for target in targets:
            for command in COMMANDS:
                assert refused(ftp, command.format(target)), (command, target)
            ftp.sendcmd("RNFR IN/OWN.TXT")
            assert refused(ftp, f"RNTO {target}"), target
        for command in MOVING:
            ftp.sendcmd("PASV")
            for target in targets:
                assert refused(ftp, command.format(target)), (command, target)
        assert ftp.sendcmd("CWD ..").startswith("250")
        assert ftp.pwd() == "/"
        assert sorted(name for name, _ in ftp.mlsd()) == ["IN", "OUT"]
        assert "LINK" not in " ".join(ftp.nlst("IN"))
    after = {path: path.stat().st_mtime_ns for path in (exchange.data / "folders").rglob("*")}
    assert after == before
    assert secret.read_bytes() == b"another's secret"
    for client in (
        exchange.curl("bank", "IN/LINKED.TXT"),
        exchange.curl("bank", "%2e%2e/ppp/QSMX/SECRET.TXT"),
    ):
        assert client.returncode != 0
        assert b"secret" not in client.stdout


def refused(ftp: ftplib.FTP_TLS, command: str) -> bool:
    """Whether a command, as it stands, is answered with a refusal."""
    ftp.sock.sendall(f"{command}\r\n".encode())  # type: ignore[union-attr]
    try:
        ftp.getresp()
    except ftplib.error_perm:
        return True
    return False
