"""What can be done about a break, by a person or a rule.

DecisionRefused      what cannot be done about a break; nothing has changed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from server_stub.foundation.sentences import Refusal
from server_stub.reconciliation.break_rows import BreakRow
from server_stub.reconciliation.healing import MATCH, Rule
from server_stub.reconciliation.records import Cls

AGREED, CLOSE, WAIT = "agreed", "close", "wait"
RULE = "rule:"
"""Begins the actor of what a rule does."""


class DecisionRefused(Refusal):
    """What cannot be done about a break; the text says why. An action that raises it has changed nothing."""


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done about a break, by a person or a rule.

    Args:
        fits: whether it is for this break.
        do: does it, for an actor (``"person:NAME"``, ``"rule:NAME"``), in the caller's transaction. May raise
            DecisionRefused, before it has changed anything.
        ends: the break is closed by it; else it is ``healing`` until a later run agrees or ``close`` is called.
    """

    fits: Callable[[BreakRow], bool]
    do: Callable[[Connection, BreakRow, str], None]
    ends: bool = False


def _nothing(conn: Connection, row: BreakRow, actor: str) -> None:
    """For what moves nothing."""


def _found_again(row: BreakRow) -> bool:
    return bool(row.cls == Cls.OTHER_DAY)


ALWAYS: Mapping[str, Action] = MappingProxyType(
    {
        CLOSE: Action(lambda row: True, _nothing, ends=True),
        WAIT: Action(lambda row: row.state == "open", _nothing),
        MATCH: Action(_found_again, _nothing, ends=True),
    }
)
"""Actions that every book has: agreed outside, wait, the same only on another day."""


def able_by(actions: Mapping[str, Action], tried: set[tuple[str, str]], row: Any, rule: Rule) -> bool:
    """Whether the action of a rule is for a break, and was not begun by it before."""
    action = {**ALWAYS, **actions}.get(rule.action)
    return action is not None and (row.id, f"{RULE}{rule.name}") not in tried and action.fits(row)
