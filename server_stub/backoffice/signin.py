"""Signing in and out: sessions as rows, of whose token only the hash is kept.

The answer to a wrong name, a wrong password, a closed account and a pause is one and takes as long.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection, Row, delete, select, update

from server_stub.backoffice import lockout
from server_stub.backoffice.passwords import Passwords
from server_stub.backoffice.staff import Person, folded, person_of
from server_stub.backoffice.tables import audit, sessions, staff
from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.ids import RandomBytes
from server_stub.settings import Settings

TOKEN_BYTES = 32
NOTED_EVERY = 30
"""A session's last use is written down so many times within its idle time-out, not with every page."""
LONGEST_AGENT = 200
log = structlog.get_logger(__name__)


class Session(NamedTuple):
    """A session that is under way.

    Attributes:
        id: hash of its token.
        person: as the table has them now: who was closed out is out.
    """

    id: str
    token: str
    person: Person
    begun_at: datetime
    seen_at: datetime
    address: str
    agent: str


class SignIn:
    """Lets people in and out.

    Args:
        random: of tokens.
        noted: is told how every password that was given has ended: ``in``, ``refused`` or, during a pause, ``paused``.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        random: RandomBytes,
        passwords: Passwords,
        settings: Settings,
        noted: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._random = random
        self._passwords = passwords
        self._noted = noted
        self.idle = timedelta(seconds=settings.staff_idle_seconds)
        self._longest = timedelta(seconds=settings.staff_session_seconds)

    async def enter(self, name: str, password: str, address: str, agent: str) -> str | None:
        """A new session's token; None for whoever does not get in, for whatever reason."""
        name, now = folded(name)[:64], self._clock.now()
        row = await self.expect(name, password, address, "sign-in-refused")
        if row is None:
            return None
        renewed = await self._passwords.hash(password) if self._passwords.outdated(row.password) else None
        token = urlsafe_b64encode(self._random(TOKEN_BYTES)).decode("ascii").rstrip("=")

        def begin(conn: Connection) -> None:
            conn.execute(delete(sessions).where(sessions.c.begun_at < now - self._longest))
            lockout.forget(conn, *_keys(name, address))
            values: dict[str, object] = {"signed_in_at": now}
            if renewed is not None:
                values["password"] = renewed
            # A password that was changed meanwhile is not put back.
            mine = (staff.c.name == name) & (staff.c.password == row.password)
            conn.execute(update(staff).where(mine).values(**values))
            new = {"id": session_id(token), "name": name, "begun_at": now, "seen_at": now}
            statements.insert(conn, sessions, {**new, "address": address, "agent": agent[:LONGEST_AGENT]})
            audit.append(conn, self._clock, name, "signed-in", name, address=address)

        await self._database.write(begin)
        self._noted("in")
        return token

    async def expect(self, name: str, password: str, address: str, action: str) -> Row[Any] | None:
        """The row of whoever has this name and password; None where it is not so, or nobody may try now.

        What is wrong counts for the pauses; what is right is to be forgotten there (``lockout.forget``).

        Args:
            action: what stands in the audit log of a wrong one.
        """
        may = await self._database.write(
            lambda conn: lockout.enter(conn, _keys(name, address), self._clock.now())
        )
        row = await self._database.look(lambda conn: statements.one(conn, staff, name=name))
        # Looked at even where nobody may come in: how long it takes tells nothing.
        right = await self._passwords.right(None if row is None else row.password, password)
        if row is not None and may and right and not row.closed:
            return row
        log.warning("staff-refused", address=address, paused=not may)
        self._noted("refused" if may else "paused")
        known = name if row is not None else "unknown"
        if may:  # who goes on during a pause fills no log
            # A name that is nobody's may be a password that was typed into the wrong field.
            await self._database.write(
                lambda conn: audit.append(conn, self._clock, known, action, known, address=address)
            )
        return None

    async def is_own(self, person: Person, password: str, address: str) -> bool:
        """Whether somebody who is signed in knows their password; a wrong one counts as at the sign-in."""
        if await self.expect(person.name, password, address, "password-refused") is None:
            return False
        await self._database.write(lambda conn: lockout.forget(conn, *_keys(person.name, address)))
        return True

    async def session(self, token: str, *, used: bool = True) -> Session | None:
        """The session with this token; None when there is none any more.

        Args:
            used: by a person, which keeps it from idling out; a page that looks again by itself does not.
        """
        key, now = session_id(token), self._clock.now()
        row = await self._database.look(lambda conn: _session(conn, key))
        if row is None or row.closed:
            return None
        if now - row.begun_at >= self._longest or now - row.seen_at >= self.idle:
            await self._database.write(
                lambda conn: conn.execute(delete(sessions).where(sessions.c.id == key))
            )
            return None
        if used and now - row.seen_at >= self.idle / NOTED_EVERY:
            seen = update(sessions).where(sessions.c.id == key).values(seen_at=now)
            await self._database.write(lambda conn: conn.execute(seen))
        return Session(key, token, person_of(row), row.begun_at, row.seen_at, row.address, row.agent)

    async def leave(self, session: Session) -> None:
        """Ends a session."""

        def end(conn: Connection) -> None:
            conn.execute(delete(sessions).where(sessions.c.id == session.id))
            audit.append(conn, self._clock, session.person.name, "signed-out", session.person.name)

        await self._database.write(end)

    async def leave_everywhere(self, person: Person) -> None:
        """Ends all sessions of somebody."""

        def end(conn: Connection) -> None:
            ended = conn.execute(delete(sessions).where(sessions.c.name == person.name)).rowcount
            audit.append(conn, self._clock, person.name, "signed-out-everywhere", person.name, sessions=ended)

        await self._database.write(end)


def _keys(name: str, address: str) -> tuple[str, str]:
    return f"name:{name}", f"address:{address}"


def session_id(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def form_token(token: str) -> str:
    """What a form of this session carries, and another site cannot know (CSRF)."""
    return hmac.new(token.encode("utf-8", "replace"), b"form", hashlib.sha256).hexdigest()


def _session(conn: Connection, key: str) -> Row[Any] | None:
    joined = sessions.join(staff, staff.c.name == sessions.c.name)
    columns = (sessions.c.begun_at, sessions.c.seen_at, sessions.c.address, sessions.c.agent)
    return conn.execute(select(staff, *columns).select_from(joined).where(sessions.c.id == key)).one_or_none()
