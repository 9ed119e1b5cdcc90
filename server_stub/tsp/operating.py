"""The settings that commands and the back office decide by as well as servers: each server that starts writes its own down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select

from server_stub.settings import PREFIX, Settings, SettingsError
from server_stub.tsp.tables import operating

NAMES = ("case_second_fen", "closed_days", "cut_off", "unknown_pauses")


def note(conn: Connection, settings: Settings) -> None:
    """A server runs with these from now on."""
    conn.execute(delete(operating))
    rows = [{"name": name, "value": str(getattr(settings, name))} for name in NAMES]
    conn.execute(insert(operating), rows)


def noted(conn: Connection, settings: Settings) -> Settings:
    """Settings with those of the server that started last; unchanged, where none has noted any."""
    rows = conn.execute(select(operating).where(operating.c.name.in_(NAMES)))
    return replace(settings, **{row.name: type(getattr(settings, row.name))(row.value) for row in rows})


def of_server(conn: Connection, settings: Settings, environment: Mapping[str, str]) -> Settings:
    """A command's settings with those of the server; its own, where none has noted any.

    Args:
        environment: of the command: what it sets to something else is no slip to pass over.

    Raises:
        SettingsError: it says something else than the server's.
    """
    found = noted(conn, settings)
    for name in NAMES:
        own, value, variable = getattr(settings, name), getattr(found, name), PREFIX + name.upper()
        if variable in environment and own != value:
            raise SettingsError(
                f"{variable} is {own!s:.80} here, and {value or 'empty'} for the server that started last on this "
                "database: set it alike, or not at all"
            )
    return found
