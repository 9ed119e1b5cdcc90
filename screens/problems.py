"""The words for everything that can go wrong, or is asked of a person with a card: plain and without blame.

Each code's own words are in ``problem_words``; here are what is asked of a person with a card, what has become of the
money, and how the facts of a code go into its words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from screens.problem_words import N_ as N_  # also for the tables of single pages
from screens.problem_words import PROBLEMS, SERVICE_BACK, SERVICE_DOWN, UNKNOWN_CODE
from stb_app.kit.texts import last_four
from stb_app.shell.words import money

Translate = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Said:
    """What is said about something: ``title`` in a few words, ``text`` with what to do next.

    ``code`` is empty unless nobody has words for it: then it is shown small, for the hotline. ``warning``: a sentence that
    must be obeyed, to be shown in amber in a line of its own.
    """

    title: str
    text: str
    code: str = ""
    warning: str = ""


IN_USE = N_("Another program is using the card reader")
SILENT = N_("The card reader does not answer")
MONEY: dict[str, str] = {
    "not-taken": N_("No money was taken."),
    "taken": N_("The money was taken."),
    "unknown": N_("It is not yet known whether money was taken."),
    "returned": N_("The money was sent back to you."),
}
"""What has become of the money, as a sentence of its own."""
ELSEWHERE: dict[str, str] = {
    "paying-elsewhere": N_("Nothing was taken here; the other television has no result yet."),
    "paid-elsewhere": N_("Nothing was taken here."),
}
"""The same of a payment that another television of the household has overtaken: what was taken is not taken here."""
RETURNING = N_("The money is being sent back to you.")
"""The same of money that came too late and has been taken, but is not back yet."""

PROMPTS: dict[str, tuple[str, str]] = {
    "starting": (N_("Preparing the payment"), N_("One moment, please.")),
    "insert": (N_("Please insert your UnionPay card"), N_("Chip first, chip side up, until it stops.")),
    "reading": (N_("Reading the card"), N_("Please leave the card in.")),
    "enter-pin": (N_("Please enter the card's PIN"), N_("Type six digits on the remote, then press OK.")),
    "wrong-pin": (N_("That PIN is not right"), N_("You have {tries} tries left. Please enter it again.")),
    "wrong-pin-last": (
        N_("Wrong PIN: last try"),
        N_("One more wrong PIN locks the card. If you are not sure, cancel and ask first."),
    ),
    "confirm-cash": (
        N_("Pay with electronic cash?"),
        N_("It is taken from the card itself. No PIN is needed."),
    ),
    "processing": (N_("Paying: leave the card in"), N_("This takes a few seconds.")),
    "waiting-psam": (
        N_("Many people are paying just now"),
        N_("Your turn comes by itself. Please leave the card in."),
    ),
    "reconnecting": (
        N_("The payment service does not answer"),
        N_("We keep trying for a few seconds. You need not do anything."),
    ),
    "no-service": (
        N_("The payment service cannot be reached"),
        N_("Please try again in a moment. If it stays away, cancel, and pay another day."),
    ),
    "silent": (
        N_("The payment service does not answer"),
        N_(
            "We keep trying for half a minute: please leave the card in. If you go, take it along; the records say how it ended."
        ),
    ),
    "silent-paid": (
        N_("Paid with the card: please take it"),
        N_("The service is switched on as soon as the payment service answers again."),
    ),
    "remove": (N_("Please take your card"), N_("Paid. The result follows at once.")),
    "removed-early": (
        N_("Please put the card back"),
        N_("It came out too early. Put it back and we go on."),
    ),
    "put-back": (
        N_("Please put the same card back"),
        N_("It came out while it was paying. The card itself tells us whether it has paid."),
    ),
    "other-card": (
        N_("This is a different card"),
        N_("Take it out and put the first card back: only that one can tell us."),
    ),
    "put-back-named": (
        N_("Please put the card ending {last} back"),
        N_("It came out while it was paying. The card itself tells us whether it has paid."),
    ),
    "other-card-named": (
        N_("This is a different card"),
        N_("Take it out and put the card ending {last} back: only that one can tell us."),
    ),
    "put-back-earlier": (
        N_("Please put the same card back"),
        N_("It came out during an earlier payment. The card itself tells us whether it has paid."),
    ),
    "put-back-earlier-named": (
        N_("Please put the card ending {last} back"),
        N_("It came out during an earlier payment. The card itself tells us whether it has paid."),
    ),
    "other-card-earlier": (
        N_("This is not the card of the earlier payment"),
        N_("Take it out and put the card of the earlier payment back: only that one can tell us."),
    ),
    "other-card-earlier-named": (
        N_("This is not the card of the earlier payment"),
        N_("Put in the card ending {last}: only that one can tell us."),
    ),
    "starting-earlier": (N_("Looking for the earlier payment"), N_("One moment, please.")),
    "reader-away": (
        N_("The card reader cannot be found"),
        N_("Plug the reader in and put the same card back: the card itself tells us whether it has paid."),
    ),
    "reader-missing-service": (SERVICE_DOWN, SERVICE_BACK),
    "reader-missing-in-use": (
        IN_USE,
        N_("It goes on by itself as soon as the other program has finished."),
    ),
    "reader-missing-silent": (SILENT, N_("Please unplug it and plug it in again.")),
    "reader-away-in-use": (
        IN_USE,
        N_(
            "As soon as it is free, take the card out and put it in again: the card itself tells us whether it has paid."
        ),
    ),
    "reader-away-silent": (
        SILENT,
        N_(
            "Unplug it, plug it in again and put the same card back: the card itself tells us whether it has paid."
        ),
    ),
    "reader-away-service": (
        SERVICE_DOWN,
        N_("As soon as it runs, put the same card back: the card itself tells us whether it has paid."),
    ),
    "settling": (N_("Asking the card what happened"), N_("Please leave it in. It can't be cancelled now.")),
    "settling-earlier": (
        N_("Asking the card about an earlier payment"),
        N_("Please leave it in. It can't be cancelled now."),
    ),
}
"""The card prompts that are no problem of the card -> (title, what to do)."""

_PROMPT_CODES = {"expired": "expired-card"}
"""A card prompt whose word means something else as a payment's reason."""

