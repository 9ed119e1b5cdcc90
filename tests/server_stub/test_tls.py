"""Certificates: one's own, made once and renewed in time; a given one, which has to fit its key."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from server_stub import tls
from server_stub.app import ROLES
from server_stub.cli import parse
from server_stub.foundation.clock import CHINA
from server_stub.foundation.startup import CannotStart
from server_stub.main import _server
from server_stub.settings import Settings, SettingsError
from tests.server_stub.signing import RemoteBox
from tests.server_stub.test_process import refused, started

NOW = datetime(2026, 6, 21, tzinfo=CHINA)


def made(folder: Path, days: float = 0, host: str = "127.0.0.1") -> tuple[bytes, bytes]:
    """Authority and certificate as they stand for a start on that day."""
    files = tls.files(Settings(), folder, host, NOW + timedelta(days=days))
    assert files.authority is not None
    return files.authority.read_bytes(), files.certificate.read_bytes()


def test_a_certificate_is_made_once_and_renewed_in_time_by_the_same_authority(tmp_path: Path) -> None:
    first = made(tmp_path)
    assert made(tmp_path, 334) == first
    authority, certificate = made(tmp_path, 336)
    assert authority == first[0]
    assert certificate != first[1]
    assert made(tmp_path, 336, "tsp.example")[1] != certificate
    # An authority that would end before its certificate is made anew too.
    assert made(tmp_path, 3500)[0] != first[0]
    for name in (tls.AUTHORITY_KEY, tls.KEY):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [tls.CERTIFICATE, tls.AUTHORITY])
def test_a_file_that_is_no_certificate_is_said_clearly(name: str, tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(CannotStart, match="delete it"):
        made(tmp_path, 336)


def test_what_is_configured_has_to_fit(tmp_path: Path) -> None:
    made(tmp_path / "one")
    made(tmp_path / "other")
    certificate, key = str(tmp_path / "one" / tls.CERTIFICATE), str(tmp_path / "other" / tls.KEY)
    for settings in (
        Settings(tls_certificate=certificate),
        Settings(tls_key=key),
        Settings(tls_certificate=certificate, tls_key=key),
        Settings(tls_certificate=certificate, tls_key=str(tmp_path / "missing")),
    ):
        with pytest.raises(SettingsError):
            tls.files(settings, tmp_path, "127.0.0.1", NOW)


def configured(folder: Path) -> Settings:
    return Settings(tls_certificate=str(folder / tls.CERTIFICATE), tls_key=str(folder / tls.KEY))


@pytest.mark.parametrize(
    ("name", "said"),
    [(tls.CERTIFICATE, "is no PEM file of a certificate"), (tls.KEY, "is no PEM file of a key without")],
)
def test_a_configured_file_that_is_none_is_named(name: str, said: str, tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(SettingsError, match=f"{name} {said}"):
        tls.files(configured(tmp_path), tmp_path, "127.0.0.1", NOW)
    for authority in (tmp_path / name, tmp_path / "missing"):
        with pytest.raises(SettingsError, match=authority.name):
            tls.believing(authority)


def test_a_configured_certificate_that_is_not_valid_now_is_told(tmp_path: Path) -> None:
    made(tmp_path)
    told = []
    for days in (-1, 1, 366):
        with capture_logs() as logs:
            tls.files(configured(tmp_path), tmp_path, "127.0.0.1", NOW + timedelta(days=days))
        told.append([(line["event"], line["log_level"]) for line in logs])
    warning = [("certificate-not-valid", "warning")]
    assert told == [warning, [], warning]


def test_a_certificate_that_is_not_used_for_want_of_tls_is_told(tmp_path: Path) -> None:
    options = parse(["run", "boss", "--port", "0", "--data", str(tmp_path)], ROLES)
    with capture_logs() as logs:
        _, listener = _server(options, Settings(tls_certificate="x.pem", tls_key="x.key"))
    listener.close()
    assert [line["without"] for line in logs if line["event"] == "certificate-not-used"] == ["--tls"]


def test_a_server_with_a_given_certificate_serves_boxes_over_tls(tmp_path: Path) -> None:
    own = tls.files(Settings(), tmp_path / "given", "127.0.0.1", datetime.now(CHINA))
    given = {
        "STB_SERVER_TLS_CERTIFICATE": str(own.certificate),
        "STB_SERVER_TLS_KEY": str(own.key),
        "STB_SERVER_TLS_AUTHORITY": str(own.authority),
    }
    with started(tmp_path / "server", "--tls", **given) as (_, url):
        assert url.startswith("https://")
        box = RemoteBox(url, "85312047", ssl.create_default_context(cafile=str(own.authority)))
        box.enrol()
        # The TSP reaches BOSS and the wallet in the same process, over TLS too.
        order = box.post("/orders", service="sports", term="monthly")
        assert box.post(f"/orders/{order['order']}/payments", method="wallet:demo")["state"] == "waiting"
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            RemoteBox(url, "85312047").enrol()
    assert not (tmp_path / "server" / tls.AUTHORITY).exists()


def test_half_a_configuration_is_a_usage_error(tmp_path: Path) -> None:
    message = refused("--tls", "--port", "0", "--data", str(tmp_path), STB_SERVER_TLS_KEY="x")
    assert "belong together" in message
