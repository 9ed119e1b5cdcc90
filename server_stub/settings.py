"""Everything that can be set about a server, from ``STB_SERVER_*`` in the environment."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import AddressValueError, IPv4Address
from typing import Any
from urllib.parse import urlsplit

import httpx

from cardreader.sim.issuers import ISSUERS
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.folders import folder_of
from server_stub.foundation.secret import SecretText

PREFIX = "STB_SERVER_"
LONGEST_SECONDS = 366 * 86_400
"""Nothing here may take longer than a year: what does is a slip, and dates end somewhere."""


MOST = {"ppp_port": 65_535, "ftp_port": 65_535}
"""The most that other numbers may be."""
SHORTEST_KEY, LONGEST_KEY = 16, 256
PSAM = re.compile(rf"sim:[1-9][0-9]{{0,2}}(:({'|'.join(ISSUERS)}))?|pcsc:.*\S.*")


class SettingsError(ValueError):
    """A variable in the environment cannot be understood; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. Times are seconds. An empty address means: the role in this process.

    Attributes:
        database: address of a PostgreSQL database; empty: SQLite files in the data folder.
        boss_url: where BOSS answers (up to, without, ``/boss/v1``).
        wallet_url: where the demo wallet's gateway answers (up to, without, ``/sandbox``).
        notify_url: where wallets reach this TSP (up to, without, ``/notices``).
        partner_key: secret between TSP, BOSS and demo wallet, which they carry in a header: at least
            SHORTEST_KEY characters of ASCII without spaces; empty: made at the first start.
        psams: comma-separated PSAM URLs, ``sim:NUMBER`` (1 to 999), ``sim:NUMBER:ISSUER`` or ``pcsc:NAME``
            (part of a reader's name); may be empty. One that cannot be reached is looked for until it can.
        lan_address: this machine's IPv4 address in the local network, for ``--lan``; empty: found out.
        ppp_port: where PPP listens for terminals (ISO 8583 over TCP), on the address of ``--host``; not set: any free one.
        boss_files, ppp_files: the folders that this TSP shares with BOSS and PPP for files of each day, ftps://USER@HOST:PORT/FOLDER
            or file:///FOLDER; empty: at the exchange of this process.
        tsp_files: the same of the roles boss and ppp, where the exchange runs in another process.
        boss_files_password, ppp_files_password, tsp_files_password: of these accounts; empty: derived from the partner key, as
            our own exchange does.
        ftp_port: where the exchange listens for partners (FTP with TLS), on the address of ``--host``; not set: any free one.
        ftp_passive_ports: FIRST-LAST, the ports for its data connections; empty: any free ones.
        ftp_failures_per_hour: wrong passwords there for one account from one address; ten times as many for it from all, three
            times as many from one address for all.
        ppp_address: HOST:PORT of the PPP whose terminal this platform is; empty: the role in this process.
        ppp_seconds: how long PPP may take to answer; shorter than the first of the pauses below, when a sale is reversed.
        pos_terminal, pos_merchant: terminal and merchant numbers there (bits 41 and 42).
        tls_certificate: PEM file of the server's certificate with its chain, for ``--tls``; empty: one from an authority
            of our own in the data folder.
        tls_key: PEM file of that certificate's private key; set together with it or not at all.
        tls_authority: PEM file of the authorities that our roles believe when they ask others; empty: the system's.
        hotline: the operator's telephone number.
        quote_seconds: how long a quoted order can be paid.
        qr_seconds: how long a wallet's code can be paid.
        lease_seconds: a PSAM's lease between the card check and INIT FOR PURCHASE.
        unknown_lease_seconds: the same from MAC1 on, when the card may have been debited. A proof that
            comes later is still checked if the PSAM has completed no other purchase, else a person does it.
        partner_seconds: how long BOSS or a wallet may take to answer.
        signature_seconds: how far the time of a box's signature may be from the server's.
        standing_seconds: how long BOSS's word on a box and its key holds before it is asked again.
        key_overlap_seconds: how long a box's old key is still good beside the one it rotated to.
        box_requests_per_minute: what one box may ask.
        enrolment_failures_per_hour: wrong enrolments for one box number from one address; ten times as many from
            all, three times as many from one address for all boxes.
        card_attempts_per_hour: how often a card may come to paying without its PIN having been right.
        box_wrong_proofs: so many proofs of one box that a PSAM has called wrong may wait for a person; then its cards pay
            nothing more until their cases are decided. PSAMs lock themselves at the third in a row.
        unknown_pauses: comma-separated seconds after which a payment whose money is unknown, or waits for something, is
            looked at for the first, second ... time; after the last it is a case for a person.
        case_second_fen: from this amount on a case is decided by two people.
        cut_off: when a business day ends in China, HH:MM.
        closed_days: dates (2026-10-01) and days of the week (sat), with commas between, on which nothing is exchanged with
            PPP and nothing settled; it is caught up with afterwards.
        staff_idle_seconds: how long a session in the back office lasts without use.
        staff_session_seconds: how long it lasts at most.
        idempotency_days: how long the answers to requests are kept.
        late_settle_seconds: the demo wallet's "pay after the code has run out": how long after.
    """

    database: str = field(default="", repr=False)  # may have a password in it
    boss_url: str = ""
    wallet_url: str = ""
    notify_url: str = ""
    partner_key: SecretText = field(default_factory=lambda: SecretText(""))
    psams: str = "sim:1,sim:2,sim:3"
    lan_address: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_authority: str = ""
    hotline: str = "96123"
    quote_seconds: int = 900
    qr_seconds: int = 180
    lease_seconds: int = 120
    unknown_lease_seconds: int = 180
    partner_seconds: float = 5.0
    late_settle_seconds: int = 5
    ppp_port: int = 0
    boss_files: str = ""
    ppp_files: str = ""
    tsp_files: str = ""
    boss_files_password: SecretText = field(default_factory=lambda: SecretText(""))
    ppp_files_password: SecretText = field(default_factory=lambda: SecretText(""))
    tsp_files_password: SecretText = field(default_factory=lambda: SecretText(""))
    ftp_port: int = 0
    ftp_passive_ports: str = ""
    ftp_failures_per_hour: int = 10
    ppp_address: str = ""
    ppp_seconds: float = 25.0
    pos_terminal: str = "88310001"
    pos_merchant: str = "883100048990001"
    signature_seconds: int = 60
    standing_seconds: int = 15
    key_overlap_seconds: int = 86_400
    box_requests_per_minute: int = 1200
    enrolment_failures_per_hour: int = 10
    card_attempts_per_hour: int = 60
    box_wrong_proofs: int = 2
    unknown_pauses: str = "60,300,900,3600"
    case_second_fen: int = 50_000
    cut_off: str = "00:00"
    closed_days: str = ""
    staff_idle_seconds: int = 900
    staff_session_seconds: int = 43_200
    idempotency_days: int = 30

    @property
    def psam_urls(self) -> tuple[str, ...]:
        """The pool's PSAMs, one URL each."""
        return tuple(url.strip() for url in self.psams.split(",") if url.strip())

    @property
    def calendar(self) -> Calendar:
        """The business days."""
        return Calendar.of(self.cut_off, self.closed_days)

    @property
    def passive_ports(self) -> Sequence[int] | None:
        """The ports for data connections of the exchange; None: any free ones."""
        first, _, last = self.ftp_passive_ports.partition("-")
        return range(int(first), int(last) + 1) if first else None

    @property
    def unknown_schedule(self) -> tuple[float, ...]:
        """The pauses between looks at a payment that waits."""
        return tuple(float(text) for text in self.unknown_pauses.split(","))


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Reads the settings.

    Raises:
        SettingsError: a number is not one, or not positive, or longer than a year; an address is not one; the
            partner key does not fit into a header or is too short; a PSAM's URL names none, or one twice; there is no
            setting of a name; PPP may take longer than a sale waits before it is reversed.
    """
    known = {PREFIX + one.name.upper() for one in fields(Settings)}
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        near = difflib.get_close_matches(name, known, 1)
        raise SettingsError(f"{name}: there is no such setting" + (f"; {near[0]}?" if near else ""))
    values: dict[str, Any] = {}
    for one in fields(Settings):
        name = PREFIX + one.name.upper()
        if name not in environment:
            continue
        text = environment[name]
        if one.type in ("str", "SecretText"):
            values[one.name] = CHECKS[one.name](name, text) if one.name in CHECKS else text
            continue
        try:
            number = int(text) if one.type == "int" else float(text)
        except ValueError:
            wanted = "a whole number" if one.type == "int" else "a number"
            seconds = " of seconds" if one.name.endswith("_seconds") else ""
            raise SettingsError(f"{name}={text!r}: {wanted}{seconds} is wanted") from None
        most = MOST.get(one.name, LONGEST_SECONDS)
        if not 0 < number <= most:  # "nan" is neither
            raise SettingsError(f"{name}={text!r}: must be more than 0 and at most {most}")
        values[one.name] = number
    settings = Settings(**values)
    first = settings.unknown_schedule[0]
    if settings.ppp_seconds >= first:
        raise SettingsError(
            f"{PREFIX}PPP_SECONDS={settings.ppp_seconds:g}: must be less than the first of {PREFIX}UNKNOWN_PAUSES, "
            f"{first:g}, when a sale without an answer is reversed"
        )
    return settings


def _address(name: str, text: str) -> str:
    """Where a role answers, without the slash at its end; empty stays empty. Raises SettingsError."""
    if "@" in text:
        # What stands before it may be a password, and is in no message.
        raise SettingsError(
            f"{name}: an address like http://127.0.0.1:8780 is wanted, without a name or password; the partner key is "
            "what roles know each other by"
        )
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        right = False
    if text and (not right or parts.query or parts.fragment or not text.isprintable() or " " in text):
        raise SettingsError(f"{name}={text!r}: an address like http://127.0.0.1:8780 is wanted")
    return text.rstrip("/")


def _host_and_port(name: str, text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"{name}={text!r}: HOST:PORT is wanted")
    return text


def _ports(name: str, text: str) -> str:
    first, _, last = text.partition("-")
    right = all(one.isascii() and one.isdigit() and 1024 <= int(one) < 65536 for one in (first, last))
    if text and not (right and int(first) <= int(last)):
        raise SettingsError(
            f"{name}={text!r}: FIRST-LAST is wanted, two ports from 1024 on, like 50000-50099"
        )
    return text


def _fixed(size: int) -> Callable[[str, str], str]:
    """Letters and digits of that length."""

    def check(name: str, text: str) -> str:
        if len(text) != size or not (text.isascii() and text.isalnum()):
            raise SettingsError(f"{name}={text!r}: {size} letters and digits are wanted")
        return text

    return check


def _lan_address(name: str, text: str) -> str:
    """Only IPv4: with a longer address a code's text would outgrow the QR symbol of the television."""
    try:
        return str(IPv4Address(text)) if text else text
    except AddressValueError:
        raise SettingsError(f"{name}={text!r}: an IPv4 address is wanted") from None


def _partner_key(name: str, text: str) -> SecretText:
    """A secret that a header can carry; what it is stands in no message."""
    fits = text.isascii() and text.isprintable() and " " not in text
    if text and not (fits and SHORTEST_KEY <= len(text) <= LONGEST_KEY):
        raise SettingsError(
            f"{name} must be {SHORTEST_KEY} to {LONGEST_KEY} ASCII letters, digits or signs without spaces; "
            "'openssl rand -hex 32' makes one"
        )
    return SecretText(text)


def _psams(name: str, text: str) -> str:
    urls = [url.strip() for url in text.split(",") if url.strip()]
    for url in urls:
        if not PSAM.fullmatch(url):
            raise SettingsError(
                f"{name}: {url!r} names no PSAM; sim:1 to sim:999 are simulated ones, pcsc:NAME is the one in the "
                "reader that has NAME in its name"
            )
        if urls.count(url) > 1:
            raise SettingsError(f"{name}: {url!r} stands there twice; each PSAM is named once")
    return ",".join(urls)


def _pauses(name: str, text: str) -> str:
    try:
        seconds = [float(one) for one in text.split(",")]
    except ValueError:
        seconds = []
    if not seconds or not all(0 < one <= LONGEST_SECONDS for one in seconds):
        raise SettingsError(
            f"{name}={text!r}: seconds like 60,300,900 are wanted, each at most {LONGEST_SECONDS}"
        )
    return text


def _files(name: str, text: str) -> str:
    """Where files are exchanged. Raises SettingsError; what it says has no password."""
    if text:
        try:
            folder_of(text)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
    return text


def _secret(name: str, text: str) -> SecretText:
    return SecretText(text)


def _cut_off(name: str, text: str) -> str:
    try:
        Calendar.of(text, "")
    except ValueError:
        raise SettingsError(f"{name}={text!r}: a time of day like 23:00 is wanted") from None
    return text


def _closed_days(name: str, text: str) -> str:
    try:
        Calendar.of("00:00", text)
    except ValueError:
        raise SettingsError(
            f"{name}={text!r}: dates like 2026-10-01 and days of the week like sat are wanted, with commas between, and "
            "not the whole week"
        ) from None
    return text


CHECKS: dict[str, Callable[[str, str], str | SecretText]] = {
    "boss_url": _address,
    "wallet_url": _address,
    "notify_url": _address,
    "partner_key": _partner_key,
    "psams": _psams,
    "unknown_pauses": _pauses,
    "lan_address": _lan_address,
    "cut_off": _cut_off,
    "boss_files": _files,
    "ppp_files": _files,
    "tsp_files": _files,
    "boss_files_password": _secret,
    "ppp_files_password": _secret,
    "tsp_files_password": _secret,
    "closed_days": _closed_days,
    "ppp_address": _host_and_port,
    "ftp_passive_ports": _ports,
    "pos_terminal": _fixed(8),
    "pos_merchant": _fixed(15),
}
"""What is more than text: takes the variable's name and text, returns the setting, or raises SettingsError."""