CLASHES_WITH = N_("Cannot be combined with your {service}")
TOO_LITTLE = N_("{balance} on the card, {missing} short. Use another card, or pay another way.")
CARD_AWAY_NAMED = N_("Put the card ending {last} in at any time: that shows what happened.")
DO_NOT_REPEAT = N_("Please do not pay again.")
MAY_BE_PAID = frozenset((
    "payment-in-progress", "paying-elsewhere", "mac2-refused", "proof-kept", "evidence-contradicts", "card-away",
    "certificate-lost", "certificate-refused", "service-not-opened",
))  # fmt: skip
"""Codes that come with DO_NOT_REPEAT."""
STILL_ASKING = N_(
    "This takes longer than usual, up to a minute and a half. Please leave the card in: you will see how it ended."
)
STILL_READING = N_("This takes longer than usual. Please leave the card in.")
STAY_SAFE = N_("Nothing has been taken yet.")
"""What every page of a payment says until the debit may have begun."""
MAYBE_PAID = N_("It is not yet known whether money was taken. Please do not pay again.")
CASE_OPEN = N_(
    "It is not yet known whether money was taken. The payment stays open and is settled when this card is put in again."
)


def words_for(code: str, facts: Mapping[str, Any], t: Translate) -> Said:
    """The words for a code of docs/tsp-api.md, of the client or of a journey.

    Args:
        code: stable word; one that nobody knows gets a general apology and is handed back in ``code``.
        facts: its numbers; ``balance_fen`` is named in yuan for a balance that is too low, and what ``amount_fen`` is more;
            ``number`` is the masked number of the card that has to come back; its names, in the subscriber's language:
            ``clashes_with`` is the service that stands in the way.
        t: translates a msgid.
    """
    known = PROBLEMS.get(code)
    if known is None:
        return Said(t(UNKNOWN_CODE[0]), t(UNKNOWN_CODE[1]), code)
    title, text = known
    balance, amount = facts.get("balance_fen"), facts.get("amount_fen")
    if code == "balance-too-low" and isinstance(balance, int) and isinstance(amount, int):
        text = t(TOO_LITTLE).format(balance=money(balance), missing=money(amount - balance))
        return Said(t(title), text)
    number = facts.get("number")
    if code == "card-away" and isinstance(number, str):
        return Said(t(title), t(CARD_AWAY_NAMED).format(last=last_four(number)), "", t(DO_NOT_REPEAT))
    rival = facts.get("clashes_with")
    if code == "order-clash" and isinstance(rival, str):
        return Said(t(CLASHES_WITH).format(service=rival), t(text))
    return Said(t(title), t(text), "", t(DO_NOT_REPEAT) if code in MAY_BE_PAID else "")


