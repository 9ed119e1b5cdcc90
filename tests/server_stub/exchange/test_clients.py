"""The exchange of a real server, asked by lftp, curl and Python's ftplib."""

from __future__ import annotations

import asyncio
import fcntl
import ftplib
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from server_stub import partners
from server_stub.exchange import tables
from server_stub.exchange.partners import Limits
from server_stub.foundation.clock import machine_pauses
from server_stub.foundation.folders import account_password
from server_stub.foundation.secret import SecretText
from server_stub.opening import read_role
from tests.server_stub.test_process import started

pytestmark = pytest.mark.xdist_group("exchange")  # one server for all of it
KEY = "a-partner-key-of-this-test"
CONTENT = hashlib.shake_128(b"a day of a partner").digest(700_000)
ELSEWHERE, STRANGE, GUESSING = "127.0.0.9", "127.0.1.1", "127.0.0.7"
"""All of 127.0.0.0/8 is this machine."""


@dataclass(frozen=True)
class Exchange:
    """A running one.

    Attributes:
        data: its folder.
        home: for what clients keep.
        passwords: of partners that have one of their own.
    """

    port: int
    data: Path
    home: Path
    passwords: Mapping[str, str]

    @property
    def authority(self) -> str:
        return str(self.data / "ca.pem")

    def password(self, account: str) -> str:
        derived = account_password(SecretText(KEY), account).reveal()
        return self.passwords.get(account, derived)

    def curl(self, account: str, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        """``curl`` of a path, with TLS."""
        who = f"{account}:{self.password(account)}"
        command = ["curl", "-sS", "--ssl-reqd", "--cacert", self.authority, "--user", who, *options]
        return ran([*command, f"ftp://127.0.0.1:{self.port}/{path}"])

    def lftp(self, account: str, *lines: str) -> subprocess.CompletedProcess[bytes]:
        """``lftp`` does these, with TLS."""
        script = [
            "set ftp:ssl-force true",
            "set ftp:ssl-protect-data true",
            f"set ssl:ca-file {self.authority}",
            "set net:max-retries 1",
            "set net:timeout 10",
            "set cmd:fail-exit true",
            "set xfer:clobber true",
            f"open -u {account},{self.password(account)} ftp://127.0.0.1:{self.port}",
            *lines,
        ]
        return ran(["lftp", "-c", "\n".join(script)], self.home)

    @contextmanager
    def ftplib(self, account: str, source: str = "127.0.0.1") -> Iterator[ftplib.FTP_TLS]:
        """A session of Python's client, data under TLS."""
        context = ssl.create_default_context(cafile=self.authority)
        with closing(ftplib.FTP_TLS(context=context, timeout=10, source_address=(source, 0))) as ftp:
            ftp.connect("127.0.0.1", self.port)
            ftp.login(account, self.password(account))
            ftp.prot_p()
            ftp.voidcmd("TYPE I")
            yield ftp

    def listed(self, account: str = "") -> list[list[str]]:
        """Of each version, oldest first: partner, direction, name, version, state, bytes, hash."""
        database = read_role(tables.metadata, self.data, "", machine_pauses())
        with closing(database):
            rows = asyncio.run(database.read(lambda conn: tables.files.listed(conn, partner=account or None)))
        return [partners.file_line(row).split()[2:] for row in reversed(rows)]

    def growing(self) -> list[Path]:
        """Uploads that are not whole."""
        return [path for path in (self.data / "folders" / ".incoming").rglob("*") if path.is_file()]

    def shown(self, folder: str) -> list[str]:
        """The names in a folder, as they are on the disk."""
        return sorted(path.name for path in (self.data / "folders" / folder).iterdir())


def ran(command: Sequence[str], home: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **({} if home is None else {"HOME": str(home)})}
    return subprocess.run(command, capture_output=True, timeout=30, check=False, env=environment)


def stb_server(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server_stub", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    data, home, port = tmp_path_factory.mktemp("exchange"), tmp_path_factory.mktemp("home"), free_port()
    settings = {
        "STB_SERVER_PARTNER_KEY": KEY,
        "STB_SERVER_FTP_PORT": str(port),
        "STB_SERVER_FTP_FAILURES_PER_HOUR": "3",
        "STB_SERVER_FTP_PASSIVE_PORTS": "52300-52399",
    }
    with started(data, "exchange", **settings) as (process, _):
        options = {"bank": ("--address", "127.0.0.0/24"), "small": ("--file-bytes", "1000")}
        said = {
            name: stb_server("partners", "add", name, *more, "--data", str(data))
            for name, more in options.items()
        }
        one = Exchange(port, data, home, {name: text.split()[5] for name, text in said.items()})
        for name in options:
            assert one.curl(name, "").returncode == 0  # a moment later it would have its folders by itself
        yield one
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


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


def uploading(ftp: ftplib.FTP_TLS, name: str, content: bytes) -> socket.socket:
    """An upload that has begun; closing the connection as it is would cut it."""
    conn = ftp.transfercmd(f"STOR {name}")
    conn.sendall(content)
    return conn


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


@pytest.mark.parametrize("name", ["IN/CUT.TXT", "IN/CUT.TXT.part"])
def test_a_cut_upload_leaves_nothing_that_counts(exchange: Exchange, name: str) -> None:
    """A connection that ends without TLS's close_notify was cut, however whole it looks."""
    with exchange.ftplib("bank") as ftp:
        uploading(ftp, name, CONTENT[:50_000]).close()
        with pytest.raises(ftplib.error_temp, match="426"):
            ftp.voidresp()
        assert name in ftp.nlst("IN") or name.endswith(".TXT") or "CUT.TXT.part" in ftp.nlst("IN")
        if name.endswith(".part"):
            size = ftp.size(name) or 0
            assert 0 < size <= 50_000
            with closing(ftp.transfercmd(f"STOR {name}", rest=size)) as rest:
                rest.sendall(CONTENT[size:])
                assert isinstance(rest, ssl.SSLSocket)
                rest.unwrap()
            ftp.voidresp()
            ftp.rename(name, "IN/RESUMED.TXT")
    assert "CUT.TXT" not in exchange.shown("bank/IN")
    assert not any("CUT" in one[2] for one in exchange.listed("bank"))
    assert exchange.growing() == []
    if name.endswith(".part"):
        assert exchange.curl("bank", "IN/RESUMED.TXT").stdout == CONTENT


def others(exchange: Exchange, source: Path) -> Iterator[subprocess.CompletedProcess[bytes]]:
    """What curl and lftp would do to BUSY.TXT.part while somebody is at it."""
    (exchange.data / "folders/bank/IN/OTHER.TXT.part").write_bytes(b"other")
    yield exchange.curl("bank", "IN/BUSY.TXT.part", "-v", "-T", str(source))
    yield exchange.curl("bank", "IN/BUSY.TXT.part", "-v", "--append", "-T", str(source))
    for commands in (
        ("DELE IN/BUSY.TXT.part",),
        ("RNFR IN/BUSY.TXT.part", "RNTO IN/BUSY.TXT"),
        ("RNFR IN/OTHER.TXT.part", "RNTO IN/BUSY.TXT.part"),
    ):
        yield exchange.curl("bank", "", "-v", *(word for one in commands for word in ("-Q", one)))
    yield exchange.lftp("bank", "debug 3", "mv IN/BUSY.TXT.part IN/BUSY.TXT")


def test_what_is_being_written_is_nobody_else_s(exchange: Exchange, source: Path) -> None:
    """Else a part would be kept as the whole, or two would get into each other, and all of them be told 226 and 250."""
    with exchange.ftplib("bank") as ftp:
        upload = uploading(ftp, "IN/BUSY.TXT.part", CONTENT[:300_000])
        for refused in others(exchange, source):
            assert refused.returncode != 0
            assert b"450 Another connection is at this file; try again later." in refused.stderr
        upload.sendall(CONTENT[300_000:])
        assert isinstance(upload, ssl.SSLSocket)
        upload.unwrap()
        assert ftp.voidresp().startswith("226")
        ftp.delete("IN/OTHER.TXT.part")
    moved = exchange.lftp("bank", "mv IN/BUSY.TXT.part IN/BUSY.TXT")
    assert moved.returncode == 0, moved.stderr
    assert exchange.curl("bank", "IN/BUSY.TXT").stdout == CONTENT


def test_what_another_process_writes_is_not_touched(exchange: Exchange, source: Path) -> None:
    """Several may serve one folder."""
    part = exchange.data / "folders/bank/IN/BUSY.TXT.part"
    part.write_bytes(b"part")
    with part.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert all(b"450 Another connection" in refused.stderr for refused in others(exchange, source))
        assert part.read_bytes() == b"part"
    assert exchange.curl("bank", "IN/BUSY.TXT.part", "-T", str(source)).returncode == 0
    assert part.read_bytes() == CONTENT
    with exchange.ftplib("bank") as ftp:
        for name in ("BUSY", "OTHER"):
            ftp.delete(f"IN/{name}.TXT.part")


@pytest.mark.parametrize("way", ["data", "control", "both", "ABOR", "REIN", "PASV", "nothing came"])
def test_an_upload_that_breaks_off_lets_go_of_its_name(exchange: Exchange, source: Path, way: str) -> None:
    name = "IN/LEFT.TXT.part"
    with exchange.ftplib("bank") as ftp:
        if way in ("data", "control", "both"):
            upload = uploading(ftp, name, CONTENT[:1000])
            if way in ("data", "both"):
                upload.close()
            if way in ("control", "both"):
                ftp.close()
            else:
                with pytest.raises(ftplib.error_temp, match="426"):
                    ftp.voidresp()
        else:  # its data connection never comes
            ftp.sendcmd("PASV")
            assert ftp.sendcmd(f"STOR {name}").startswith("150")
            if way == "nothing came":
                with ftp.transfercmd("LIST") as listing:
                    assert b"IN" in listing.recv(1000)
            else:
                assert ftp.sendcmd(way)[:3] in ("225", "220", "227")
        put = exchange.curl("bank", name, "-v", "--retry", "5", "--retry-delay", "1", "-T", str(source))
        assert put.returncode == 0, put.stderr
    assert (exchange.data / "folders/bank" / name).read_bytes() == CONTENT
    with exchange.ftplib("bank") as ftp:
        ftp.delete(name)


def test_one_connection_writes_one_file_at_a_time(exchange: Exchange) -> None:
    with exchange.ftplib("bank") as ftp:
        upload = uploading(ftp, "IN/ONE.TXT", CONTENT[:1000])
        for command in ("STOR IN/TWO.TXT", "APPE IN/TWO.TXT.part", "RETR IN/OWN.TXT"):
            with pytest.raises(ftplib.error_temp, match="450 This connection's upload has not ended"):
                ftp.sendcmd(command)
        assert isinstance(upload, ssl.SSLSocket)
        upload.unwrap()
        assert ftp.voidresp().startswith("226")
    assert (exchange.data / "folders/bank/IN/ONE.TXT").read_bytes() == CONTENT[:1000]


def test_what_is_whole_is_never_written_to(exchange: Exchange, source: Path, tmp_path: Path) -> None:
    """It is the kept file by another name."""
    assert exchange.curl("bank", "IN/WHOLE.TXT", "-T", str(source)).returncode == 0
    with exchange.ftplib("bank") as ftp:
        for command in ("APPE IN/WHOLE.TXT", "REST 10"):
            ftp.sendcmd("PASV")
            if command.startswith("REST"):
                ftp.sendcmd(command)
                command = "STOR IN/WHOLE.TXT"
            with pytest.raises(ftplib.error_perm, match="not changed"):
                ftp.sendcmd(command)
        ftp.sendcmd("RNFR IN/WHOLE.TXT")
        with pytest.raises(ftplib.error_perm, match="What is whole gets no name"):
            ftp.sendcmd("RNTO IN/WHOLE.TXT.part")
        # Another version, a deletion, another name: what was there stays kept.
        (tmp_path / "second").write_bytes(b"second")
        assert exchange.curl("bank", "IN/WHOLE.TXT", "-T", str(tmp_path / "second")).returncode == 0
        ftp.rename("IN/WHOLE.TXT", "IN/RENAMED.TXT")
        ftp.delete("IN/RENAMED.TXT")
    told = [one for one in exchange.listed("bank") if one[2] in ("IN/WHOLE.TXT", "IN/RENAMED.TXT")]
    assert [(one[2], one[3], one[4], one[5]) for one in told] == [
        ("IN/WHOLE.TXT", "1", "superseded", "700000"),
        ("IN/WHOLE.TXT", "2", "arrived", "6"),
        ("IN/RENAMED.TXT", "1", "arrived", "6"),
    ]
    for one in told:
        kept = exchange.data / "files" / "exchange" / one[6][:2] / one[6]
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == one[6]


def test_a_kill_during_an_upload_leaves_nothing_that_counts(tmp_path: Path, source: Path) -> None:
    data, port = tmp_path / "data", free_port()
    settings = {"STB_SERVER_PARTNER_KEY": KEY, "STB_SERVER_FTP_PORT": str(port)}
    for killed in (True, False):
        with started(data, "exchange", **settings) as (process, _):
            exchange = Exchange(port, data, tmp_path, {})
            with exchange.ftplib("ppp") as ftp:
                assert ftp.nlst("XFJG") == ([] if killed else ["CUT.TXT.part"])
                assert exchange.listed() == []
                if killed:
                    with exchange.ftplib("ppp") as other:
                        parts = [
                            uploading(ftp, "XFJG/CUT.TXT", CONTENT),
                            uploading(other, "XFJG/CUT.TXT.part", CONTENT),
                        ]
                        process.kill()
                        process.wait(10)
                        for part in parts:
                            part.close()
                    continue
            assert exchange.growing() == []
            assert exchange.curl("ppp", "XFJG/CUT.TXT", "-T", str(source)).returncode == 0
            assert exchange.curl("ppp", "XFJG/CUT.TXT").stdout == CONTENT
    assert "WRONG" not in stb_server("check", "--data", str(data))
