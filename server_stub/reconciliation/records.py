"""What two books are compared by: records, differences with their class, and totals."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Literal, NamedTuple

from server_stub.foundation.audit import canonical
from server_stub.foundation.sentences import NOTHING, Sentence

Side = Literal["here", "there"]
"""Our book, or the other side's."""
SIDES: tuple[Side, Side] = ("here", "there")
_CARD_NUMBER = re.compile(r"(?<!\d)(\d{6})\d{3,9}(\d{4})(?!\d)")


class Cls(StrEnum):
    """The classes of differences."""

    MATCHED = "matched"
    TOLERATED = "matched-within-tolerance"
    MISSING_HERE = "missing-here"
    MISSING_THERE = "missing-there"
    AMOUNT = "amount"
    CURRENCY = "currency"
    STATUS = "status"
    DUPLICATE_HERE = "duplicate-here"
    DUPLICATE_THERE = "duplicate-there"
    OTHER_DAY = "other-day"
    REVERSED = "reversed-on-one-side"
    MALFORMED = "malformed"


BREAKS = tuple(cls for cls in Cls if cls not in (Cls.MATCHED, Cls.TOLERATED))
"""The classes of what does not agree."""


@dataclass(frozen=True, slots=True)
class Record:
    """One movement of money as one book has it.

    Args:
        key: what both books know it by.
        currency: ISO 4217, three letters.
        status: as its own book calls it; in a difference, as the pair calls it.
        day: business day.
        note: whatever else people need; never compared.
    """

    key: str
    amount_fen: int
    currency: str
    status: str
    day: date
    note: str = ""


class Carried(NamedTuple):
    """A record of another day that had no partner then (an open break ``missing-...``), or one of the day that is compared.

    Attributes:
        known: a record of ours whose partner was of the day that is compared when it was last seen; where that is gone, it is told.
    """

    side: Side
    record: Record
    known: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """What one book has of a day.

    Args:
        count: records.
        fen: sum of their amounts.
        declared: count and sum as the file itself says; None where it does not.
    """

    count: int
    fen: int
    declared: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One finding.

    Args:
        key: of the records; ``"line 17 here"`` for a line whose key could not be read.
        here, there: what that book has; None: nothing.
        fields: names of the fields that differ.
        line: of the file, from 1, of a malformed line.
        text: one sentence about it; of a malformed line, what is wrong and the line itself, card numbers masked.
    """

    cls: Cls
    key: str
    here: Record | None
    there: Record | None
    fields: tuple[str, ...] = ()
    line: int | None = None
    text: Sentence = NOTHING


def masked(text: str) -> str:
    """The text, with whatever looks like a card number (13 to 19 digits in a row) as first six and last four.

    >>> masked("K1|6210220110002707355|500")
    'K1|621022*********7355|500'
    """
    return _CARD_NUMBER.sub(lambda found: found[1] + "*" * (len(found[0]) - 10) + found[2], text)


def to_json(record: Record) -> str:
    """The record as canonical JSON; ``of_json`` reads it."""
    return canonical(asdict(record) | {"day": record.day.isoformat()})


def of_json(text: str) -> Record:
    """The record that ``to_json`` has written."""
    facts = json.loads(text)
    return Record(**facts | {"day": date.fromisoformat(facts["day"])})