def sends_to_hotline(code: str) -> bool:
    """Whether a call is among what can be done about a code: the number belongs beside it."""
    return "hotline" in PROBLEMS.get(code, UNKNOWN_CODE)[1]


def spoken(facts: Mapping[str, Any], say: Callable[[Mapping[str, str]], str]) -> dict[str, Any]:
    """The facts of a refusal with the server's texts among them in the subscriber's language."""
    return {name: say(fact) if isinstance(fact, Mapping) else fact for name, fact in facts.items()}


def prompt_words(
    prompt: str,
    tries_left: int | None,
    facts: Mapping[str, Any],
    t: Translate,
    earlier: bool = False,
    trouble: str = "missing",
) -> Said:
    """The words for a card prompt of the closed list, those of a card that cannot pay among them.

    ``number`` among the facts: the masked number of the card that is asked for; ``earlier``: it is about a payment that was
    begun and left; ``trouble``: at ``reader-missing`` and ``reader-away``, why (`ReaderTrouble`).
    """
    if trouble != "missing":
        prompt = f"{prompt}-{trouble}"
    if prompt == "wrong-pin" and tries_left == 1:
        prompt = "wrong-pin-last"
    if earlier and f"{prompt}-earlier" in PROMPTS:
        prompt = f"{prompt}-earlier"
    number = str(facts.get("number", ""))
    if number and f"{prompt}-named" in PROMPTS:
        prompt = f"{prompt}-named"
    known = PROMPTS.get(prompt)
    if known is None:
        return words_for(_PROMPT_CODES.get(prompt, prompt), facts, t)
    title, text = known
    last = last_four(number)
    return Said(t(title).format(last=last), t(text).format(tries=tries_left, last=last))


COUNTED = N_("It counts as paid. You owe nothing and need not pay again.")
BY_OPERATOR = "opened-by-operator"
"""Why a payment counts as paid though nobody knows what its card has done."""


def money_words(what: str, t: Translate, reason: str | None = None, *, late: bool = False) -> str:
    """Whether money was taken, as a sentence.

    Args:
        what: not-taken, taken, unknown or returned.
        reason: the payment's.
        late: what was taken goes back.
    """
    if reason == BY_OPERATOR:
        return t(COUNTED)
    if late and what == "taken":
        return t(RETURNING)
    return t(MONEY.get(what, MONEY["unknown"]))


def all_msgids() -> tuple[str, ...]:
    """Everything these tables can say, for the check of the catalogues."""
    pairs = (*PROBLEMS.values(), *PROMPTS.values(), UNKNOWN_CODE)
    return (
        *(msgid for pair in pairs for msgid in pair),
        *MONEY.values(),
        *ELSEWHERE.values(),
        RETURNING,
        COUNTED,
        STAY_SAFE,
        MAYBE_PAID,
        CASE_OPEN,
        TOO_LITTLE,
        CARD_AWAY_NAMED,
        DO_NOT_REPEAT,
        CLASHES_WITH,
    )
