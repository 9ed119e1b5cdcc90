"""What a row of ``breaks`` has: both records, and what it is about.

The rows themselves are written by ``findings``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row

from server_stub.reconciliation.records import Difference, Record, of_json, to_json

BreakRow = Row[Any]
"""A row of ``breaks``."""


def records(row: BreakRow) -> tuple[Record | None, Record | None]:
    """What a break's row has of both sides."""
    here, there = (None if text is None else of_json(text) for text in (row.here, row.there))
    return here, there


def days_of(*both: Record | None) -> tuple[date | None, ...]:
    """The days of two records."""
    return tuple(None if one is None else one.day for one in both)


def fingerprint(row: BreakRow) -> str:
    """Of what a break is about, its class and both records: another one, where a comparison has found something else."""
    return digest(row.cls, row.here, row.there, row.text)


def digest(*facts: str | int | None) -> str:
    """A text that is another one when a fact is."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def fields_of(row: BreakRow) -> Sequence[str]:
    """Names of the fields that differ in a break."""
    return tuple(row.fields.split())


def other_day(day: str, one: Difference) -> str | None:
    """The day of the record that is not of a break's own, where there are two."""
    if one.here is None or one.there is None:
        return None
    return min({record.day.isoformat() for record in (one.here, one.there)} - {day}, default=None)


def json_of(record: Record | None) -> str | None:
    """A record as the row keeps it."""
    return None if record is None else to_json(record)


def facts_of(run: Row[Any], one: Difference) -> dict[str, Any]:
    """What is kept of a difference, as the last run has seen it."""
    values: dict[str, Any] = {"run": run.id, "cls": str(one.cls), "fields": " ".join(one.fields)}
    for side, record in (("here", one.here), ("there", one.there)):
        values[side] = json_of(record)
        values[f"{side}_fen"] = None if record is None else record.amount_fen
    return values | {"line": one.line, "text": one.text.kept}
