"""How a payment or a load ended, or stands, that nobody was shown the result of: one line with what was to be paid and what became of
the money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from screens.problems import N_, words_for
from screens.words import SEPARATOR, Say, sentences, term_name
from stb_app.journeys import Payment
from stb_app.journeys.memory import OpenLoad, OpenPayment
from stb_app.journeys.steps import CardAsked, Finished, LoadTold
from stb_app.kit.texts import last_four
from stb_app.shell.words import moment, money

NOT_OPENED = N_("The service could not be switched on: {what}.")
CANCELLED = N_("The service was cancelled: {what}.")
BACK_FROM = {"service-not-opened": NOT_OPENED, "service-cancelled": CANCELLED}
BACK = {
    "taken": N_("The money is being sent back to you."),
    "returned": N_("The money was sent back to you."),
}
CARD = {
    "done": N_("An earlier card payment has been completed: {what}. The service is ready."),
    "paid": N_("An earlier card payment has gone through: {what}. The service is being switched on."),
    "refused": N_(
        "An earlier card payment has gone through: {what}. The service could not be switched on; our staff see to it."
    ),
    "not-taken": N_("An earlier card payment did not take place: {what}. Nothing was taken."),
    "unknown": N_("An earlier card payment is being checked by our staff: {what}. Please do not pay again."),
    "late": N_("An earlier card payment came too late: {what}."),
}
PHONE = {
    "done": N_("An earlier wallet payment has been completed: {what}. The service is ready."),
    "paid": N_("An earlier wallet payment has gone through: {what}. The service is being switched on."),
    "refused": N_(
        "An earlier wallet payment has gone through: {what}. The service could not be switched on; our staff see to it."
    ),
    "not-taken": N_("An earlier wallet payment did not take place: {what}. Nothing was taken."),
    "unknown": N_(
        "It is not yet known whether an earlier wallet payment has taken money: {what}. Please do not pay again."
    ),
    "late": N_("An earlier wallet payment came too late: {what}."),
}

PAID_UNHEARD = N_(
    "A card payment went through: {what}. The service is switched on as soon as the connection is back. Please do not pay"
    " again."
)
CARD_WANTED = N_(
    "It is not yet known whether a card payment has taken money: {what}. Put the same card in, and it is checked by itself. "
    "Please do not pay again."
)
CODE_OPEN = N_(
    "An earlier wallet payment is still open: {what}. If you have paid on the phone, it is found by itself."
)
CARD_OPEN = N_(
    "It is not yet known whether an earlier card payment has taken money: {what}. It is found out by itself. Please do not pay"
    " again."
)
CODE_NOT_HEARD_OF = N_(
    "It is not yet known how an earlier wallet payment ended. If you have paid on the phone, please do not pay again: it is"
    " found by itself."
)

MAY_GO = N_("You can take your card out.")
CARD_ASKED = {
    "asking": N_("We are asking with this card. Please do not take it out."),
    "told": MAY_GO,
}
LOAD = {
    "taken": N_("An earlier load has gone through: {what}. The money is on the card."),
    "not-taken": N_("An earlier load did not take place: {what}. Nothing was taken from the account."),
    "unknown": N_("Our staff are checking an earlier load: {what}. Please do not load again."),
}
LOAD_WANTED = N_(
    "It is not yet known whether the card was loaded: {what}. Put the same card in, and it is checked by itself. Please do"
    " not load again."
)
LOAD_OPEN = N_(
    "It is not yet known whether the card was loaded: {what}. It is found out by itself. Please do not load again."
)


def told(end: Finished, payment: Payment, t: Say, say: Callable[[Mapping[str, str]], str]) -> str:
    """The line in the subscriber's language; ``say`` picks a server's text in it."""
    name = (say(payment.service.name), term_name(t, payment.term))
    what = _what(name, payment.amount_fen, payment.number, payment.time, t)
    words = CARD if payment.method == "card" else PHONE
    if end.outcome == "late" and end.money in BACK:
        first = BACK_FROM.get(end.reason or "", words["late"])
        return sentences(t(first).format(what=what), t(BACK[end.money]))
    known: str = end.money
    if known == "taken" and end.reason == "service-not-opened":
        known = "refused"
    elif known == "taken":
        known = "done" if end.outcome == "success" else "paid"
    return t(words[known]).format(what=what)


def unsettled(payments: tuple[OpenPayment, ...], t: Say, say: Callable[[Mapping[str, str]], str]) -> str:
    """What the box knows of payments by card that have no end yet. Old records tell of the amount alone."""
    return sentences(
        *(
            t(PAID_UNHEARD if record.proven else CARD_WANTED).format(what=_remembered(record, t, say))
            for record in payments
        )
    )


def open_codes(payments: tuple[Payment | None, ...], t: Say, say: Callable[[Mapping[str, str]], str]) -> str:
    """Payments by code that have no end yet. None: the TSP has not told of it since the television was switched on."""

    def line(payment: Payment | None) -> str:
        if payment is None:
            return t(CODE_NOT_HEARD_OF)
        name = (say(payment.service.name), term_name(t, payment.term))
        what = _what(name, payment.amount_fen, payment.number, payment.time, t)
        if payment.method == "card":
            return t(CARD_OPEN).format(what=what)
        words = PHONE["unknown"] if payment.money == "unknown" else CODE_OPEN
        return t(words).format(what=what)

    return sentences(*dict.fromkeys(map(line, payments)))


def load_told(end: LoadTold, t: Say) -> str:
    """How an earlier load of electronic cash has ended."""
    return t(LOAD[end.load.money]).format(what=_loaded(end.record, t))


def loads_open(loads: tuple[OpenLoad, ...], t: Say) -> str:
    """Loads that have no end yet, and which of them only their card can explain."""
    return sentences(
        *(
            t(LOAD_WANTED if record.balance_fen is None else LOAD_OPEN).format(what=_loaded(record, t))
            for record in loads
        )
    )


def card_asked(step: CardAsked, t: Say) -> str:
    """What is done with the card in the slot, that was put in for something earlier; empty: nothing."""
    if step.state == "other":
        numbers = [last_four(number) for number in dict.fromkeys(step.wanted) if number]
        if len(numbers) != 1:
            return t("This is not one of the cards that we are waiting for. You can take it out.")
        return t("This is not the card ending {last}.").format(last=numbers[0])
    if step.state == "not-readable":
        said = words_for("not-readable", {}, t)
        return sentences(t("{reason}.").format(reason=said.title), said.text)
    return t(CARD_ASKED[step.state]) if step.state in CARD_ASKED else ""


def _loaded(record: OpenLoad, t: Say) -> str:
    """Of old records nothing is known but that it was a load."""
    if not record.amount_fen:
        return t("Electronic cash")
    return _what((t("Electronic cash"),), record.amount_fen, "", record.time, t, _card(record.card_number, t))


def _card(number: str, t: Say) -> tuple[str, ...]:
    # A no-break space: the number is one word.
    return (t("card {number}").format(number=f"****\u00a0{last_four(number)}"),) if number else ()


def _remembered(record: OpenPayment, t: Say, say: Callable[[Mapping[str, str]], str]) -> str:
    name = (say(record.service_name), term_name(t, record.term)) if record.service_name else ()
    return _what(name, record.amount_fen, record.number, record.time, t, _card(record.card_number, t))


def _what(
    name: tuple[str, ...],
    amount_fen: int,
    number: str,
    time: str | datetime,
    t: Say,
    card: tuple[str, ...] = (),
) -> str:
    """What was to be paid, with which card, and which payment it was: another one for the same service may be on the same page."""
    which = (t("Order {number}").format(number=number),) if number else ()
    return SEPARATOR.join((*name, money(amount_fen), *card, *which, *((moment(time)[:-3],) if time else ())))
