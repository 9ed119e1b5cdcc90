"""A pair of books that must agree, as one TOML file says it; docs/reconciliation.md has a whole one.

PairError      a file that is no pair; its text says where in it, what is wrong, and what to do
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from server_stub.foundation.text import Text
from server_stub.reconciliation.healing import Rule
from server_stub.reconciliation.layout import Layout
from server_stub.reconciliation.records import Cls, Side


class PairError(Exception):
    """What is not right in a pair's file."""


_STRICT = ConfigDict(frozen=True, extra="forbid")
Limit = Annotated[int, Field(ge=0)]


class Book(BaseModel):
    """One of the two books.

    Args:
        statuses: what it calls a status -> what the pair calls it. With any, a record with another one is malformed;
            without, statuses are compared as they stand.
        currencies: what it calls a currency -> ISO 4217; what is not named stands for itself.
        layout: of its files; None where its records come from elsewhere.
        unique: no key can be there twice, as where a unique index sees to it. That both books have one twice, with equal rows,
            is not looked for then, which takes a fifth of the time.
    """

    model_config = _STRICT

    title: Text
    statuses: dict[str, str] = {}
    currencies: dict[str, str] = {}
    layout: Layout | None = None
    unique: bool = False


class HealRule(BaseModel):
    """As ``healing.Rule``; ``class`` stands for ``cls``."""

    model_config = _STRICT

    rule: str = Field(pattern=r"^[a-z0-9-]+$")
    cls: Cls = Field(alias="class")
    action: str = Field(pattern=r"^[a-z0-9-]+$")
    here: str | None = None
    there: str | None = None
    limit_count: Limit | None = None
    limit_fen: Limit | None = None


class Pair(BaseModel):
    """Two books that must agree.

    Args:
        currency: of records that name none.
        tolerance_fen: amounts that differ by so much at most agree.
        window_days: a record that the other book has on a day so near is found there.
        limit_differences: a run that finds more enters none of them: so many are no day's faults, but another file.
        reversed: common statuses that mean that the money has gone back.
        heal: what is done about differences without a person.
    """

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: Text
    here: Book
    there: Book
    currency: str = "CNY"
    tolerance_fen: int = Field(default=0, ge=0)
    window_days: int = Field(default=0, ge=0, le=31)
    limit_differences: int = Field(default=10_000, ge=0)
    reversed: frozenset[str] = frozenset()
    heal: tuple[HealRule, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [rule.rule for rule in self.heal]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one name")
        for side in ("here", "there"):
            common = set(self.book(side).statuses.values())
            for rule in self.heal:
                wanted = rule.here if side == "here" else rule.there
                if common and wanted is not None and wanted not in common:
                    said = (
                        f"rule {rule.rule} waits for status {wanted!r} {side}, which no record there can have"
                    )
                    raise ValueError(f"{said}; there are {', '.join(sorted(common))}")
        common = {*self.here.statuses.values(), *self.there.statuses.values()}
        if self.here.statuses and self.there.statuses and (odd := self.reversed - common):
            raise ValueError(f"reversed: no record can have {', '.join(sorted(odd))}")
        return self

    def book(self, side: Side) -> Book:
        """The book of one side."""
        return self.here if side == "here" else self.there

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that heal, in their order."""
        names = ("cls", "action", "here", "there", "limit_count", "limit_fen")
        return tuple(Rule(rule.rule, **{name: getattr(rule, name) for name in names}) for rule in self.heal)


def load(path: Path) -> Pair:
    """Reads a pair.

    Raises:
        PairError
    """
    try:
        return parse(path.read_text("utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise PairError(f"{path}: cannot be read ({error}); a pair is a TOML file in UTF-8") from error


def parse(text: str, name: str = "pair") -> Pair:
    """The same from its text. Raises PairError."""
    try:
        return Pair.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PairError(f"{name}: this is not TOML ({error})") from error
    except ValidationError as error:
        raise PairError("\n".join(_said(name, one) for one in error.errors())) from error


def _said(name: str, error: object) -> str:
    assert isinstance(error, dict)
    place = ".".join(str(part) for part in error["loc"]) or "the whole"
    match error["type"]:
        case "extra_forbidden":
            return (
                f"{name}: {place}: nothing of that name is known; take it out, or look for a slip of the pen"
            )
        case "missing":
            return f"{name}: {place}: is missing; docs/reconciliation.md says what belongs there"
    return f"{name}: {place}: {error['msg'].removeprefix('Value error, ')} (it is {error['input']!r:.80})"
