"""The words for how a payment ended: a title, what to do next, and whether paying again is to be left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from screens.problem_words import PROBLEMS
from screens.problems import BY_OPERATOR, DO_NOT_REPEAT, ELSEWHERE, N_, Said, spoken, words_for
from screens.words import Say, sentences, term_name
from stb_app.journeys.steps import Finished

STAFF_OR_CARD = frozenset(
    (
        *("card-away", "mac2-refused", "proof-kept", "evidence-contradicts", "payment-in-progress"),
        *("certificate-lost", "certificate-refused"),
    )
)
"""Why an end is not known: somebody has to do something, and the words say who."""
NOT_SERVED = frozenset(("not-found", "service-not-opened"))
"""Money was taken, and yet no service is on its way."""
FINDING_OUT = N_("We are finding out. The records will say how it ended.")


def ended(end: Finished, t: Say, say: Callable[[Mapping[str, str]], str]) -> Said:
    """What is said of the end of the payment that the page is about.

    Args:
        say: picks a server's text in the subscriber's language.
    """
    match end.outcome:
        case "success" if end.reason == BY_OPERATOR:
            return words_for(BY_OPERATOR, {}, t)
        case "success":
            return Said(t("Paid. Your service is ready."), t("Enjoy watching."))
        case "pending":
            return _pending(end, t)
        case "late" if end.reason == "service-not-opened":
            text = t("If you have questions, please call the hotline. The service was not switched on.")
            return Said(t("The service could not be switched on"), text)
        case "late" if end.reason == "service-cancelled":
            text = t("The operator has cancelled it. If you have questions, please call the hotline.")
            return Said(t("The service was cancelled"), text)
        case "late":
            text = t("The order was closed already. The service was not switched on.")
            return Said(t("The payment came too late"), text)
        case "cancelled":
            return words_for(end.reason if end.reason in ELSEWHERE else "cancelled", {}, t)
        case "expired":
            reason = end.reason if end.reason in PROBLEMS else "expired"
            if reason == "expired" and end.payment is not None and end.payment.method == "card":
                reason = "lease-lost"  # there was no code that could have run out
            return words_for(reason, end.facts, t)
        case _:
            return words_for(end.reason or "declined", spoken(end.facts, say), t)


def _pending(end: Finished, t: Say) -> Said:
    warning = t(DO_NOT_REPEAT)
    if end.money != "taken":
        title = t("The result is not known yet")
        if end.reason in STAFF_OR_CARD:
            card = end.payment.card if end.payment is not None else None
            facts = {"number": card.number} if card is not None else {}
            return replace(words_for(end.reason, {**end.facts, **facts}, t), title=title)
        return Said(title, t(FINDING_OUT), "", warning)
    if end.reason == "not-found":
        # The card's proof stays here, but nobody switches a service on for a payment that is not known.
        text = t("Please call the hotline and have the order number ready. This box keeps the card's proof.")
        return Said(t("The card has paid, but the payment cannot be found"), text, "", warning)
    if end.reason == "service-not-opened":
        return words_for(end.reason, end.facts, t)
    code = end.reason if end.reason is not None and end.reason not in PROBLEMS else ""
    return Said(t("Paid. Your service is being switched on."), t("We keep trying."), code, warning)


def of_earlier(said: Said, end: Finished, t: Say) -> Said:
    """The same where it was an earlier payment that ended, not the one for the order just made: the title names it."""
    name = t("Earlier payment")
    if end.payment is not None:
        name = t("Earlier payment ({term})").format(term=term_name(t, end.payment.term))
    if end.outcome == "pending" and end.money != "taken":
        # The title has told already that it is open.
        text = t(FINDING_OUT) if end.reason == "payment-in-progress" else said.text
        return replace(said, title=t("{earlier}: no result yet").format(earlier=name), text=text)
    if end.outcome not in ("success", "pending") or end.reason in NOT_SERVED:
        return replace(said, title=t("{earlier}: {what}").format(earlier=name, what=said.title))
    text = (
        said.text
        if end.outcome == "success"
        else sentences(t("The service is being switched on."), said.text)
    )
    return replace(said, title=t("{earlier} went through").format(earlier=name), text=text)
