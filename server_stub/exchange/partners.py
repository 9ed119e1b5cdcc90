"""Partners: their accounts, where they may come from, and what they may do in which folders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from server_stub.exchange.tables import audit, partners
from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.folders import NAME, TEMPORARY
from server_stub.foundation.secret import SecretText
from server_stub.foundation.sentences import N_, Refusal

OPEN, CLOSED = "open", "closed"
READ, WRITE = "r", "rw"
HOUSE = "tsp"
BUNDLED: Mapping[str, Mapping[str, str]] = {
    HOUSE: {},
    "ppp": {"XFMX": READ, "XFJG": WRITE, "QSMX": WRITE},
    "boss": {"DZMX": WRITE},
}
"""Accounts of the roles of this program, with their agreed folders; their passwords are derived from the partner key."""
FOLDERS: Mapping[str, str] = {"IN": WRITE, "OUT": READ}
"""Of a partner for whom no others are named: what it delivers, and what it gets."""
ANY = "any"
"""Instead of addresses: it may come from anywhere."""
ACCOUNT = re.compile(r"[a-z][a-z0-9-]{0,31}")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
"""What a partner whose system is Windows can call no folder."""
CHANGED = N_("The account has changed since it was shown: look at it again, and choose anew.")


class Limits(NamedTuple):
    """How many connections at once, how large a file may be, and all files in its folders together."""

    connections: int = 8
    file_bytes: int = 1 << 30
    room_bytes: int = 20 << 30


class PartnerRefused(Refusal):
    """An account cannot be made or changed like this; the text says why.

    Attributes:
        field: what of it that is about: ``name``, ``addresses``, ``folders`` or a limit; "": the whole.
    """

    def __init__(self, message: str, field: str = "", /, **values: object) -> None:
        super().__init__(message, **values)
        self.field = field


@dataclass(frozen=True, slots=True)
class Partner:
    """An account.

    Attributes:
        password: argon2 hash; None: derived from the partner key.
        house: our own, which sees the folders of all partners, each below its name.
        addresses: networks it may come from (CIDR); none: any.
        folders: ``r`` or ``rw`` by name.
        connections: at once.
        file_bytes, room_bytes: how large a file may be, and all in its folders together.
    """

    name: str
    password: str | None
    state: str
    house: bool
    addresses: tuple[str, ...]
    folders: Mapping[str, str]
    connections: int
    file_bytes: int
    room_bytes: int
    made_at: datetime
    changed_at: datetime

    @property
    def limits(self) -> Limits:
        """What it may use up."""
        return Limits(self.connections, self.file_bytes, self.room_bytes)

    @property
    def seen(self) -> str:
        """Another one whenever something about it has changed."""
        return self.changed_at.isoformat()

    def may_come_from(self, address: str) -> bool:
        """Whether somebody at this IP address may be this partner."""
        here = ip_address(address)
        return not self.addresses or any(here in ip_network(one) for one in self.addresses)

    def rights(self, parts: Sequence[str]) -> str:
        """What may be done at a place below the account's root, in the library's letters: e enter, l list, r retrieve, w store,
        a append, d delete, f rename. Folders are agreed: nobody makes or removes one.
        """
        if self.house:
            return "el" if len(parts) < 3 else "lrwadf" if len(parts) == 3 else ""
        if not parts:
            return "el"
        right = self.folders.get(parts[0])
        if right is None or len(parts) > 2:
            return ""
        if len(parts) == 1:
            return "el"
        return "lrwadf" if right == WRITE else "lr"


def one(conn: Connection, name: str) -> Partner | None:
    """An account by its name."""
    row = statements.one(conn, partners, name=name)
    return None if row is None else _partner(row)


def every(conn: Connection) -> list[Partner]:
    """All accounts, by name."""
    return [_partner(row) for row in conn.execute(select(partners).order_by(partners.c.name))]


def load_bundled(conn: Connection, clock: Clock) -> None:
    """The accounts of the bundled roles are there."""
    for name, folders in BUNDLED.items():
        if statements.one(conn, partners, name=name) is None:
            _insert(conn, clock, name, None, folders, (), Limits(connections=32))


def add(
    conn: Connection,
    clock: Clock,
    actor: str,
    name: str,
    password: str,
    addresses: Sequence[str] = (),
    folders: Mapping[str, str] | None = None,
    limits: Limits = Limits(),
) -> None:
    """A new account.

    Args:
        actor: who makes it, for the audit log.
        password: its argon2 hash.
        addresses: networks it may come from, each an address or in CIDR notation; none, or ``any``: any.
        folders: ``r`` or ``rw`` by name; None: ``FOLDERS``.

    Raises:
        PartnerRefused: there is one of that name, or something is not what it should be.
    """
    folders = folders or FOLDERS
    networks = expect_right(name, addresses, folders)
    expect_limits(limits)
    expect_new(conn, name)
    _insert(conn, clock, name, password, folders, networks, limits)
    told = {"addresses": networks, "folders": dict(folders), **limits._asdict()}
    audit.append(conn, clock, actor, "partner-added", name, **told)


def change(
    conn: Connection,
    clock: Clock,
    actor: str,
    name: str,
    addresses: Sequence[str] | None = None,
    folders: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
    seen: str | None = None,
) -> bool:
    """Changes an account as it was agreed anew; what is None stays. Whoever is signed in has to sign in again.

    Args:
        addresses, folders: as of ``add``; those that are not among them are none of its own any more.
        limits: fields of ``Limits``.
        seen: ``Partner.seen`` of what whoever changes it was shown; None: of whatever it is now.

    Returns:
        False when there is no such one.

    Raises:
        PartnerRefused: it cannot be like this.
    """
    partner = one(conn, name)
    if partner is None:
        return False
    if folders is not None and name in BUNDLED:
        raise PartnerRefused(
            N_("the folders of %(name)s are those that this program works with"), "folders", name=name
        )
    networks = expect_right(name, addresses or (), FOLDERS if folders is None else folders)
    expect_limits(partner.limits._replace(**(limits or {})))
    told: dict[str, Any] = {**(limits or {})}
    if addresses is not None:
        told["addresses"] = networks
    if folders is not None:
        told["folders"] = dict(folders)
    kept = {
        key: json.dumps(value) if key in ("addresses", "folders") else value for key, value in told.items()
    }
    values, found = {**kept, "changed_at": clock.now()}, {"name": name, "changed_at": partner.changed_at}
    if seen not in (None, partner.seen) or not statements.change(conn, partners, values, **found):
        raise PartnerRefused(CHANGED, "addresses")
    audit.append(conn, clock, actor, "partner-changed", name, **told)
    return True


def folders_of(texts: Iterable[str]) -> dict[str, str]:
    """Folders as they were typed, each with ``=r`` or ``=rw``. Raises PartnerRefused: one is there twice."""
    folders: dict[str, str] = {}
    for name, _, right in (text.partition("=") for text in texts):
        if name in folders:
            raise PartnerRefused(N_("folder %(name)s is named twice"), "folders", name=name)
        folders[name] = right.lower()
    return folders


def expect_right(name: str, addresses: Sequence[str], folders: Mapping[str, str]) -> list[str]:
    """Raises PartnerRefused where an account could not be like this; returns the networks, in CIDR notation."""
    expect_name(name)
    expect_folders(folders)
    return networks_of(addresses)


def expect_new(conn: Connection, name: str) -> None:
    """Raises PartnerRefused where no account can be made by this name."""
    expect_name(name)
    if statements.one(conn, partners, name=name) is not None:
        raise PartnerRefused(N_("there is a partner %(name)s already"), "name", name=name)


def expect_name(name: str) -> None:
    """Raises PartnerRefused where this is no name."""
    if not name:
        raise PartnerRefused(N_("Type the name it signs in with."), "name")
    if not ACCOUNT.fullmatch(name):
        raise PartnerRefused(
            N_("'%(name)s': a name is up to 32 small letters, digits and hyphens"), "name", name=name
        )


def expect_folders(folders: Mapping[str, str]) -> None:
    """Raises PartnerRefused where an account could not have these."""
    for folder, right in folders.items():
        fits = NAME.fullmatch(folder) and not RESERVED.fullmatch(folder)
        if not fits or folder.endswith(TEMPORARY) or right not in (READ, WRITE):
            said = N_("%(folder)s: a folder is letters and digits, with =r or =rw; none is within another")
            raise PartnerRefused(said, "folders", folder=f"{folder}={right}")
    alike: dict[str, str] = {}
    for folder in folders:
        # Not everybody's systems tell them apart.
        if (other := alike.setdefault(folder.lower(), folder)) != folder:
            said = N_("folders %(other)s and %(folder)s differ in capitals only")
            raise PartnerRefused(said, "folders", other=other, folder=folder)


def expect_limits(limits: Limits) -> None:
    """Raises PartnerRefused where these contradict each other."""
    if limits.file_bytes > limits.room_bytes:
        raise PartnerRefused(N_("One file cannot be larger than all files together."), "file")


def networks_of(addresses: Sequence[str]) -> list[str]:
    """Where an account may come from, in CIDR notation. Raises PartnerRefused."""
    return [] if [*addresses] == [ANY] else [_network(one) for one in addresses]


def set_state(conn: Connection, clock: Clock, actor: str, name: str, state: str) -> bool:
    """Opens or closes an account; False when there is no such one."""
    if not statements.change(conn, partners, {"state": state, "changed_at": clock.now()}, name=name):
        return False
    audit.append(conn, clock, actor, f"partner-{'opened' if state == OPEN else 'closed'}", name)
    return True


def set_password(conn: Connection, clock: Clock, actor: str, name: str, password: str) -> bool:
    """Gives an account another password, by its argon2 hash; False when there is no such one."""
    if not statements.change(conn, partners, {"password": password, "changed_at": clock.now()}, name=name):
        return False
    audit.append(conn, clock, actor, "partner-password", name)
    return True


def hashed(password: SecretText) -> str:
    """What is kept of a password (argon2id, RFC 9106). Takes some 50 ms and 64 MiB."""
    from argon2 import PasswordHasher  # dear to import, and most commands have no password

    return PasswordHasher().hash(password.reveal())


def matches(password: SecretText, kept: str) -> bool:
    """Whether that was kept of this password. Takes as long."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(kept, password.reveal())
    except (VerificationError, InvalidHashError):
        return False


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        said = N_("'%(text)s': an address like 192.0.2.7 or a network like 192.0.2.0/24 is wanted")
        raise PartnerRefused(said, "addresses", text=text) from None


def _insert(
    conn: Connection,
    clock: Clock,
    name: str,
    password: str | None,
    folders: Mapping[str, str],
    addresses: Sequence[str],
    limits: Limits,
) -> None:
    now = clock.now()
    values = {
        "name": name,
        "password": password,
        "state": OPEN,
        "house": name == HOUSE,
        "addresses": json.dumps(list(addresses)),
        "folders": json.dumps(dict(folders)),
        **limits._asdict(),
        "made_at": now,
        "changed_at": now,
    }
    statements.insert_once(conn, partners, values)


def _partner(row: Row[Any]) -> Partner:
    values = dict(row._mapping)
    values["addresses"] = tuple(json.loads(row.addresses))
    return Partner(**{**values, "folders": json.loads(row.folders)})
