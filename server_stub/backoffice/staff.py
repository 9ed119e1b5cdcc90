"""Who may sign in: let in, given roles or a password, closed out. Each writes into the audit log who did it.

StaffError       cannot be done so; the text says why
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import normalize

from sqlalchemy import Connection, Row, delete, func, select, update

from server_stub.backoffice.lockout import forget
from server_stub.backoffice.rights import Right, Role, rights_of, roles_of
from server_stub.backoffice.tables import audit, sessions, staff
from server_stub.foundation import card_numbers, statements
from server_stub.foundation.clock import Clock

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}")
LANGUAGES = ("zh", "en")
LONGEST_FULL_NAME = 60


class StaffError(ValueError):
    """What cannot be done with a member of staff; ``why`` is a word for the page, the text is for people."""

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why


@dataclass(frozen=True, slots=True)
class Person:
    """A member of staff.

    Attributes:
        name: what is typed at the sign-in; stands in every audit log.
        once: the password was given by somebody else and must be changed first.
    """

    name: str
    full_name: str
    roles: tuple[Role, ...]
    language: str
    once: bool
    closed: bool
    created_at: datetime
    signed_in_at: datetime | None

    @property
    def rights(self) -> frozenset[Right]:
        """What this person may do; somebody whose password is not their own yet, only change that."""
        return frozenset({Right.OPEN, Right.OWN}) if self.once else rights_of(self.roles)


def folded(name: str) -> str:
    """A name as it is kept, however it was typed.

    >>> folded(" Li.Wei")
    'li.wei'
    """
    return normalize("NFKC", name).strip().casefold()


def person_of(row: Row[Any]) -> Person:
    """A member of staff as the table has them."""
    return Person(
        row.name,
        row.full_name,
        roles_of(row.roles),
        row.language,
        row.once,
        row.closed,
        row.created_at,
        row.signed_in_at,
    )


def listed(conn: Connection) -> list[Person]:
    """Everybody, by name."""
    return [person_of(row) for row in conn.execute(select(staff).order_by(staff.c.name))]


def full_names(conn: Connection) -> dict[str, str]:
    """What everybody is called, by the name they sign in with."""
    return {row.name: row.full_name for row in conn.execute(select(staff.c.name, staff.c.full_name))}


def found(conn: Connection, name: str) -> Person:
    """Raises StaffError for nobody."""
    row = statements.one(conn, staff, name=folded(name))
    if row is None:
        raise StaffError("unknown", f"there is no member of staff {name!r}")
    return person_of(row)


def unfit(conn: Connection, name: str, full_name: str) -> Iterator[StaffError]:
    """All that keeps somebody from being let in by these names: at most one thing about each of the two."""
    name, full_name = folded(name), _tidy(full_name)
    if card_numbers.has_whole(name):
        yield StaffError("card-in-name", card_numbers.WHOLE)
    elif not NAME.fullmatch(name):
        yield StaffError(
            "name",
            "a name begins with a letter or digit, and has 2 to 32 letters a-z, digits, dots, hyphens and underscores",
        )
    elif statements.one(conn, staff, name=name) is not None:
        yield _taken(name)
    if card_numbers.has_whole(full_name):
        yield StaffError("card-in-full-name", card_numbers.WHOLE)
    elif len(full_name) > LONGEST_FULL_NAME or not full_name.isprintable():
        yield StaffError("full-name", f"a full name has at most {LONGEST_FULL_NAME} letters")


def add(
    conn: Connection,
    clock: Clock,
    actor: str,
    name: str,
    full_name: str,
    roles: Sequence[Role],
    password_hash: str,
    language: str = "",
) -> Person:
    """Lets somebody in, with a password that they must change first.

    Args:
        language: of the pages; "": their browser's, until they choose one.

    Raises:
        StaffError: as ``unfit`` says; the first.
    """
    for refusal in unfit(conn, name, full_name):
        raise refusal
    name, full_name = folded(name), _tidy(full_name) or folded(name)
    values: dict[str, Any] = {
        "name": name,
        "full_name": full_name,
        "roles": ",".join(roles),
        "password": password_hash,
    }
    values |= {"once": True, "language": language, "closed": False, "created_at": clock.now()}
    if not statements.insert_once(conn, staff, values):
        raise _taken(name)
    audit.append(conn, clock, actor, "staff-added", name, full_name=full_name, roles=list(roles))
    return found(conn, name)


def set_password(
    conn: Connection, clock: Clock, actor: str, name: str, password_hash: str, *, once: bool
) -> None:
    """Gives a new password; all sessions end.

    Args:
        once: it was made by somebody else.

    Raises:
        StaffError
    """
    _change(conn, name, password=password_hash, once=once)
    forget(conn, f"name:{folded(name)}")
    _end_sessions(conn, name)
    audit.append(conn, clock, actor, "staff-password", folded(name), once=once)


def set_closed(conn: Connection, clock: Clock, actor: str, name: str, *, closed: bool) -> None:
    """Closes somebody out, at once and everywhere, or lets them in again. Raises StaffError."""
    _change(conn, name, closed=closed)
    if closed:
        _end_sessions(conn, name)
    forget(conn, f"name:{folded(name)}")
    audit.append(conn, clock, actor, "staff-closed" if closed else "staff-opened", folded(name))


def set_roles(
    conn: Connection, clock: Clock, actor: str, name: str, roles: Sequence[Role], seen: str | None = None
) -> None:
    """Gives somebody these roles and no others.

    Args:
        seen: those that whoever gives them was shown, with commas between; None: whatever they are now.

    Raises:
        StaffError
    """
    before = found(conn, name)
    if seen not in (None, ",".join(before.roles)):
        raise StaffError("changed", f"the roles of {name!r} have changed meanwhile")
    _change(conn, name, roles=",".join(roles))
    facts = {"roles": list(roles), "before": list(before.roles)}
    audit.append(conn, clock, actor, "staff-roles", before.name, **facts)


def set_language(conn: Connection, name: str, language: str) -> None:
    """The language in which somebody reads the pages. Raises StaffError."""
    assert language in LANGUAGES
    _change(conn, name, language=language)


def anybody(conn: Connection) -> bool:
    """Whether anybody may sign in at all."""
    return bool(conn.scalar(select(func.count()).select_from(staff).where(staff.c.closed.is_(False))))


def _tidy(full_name: str) -> str:
    return " ".join(full_name.split())


def _taken(name: str) -> StaffError:
    return StaffError("taken", f"there is a member of staff {name!r} already")


def _change(conn: Connection, name: str, **values: Any) -> None:
    mine = staff.c.name == folded(name)
    if not conn.execute(update(staff).where(mine).values(**values)).rowcount:
        raise StaffError("unknown", f"there is no member of staff {name!r}")


def _end_sessions(conn: Connection, name: str) -> None:
    conn.execute(delete(sessions).where(sessions.c.name == folded(name)))
