"""Everything that can be set about a server, from ``STB_SERVER_*`` in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import AddressValueError, IPv4Address
from typing import Any
from urllib.parse import urlsplit

PREFIX = "STB_SERVER_"
LONGEST_SECONDS = 366 * 86_400
"""Nothing here may take longer than a year: what does is a slip, and dates end somewhere."""


class SettingsError(ValueError):
    """A variable in the environment cannot be understood; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. Times are seconds. An empty address means: the role in this process.

    Attributes:
        boss_url: where BOSS answers (up to, without, ``/boss/v1``).
        wallet_url: where the demo wallet's gateway answers (up to, without, ``/sandbox``).
        notify_url: where wallets reach this TSP (up to, without, ``/notices``).
        partner_key: secret between TSP, BOSS and demo wallet; empty: made at the first start.
        psams: comma-separated PSAM URLs, ``sim:NUMBER`` or ``pcsc:NAME``; may be empty.
        lan_address: this machine's IPv4 address in the local network, for ``--lan``; empty: found out.
        tls_certificate, tls_key: PEM files of a certificate with its chain, and of its key, for ``--tls``; empty: one
            from an authority of our own in the data folder.
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
        enrolment_failures_per_hour: wrong enrolments for one box number; three times as many from one address.
        card_attempts_per_hour: how often a card may come to paying without its PIN having been right.
        late_settle_seconds: the demo wallet's "pay after the code has run out": how long after.
    """

    boss_url: str = ""
    wallet_url: str = ""
    notify_url: str = ""
    partner_key: str = ""
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
    signature_seconds: int = 60
    standing_seconds: int = 15
    key_overlap_seconds: int = 86_400
    box_requests_per_minute: int = 1200
    enrolment_failures_per_hour: int = 10
    card_attempts_per_hour: int = 60

    @property
    def psam_urls(self) -> tuple[str, ...]:
        """The pool's PSAMs, one URL each."""
        return tuple(url.strip() for url in self.psams.split(",") if url.strip())


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Reads the settings.

    Raises:
        SettingsError: a number is not one, or not positive, or longer than a year; an address is not one.
    """
    values: dict[str, Any] = {}
    for field in fields(Settings):
        name = PREFIX + field.name.upper()
        if name not in environment:
            continue
        text = environment[name]
        if field.type == "str":
            values[field.name] = _address(name, text) if name.endswith("_URL") else text
            continue
        try:
            number = int(text) if field.type == "int" else float(text)
        except ValueError:
            raise SettingsError(f"{name}={text!r}: a number of seconds is wanted") from None
        if not 0 < number <= LONGEST_SECONDS:  # "nan" is neither
            raise SettingsError(f"{name}={text!r}: must be more than 0 and at most {LONGEST_SECONDS}")
        values[field.name] = number
    settings = Settings(**values)
    try:
        if settings.lan_address:
            # Only IPv4: with a longer address a code's text would outgrow the QR symbol of the television.
            IPv4Address(settings.lan_address)
    except AddressValueError:
        raise SettingsError(
            f"{PREFIX}LAN_ADDRESS={settings.lan_address!r}: an IPv4 address is wanted"
        ) from None
    return settings


def _address(name: str, text: str) -> str:
    """Where a role answers, without the slash at its end; empty stays empty. Raises SettingsError."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if text and (not right or parts.query or parts.fragment or not text.isprintable() or " " in text):
        raise SettingsError(f"{name}={text!r}: an address like http://127.0.0.1:8780 is wanted")
    return text.rstrip("/")
