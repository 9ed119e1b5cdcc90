"""Uploads that are cut, under way, or done: what is not whole counts for nothing, and what is stays as it is."""

from __future__ import annotations

import fcntl
import ftplib
import hashlib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.server_stub.exchange.clients.server import CONTENT, KEY, Exchange, free_port, stb_server, uploading
from tests.server_stub.test_process import started

pytestmark = pytest.mark.xdist_group("exchange")  # one server for all of the folder


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
