"""What the roles have said (``foundation.sentences``), in the words of a page: a value's name tells what it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from server_stub.backoffice import recon_words, words
from server_stub.backoffice.words import N_
from server_stub.foundation.problems import Problem
from server_stub.foundation.sentences import Refusal, Sentence, say

PROBLEMS = {
    "wrong-state": N_("The payment is in another state now."),
    "not-found": N_("There is no such payment."),
    "service-withdrawn": N_("The service is no longer sold."),
    "already-subscribed": N_("The subscriber has the service already."),
    "subscriber-in-arrears": N_("The subscriber has unpaid bills."),
    "box-suspended": N_("The box is suspended."),
    "box-stolen": N_("The box is reported stolen."),
    "box-unknown": N_("BOSS does not know the box."),
    "order-clash": N_("The order clashes with what the subscriber has."),
    "order-closed": N_("The order is closed."),
}
"""Problems that a decision can meet, by their codes; another one is told by its code."""
ORDER_STATES = {
    "quoted": N_("not ordered yet"),
    "opened": N_("open"),
    "refused": N_("refused"),
    "cancelled": N_("taken back"),
}
ACTIONS = {**words.CASE_ACTIONS, **recon_words.BREAK_ACTIONS}
VALUES: Mapping[str, Mapping[str, str]] = {
    "state": {name: mark.text for name, mark in words.PAYMENT_STATES.items()},
    "break_state": {name: mark.text for name, mark in recon_words.BREAK_STATES.items()},
    "order_state": ORDER_STATES,
    "action": {name: text for name, (text, _) in ACTIONS.items()},
    "cls": {name: one.text for name, one in recon_words.BREAK_CLASSES.items()},
    "about": {"payment": N_("payment"), "load": N_("load")},
    "what": {"header": N_("header"), "trailer": N_("trailer")},
    "partner": recon_words.PARTNERS,
    "actor": words.ACTORS,
    "role": words.ROLES,
    "code": PROBLEMS,
}
"""What values of these names are called."""
MANY = {"states": "state", "actions": "action"}
"""Names of values that are several, with commas between them."""
RESULTS = {
    "made": N_("%(number)s made"),
    "sent": N_("%(number)s sent"),
    "answered": N_("%(number)s answered"),
    "told": N_("%(number)s told"),
    "settled": N_("%(number)s settled"),
    "forgotten": N_("%(number)s forgotten"),
    "brought on": N_("%(number)s brought on"),
    "done": N_("%(number)s done"),
    "swept": N_("%(number)s looked at"),
    "reversed": N_("%(number)s reversed"),
    "balanced": N_("balanced"),
    "closed today": N_("closed today"),
}
"""What comes of jobs; anything else is shown as it is."""
_RESULT = re.compile(r"(?:(\d+) )?(.+)")


def worded(language: str, sentence: Sentence) -> str:
    """A sentence in a language."""

    def value(name: str, told: str | int) -> str:
        if name.endswith("_fen") and isinstance(told, int):
            return words.yuan(told)
        if isinstance(told, int):
            return f"{told:,}"
        if name in MANY:
            return words.said(language, N_("; ")).join(
                value(MANY[name], one) for one in str(told).split(", ")
            )
        known = VALUES.get(name, {})
        named = words.said(language, known[str(told)]) if str(told) in known else str(told)
        # Between Chinese letters a Latin name stands apart.
        return f" {named} " if name == "partner" and language == "zh" and named.isascii() else named

    return sentence.worded(lambda message: words.said(language, message), value)


def whole(language: str, sentence: Sentence) -> str:
    """The same where it stands by itself: a message that begins with a small letter begins with a large one.

    >>> whole("en", say("no file of %(day)s", day="2026-06-21")), whole("en", say("%(name)s: bad", name="a.txt"))
    ('No file of 2026-06-21', 'a.txt: bad')
    """
    text = worded(language, sentence)
    return text[:1].upper() + text[1:] if sentence.message[:1].islower() else text


def of(error: Refusal | Problem) -> Sentence:
    """Why something was refused."""
    return say("%(code)s", code=error.code) if isinstance(error, Problem) else error.said


def result(text: str | None, t: Callable[..., str]) -> str:
    """What came of a job, in the words of a page.

    Args:
        t: translates a message with its values.
    """
    parts = [_RESULT.fullmatch(part) for part in (text or "").split(", ")]
    said = [
        t(RESULTS[part[2]], number=part[1] or "") for part in parts if part is not None and part[2] in RESULTS
    ]
    return t(N_(", ")).join(said) if len(said) == len(parts) else text or words.NO_VALUE
