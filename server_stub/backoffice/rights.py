"""Who may do what: each page declares the right that it needs, each role has some, a person has some roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Right(StrEnum):
    """What a page or action needs."""

    OPEN = "open"
    """Nothing: also who is not signed in."""
    OWN = "own"
    """Whoever is signed in: their own password, language, sessions."""
    SEE = "see"
    DECIDE = "decide"
    """Cases, breaks and batches, alone below the limit; above it, to propose."""
    CONFIRM = "confirm"
    """As the second person."""
    BOXES = "boxes"
    PSAMS = "psams"
    RUN = "run"
    """Jobs and reconciliations, now instead of at their time."""
    EXPORT = "export"
    FILES = "files"
    """What stands in exchanged files."""
    AUDIT = "audit"
    PARAMETERS = "parameters"
    STAFF = "staff"
    PARTNERS = "partners"


class Role(StrEnum):
    """What people are in the back office."""

    VIEWER = "viewer"
    CLERK = "clerk"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


_CLERK = frozenset({Right.SEE, Right.DECIDE, Right.BOXES, Right.EXPORT})
RIGHTS: Mapping[Role, frozenset[Right]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({Right.SEE}),
        Role.CLERK: _CLERK,
        Role.SUPERVISOR: _CLERK
        | {Right.CONFIRM, Right.PSAMS, Right.RUN, Right.FILES, Right.AUDIT, Right.PARAMETERS},
        # Whoever lets people in moves no money.
        Role.ADMIN: frozenset({Right.SEE, Right.AUDIT, Right.PARAMETERS, Right.STAFF, Right.PARTNERS}),
    }
)


def roles_of(text: str) -> tuple[Role, ...]:
    """The roles that a text with commas names, in the order of the table.

    Raises:
        ValueError: there is no such role; its text names those that there are.

    >>> [role.value for role in roles_of("admin, clerk")]
    ['clerk', 'admin']
    """
    named = {part.strip() for part in text.split(",") if part.strip()}
    unknown = named - set(Role)
    if unknown or not named:
        raise ValueError(f"roles are some of {', '.join(Role)}, not {text!r}")
    return tuple(role for role in Role if role in named)


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """What people with these roles may do."""
    return frozenset({Right.OPEN, Right.OWN}).union(*(RIGHTS[role] for role in roles))
