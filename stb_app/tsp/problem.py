"""What can go wrong between box and TSP, in one exception that says what has become of the money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Money = Literal["not-taken", "taken", "unknown", "returned"]
MONEY: tuple[Money, ...] = ("not-taken", "taken", "unknown", "returned")


UNANSWERED = frozenset(
    {
        "tsp-unreachable",
        "tsp-not-trusted",
        "tls-authority-unknown",
        "tls-expired",
        "tls-not-yet-valid",
        "tls-wrong-name",
        "tls-failed",
    }
)
"""No answer, or none that may be believed."""


class Problem(Exception):
    """A request was refused, or its answer never came.

    Attributes:
        code: stable word of docs/tsp-api.md, or one of the client's own: ``tsp-unreachable`` (no answer: the TSP may have
            carried the request out), ``tsp-answer-bad`` (an answer that the interface does not know), ``tsp-not-trusted``
            (an answer that the TSP has not signed), ``tls-...`` (no connection that can be trusted), ``box-storage`` (the
            box cannot keep what it must, so nothing was sent).
        money: what has become of the money as far as this request goes. An answer that never came says ``unknown``
            only where the request could have moved money; the caller decides.
        retryable: the same request, with the same idempotency key, may be sent again.
        facts: numbers and words for the sentence on the screen, e.g. ``balance_fen``.
    """

    def __init__(
        self,
        code: str,
        *,
        money: Money = "not-taken",
        retryable: bool = False,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.money = money
        self.retryable = retryable
        self.facts: dict[str, Any] = dict(facts or {})

    @property
    def unanswered(self) -> bool:
        """No answer came that can be believed: whether the TSP did what was asked is not known."""
        return self.code in UNANSWERED
