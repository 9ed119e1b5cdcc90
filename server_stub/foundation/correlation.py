"""The correlation id: one name for everything that follows from one key press, from the box's log to the books.

The box makes it when a journey begins and sends it in ``Correlation-Id``, under its signature. Here it belongs to the
task that works on it: log lines, rows and requests to others carry it without being told. What is done later (a
delivery, a sweep) takes it from the row it is done for. It is no ``traceparent`` (W3C Trace Context): every hop may
change that one, so no signature could cover it; but 32 hexadecimal digits can be used as a ``trace-id``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from sqlalchemy import Column, String

HEADER = "Correlation-Id"
PATTERN = re.compile(r"[0-9a-f]{32}")
_current: ContextVar[str | None] = ContextVar("correlation", default=None)


def current() -> str | None:
    """The id of what is being done now; None where nobody's key press stands behind it."""
    return _current.get()


def fresh() -> str:
    """A new id."""
    return secrets.token_hex(16)


def given(headers: Mapping[str, str]) -> str:
    """The id that a request carries; a new one where it carries none, or none that is one.

    Args:
        headers: by lower-case name.
    """
    found = headers.get(HEADER.lower(), "")
    return found if PATTERN.fullmatch(found) else fresh()


@contextmanager
def under(correlation: str | None) -> Iterator[None]:
    """What is done inside belongs to this id; with None nothing changes (rows of before there were ids)."""
    if correlation is None:
        yield
        return
    token = _current.set(correlation)
    try:
        yield
    finally:
        _current.reset(token)


def column() -> Column[Any]:
    """For a table whose rows are to be found by the id: filled in by itself, also on the thread that writes."""
    return Column("correlation", String, default=current)


async def hand_on(request: httpx.Request) -> None:
    """Lets a request to another role carry the id: an event hook of the client."""
    found = current()
    if found is not None:
        request.headers.setdefault(HEADER, found)


def in_log(logger: Any, method: str, event: Any) -> Any:
    """Names the id in a line of the log: a processor of structlog."""
    found = current()
    if found is not None:
        event.setdefault("correlation", found)
    return event
