"""TLS of the server: a certificate that was given, or one from a small authority of its own, made in the data folder."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server_stub.foundation.startup import CannotStart
from server_stub.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca.key"
CERTIFICATE, KEY = "tls.pem", "tls.key"
AUTHORITY_VALID = timedelta(days=3650)
VALID = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
LONGER_AGO = timedelta(minutes=5)
"""A certificate begins a little before it is made: clocks differ."""


@dataclass(frozen=True, slots=True)
class Files:
    """What a listener with TLS needs.

    Attributes:
        authority: whom our own roles believe when they ask each other; None: the system's authorities.
    """

    certificate: Path
    key: Path
    authority: Path | None

    def client_context(self) -> ssl.SSLContext:
        """For a role that asks another one here. Raises SettingsError: no file of authorities."""
        return believing(self.authority)


def believing(authority: Path | None) -> ssl.SSLContext:
    """For whoever believes these authorities; None: the system's. Raises SettingsError: the file has none."""
    try:
        return ssl.create_default_context(cafile=authority and str(authority))
    except FileNotFoundError:
        raise SettingsError(f"{authority} is not there") from None
    except OSError as error:
        raise SettingsError(f"{authority} is no PEM file of authorities: {error}") from error


def files(settings: Settings, folder: Path, host: str, now: datetime) -> Files:
    """The certificate that is configured; without one, one of our own for this host, made when it is missing or old. One
    that is configured and not valid now serves all the same, and the log says so.

    Raises:
        SettingsError: only one of certificate and key is configured, they are none, or do not fit together.
        CannotStart: a file in the folder is not what it should be.
    """
    if settings.tls_certificate or settings.tls_key:
        if not (settings.tls_certificate and settings.tls_key):
            raise SettingsError("STB_SERVER_TLS_CERTIFICATE and STB_SERVER_TLS_KEY belong together: set both")
        given = Files(Path(settings.tls_certificate), Path(settings.tls_key), _authority(settings))
        _check(given, now)
        return given
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = Files(folder / CERTIFICATE, folder / KEY, folder / AUTHORITY)
    names = sorted({host, "localhost", "127.0.0.1", "::1"} - {"0.0.0.0", "::"})
    if not _fits(own.certificate, names, now):
        _make(folder, names, now)
    return own


def _authority(settings: Settings) -> Path | None:
    return Path(settings.tls_authority) if settings.tls_authority else None


def _check(given: Files, now: datetime) -> None:
    try:
        path, what = given.certificate, "certificate"
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        path, what = given.key, "key without a password"
        load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{path} is no PEM file of a {what}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(given.certificate, given.key)
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        raise SettingsError(f"{given.certificate} and {given.key} cannot be used together: {why}") from error
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now <= ends:
        valid = {"begins": begins.isoformat(), "ends": ends.isoformat()}
        log.warning("certificate-not-valid", file=str(given.certificate), **valid)


def _fits(path: Path, names: Sequence[str], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except FileNotFoundError:
        return False
    except (ValueError, x509.ExtensionNotFound) as error:
        raise CannotStart(f"{path} is not a certificate; delete it, and it is made anew") from error
    has = {str(name.value) for name in alternatives}
    return set(names) <= has and certificate.not_valid_after_utc - now > RENEW_BEFORE


def _make(folder: Path, names: Sequence[str], now: datetime) -> None:
    authority, authority_key = _own_authority(folder, now)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("stb-server"))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - LONGER_AGO)
        .not_valid_after(now.astimezone(UTC) + VALID)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write(folder / KEY, _pem(key))
    _write(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM))


def _own_authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        key = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.not_valid_after_utc - now > VALID:
            return certificate, key
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise CannotStart(
            f"{folder / AUTHORITY} is not an authority; delete it, and it is made anew"
        ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("stb-server local authority"))
        .issuer_name(_name("stb-server local authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - LONGER_AGO)
        .not_valid_after(now.astimezone(UTC) + AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    _write(folder / AUTHORITY_KEY, _pem(key))
    _write(folder / AUTHORITY, certificate.public_bytes(Encoding.PEM))
    return certificate, key


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
