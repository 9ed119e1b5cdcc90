"""Healing by rule: which differences a rule fits, and whether there are so few of them that it may act by itself.

A rule that fits more than its limit heals nothing: so many at once are no usual fault, and a person looks first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server_stub.reconciliation.records import Cls, Record

MATCH = "match"
"""The action that every book has: the two records are one, only on another day."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about differences of one kind.

    Args:
        cls: their class.
        here, there: common status that the record of that side has; None: any, or no record.
        action: name of one of the role's actions, or ``"match"``.
        limit_count, limit_fen: of one run at most; None: any.
    """

    name: str
    cls: Cls
    action: str
    here: str | None = None
    there: str | None = None
    limit_count: int | None = None
    limit_fen: int | None = None

    def fits(self, cls: Cls, here: Record | None, there: Record | None) -> bool:
        """Whether this rule is about such a difference."""
        if cls != self.cls:
            return False
        wanted = ((self.here, here), (self.there, there))
        return all(status is None or (one is not None and one.status == status) for status, one in wanted)


SETTLED_LATE = Rule("settled-late", Cls.OTHER_DAY, MATCH)
"""Holds for a pair that has no rule of its own for records of another day."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What a rule has done in a run, or would do.

    Args:
        count, fen: differences that it has healed, or would, and the amount at stake in them; what a limit holds too.
        held: there are more than its limit: none was healed.
    """

    rule: str
    action: str
    count: int
    fen: int
    held: bool


class Tally:
    """Counts what each rule of a pair can heal; the first that fits a difference has it.

    Args:
        rules: in the order they are asked.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        late = any(rule.cls is Cls.OTHER_DAY for rule in rules)
        self.rules = tuple(rules) if late else (*rules, SETTLED_LATE)
        self._found: dict[str, list[int]] = {rule.name: [0, 0] for rule in self.rules}

    def add(
        self,
        cls: Cls,
        here: Record | None,
        there: Record | None,
        able: Callable[[Rule], bool] = lambda rule: True,
    ) -> None:
        """Counts a difference.

        Args:
            able: whether the action of the rule that fits it is for it.
        """
        rule = self.rule_for(cls, here, there)
        if rule is not None and able(rule):
            self._count(rule.name, 1, at_stake(here, there))

    def add_done(self, rule: str, here: Record | None, there: Record | None) -> None:
        """Counts a difference that a rule has healed already; of a rule that is not there any more nothing."""
        if rule in self._found:
            self._count(rule, 1, at_stake(here, there))

    def take_off(self, rule: str, fen: int) -> None:
        """A difference that was counted could not be healed after all."""
        self._count(rule, -1, -fen)

    def rule_for(self, cls: Cls, here: Record | None, there: Record | None) -> Rule | None:
        """The rule that fits a difference."""
        return next((rule for rule in self.rules if rule.fits(cls, here, there)), None)

    def held(self, rule: Rule) -> bool:
        """Whether there are more than the rule may heal in one run."""
        limits = ((rule.limit_count, 0), (rule.limit_fen, 1))
        return any(limit is not None and self._found[rule.name][place] > limit for limit, place in limits)

    def outcome(self) -> list[Healed]:
        """Of every rule that fits something."""
        every = [
            Healed(rule.name, rule.action, count, fen, self.held(rule))
            for rule in self.rules
            for count, fen in [self._found[rule.name]]
        ]
        return [one for one in every if one.count]

    def _count(self, rule: str, count: int, fen: int) -> None:
        self._found[rule][0] += count
        self._found[rule][1] += fen


def at_stake(here: Record | None, there: Record | None) -> int:
    """The larger amount of the two, in fen."""
    return max((abs(one.amount_fen) for one in (here, there) if one is not None), default=0)
