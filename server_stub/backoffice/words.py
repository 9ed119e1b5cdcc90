"""The words of the pages in both languages: gettext catalogues with English message ids, and how figures are written."""

from __future__ import annotations

import gettext
import json
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from server_stub.foundation.clock import CHINA

DOMAIN = "backoffice"
CURRENCY = "CNY"
NO_VALUE = "–"


def N_(message: str) -> str:
    """Marks a message that is translated where it is shown."""
    return message


def P_(context: str, message: str) -> tuple[str, str]:
    """The same of one that means several things."""
    return context, message


def NP_(one: str, more: str) -> tuple[str, str]:
    """The same of one that is said in another way of one thing than of several."""
    return one, more


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language; English is the message ids' own.

    Raises:
        AssetMissing: set-up has not been run.
    """
    if language == "en":
        return gettext.NullTranslations()
    import assets

    return gettext.translation(DOMAIN, str(assets.path("locale")), [language])


def said(language: str, message: str | tuple[str, str], **values: Any) -> str:
    """A message, or one of several meanings (``P_``), in a language, with its values: ``%(name)s``."""
    if isinstance(message, tuple):
        text = translations(language).pgettext(*message)
    else:
        text = translations(language).gettext(message) if message else ""
    return text % values if values else text


def yuan(fen: int | None) -> str:
    """An amount as people read it.

    >>> yuan(123456789)
    '¥1,234,567.89'
    >>> yuan(-5)
    '−¥0.05'
    >>> yuan(None)
    '–'
    """
    if fen is None:
        return NO_VALUE
    return f"{'−' if fen < 0 else ''}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def amount(fen: int | None, currency: str = CURRENCY) -> str:
    """The same in any currency of two decimals.

    >>> amount(4500, "USD"), amount(4500)
    ('USD 45.00', '¥45.00')
    """
    told = yuan(fen)
    return told if currency == CURRENCY else told.replace("¥", f"{currency} ")


def when(instant: datetime | None) -> str:
    """An instant in China's time.

    >>> from datetime import UTC
    >>> when(datetime(2026, 6, 21, 2, 0, 5, tzinfo=UTC))
    '2026-06-21 10:00:05'
    """
    return NO_VALUE if instant is None else f"{instant.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def minute(instant: datetime | None) -> str:
    """The same to the minute.

    >>> from datetime import UTC
    >>> minute(datetime(2026, 6, 21, 2, 0, 5, tzinfo=UTC))
    '2026-06-21 10:00'
    """
    return NO_VALUE if instant is None else f"{instant.astimezone(CHINA):%Y-%m-%d %H:%M}"


def lasting(seconds: float, language: str) -> str:
    """How long something lasts, in the largest unit of which it is so many: 90 minutes, not 1.5 hours.

    >>> lasting(7_200, "en"), lasting(60, "en"), lasting(90, "en"), lasting(0.5, "en")
    ('2 hours', '1 minute', '90 seconds', '0.5 seconds')
    """
    ngettext = translations(language).ngettext
    number = int(seconds) if seconds == int(seconds) else seconds
    length = next((one for one in (86_400, 3_600, 60) if number >= one and number % one == 0), 1)
    number = number // length if length > 1 else number
    whole = int(number) if number == 1 else 2
    match length:
        case 86_400:
            text = ngettext("%(num)s day", "%(num)s days", whole)
        case 3_600:
            text = ngettext("%(num)s hour", "%(num)s hours", whole)
        case 60:
            text = ngettext("%(num)s minute", "%(num)s minutes", whole)
        case _:
            text = ngettext("%(num)s second", "%(num)s seconds", whole)
    return text % {"num": number}


def day(instant: datetime | None) -> str:
    """Its day there."""
    return NO_VALUE if instant is None else f"{instant.astimezone(CHINA):%Y-%m-%d}"


def span(length: timedelta) -> str:
    """How long something has been, in hours, minutes and seconds.

    >>> span(timedelta(minutes=62, seconds=5))
    '1:02:05'
    >>> span(timedelta(days=2, hours=1))
    '49:00:00'
    """
    seconds = max(0, int(length.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def named(text: str | None, language: str) -> str:
    """A name that a role keeps as JSON in both languages, in this one."""
    if not text:
        return NO_VALUE
    told = json.loads(text)
    told = told.get("name", told)
    return str(told.get(language) or told.get("zh") or NO_VALUE)


class Mark(NamedTuple):
    """How a state is shown: words, a colour and a shape.

    Attributes:
        tone: ``good``, ``wait``, ``bad``, ``off`` or ``plain``; each has a colour and a shape of its own.
    """

    text: str
    tone: str


PAYMENT_STATES = {
    "created": Mark(N_("Begun"), "plain"),
    "card-checked": Mark(N_("Card checked"), "plain"),
    "authorising": Mark(N_("Not known: UnionPay is asked"), "wait"),
    "authorised": Mark(N_("Approved, card not asked yet"), "wait"),
    "reversing": Mark(N_("Being reversed"), "wait"),
    "cash-begun": Mark(N_("Not known: electronic cash asked"), "wait"),
    "presenting": Mark(N_("Card paid, UnionPay to confirm"), "wait"),
    "certificate-refused": Mark(N_("Card paid, UnionPay refuses"), "bad"),
    "certificate-lost": Mark(N_("Card paid, certificate lost"), "bad"),
    "mac1-issued": Mark(N_("Not known: card may have paid"), "wait"),
    "mac2-refused": Mark(N_("Not known: card's proof doubted"), "bad"),
    "proof-kept": Mark(N_("Not known: card's proof kept"), "bad"),
    "contradicted": Mark(N_("Not known: proofs contradict"), "bad"),
    "code-wanted": Mark(N_("Code wanted"), "plain"),
    "code-shown": Mark(N_("Code shown"), "plain"),
    "code-opened": Mark(N_("Code scanned"), "plain"),
    "wallet-silent": Mark(N_("Not known: wallet silent"), "wait"),
    "amount-differs": Mark(N_("Amount differs"), "bad"),
    "paid": Mark(N_("Paid, being opened"), "wait"),
    "service-refused": Mark(N_("Paid, service refused"), "bad"),
    "opened": Mark(N_("Paid and opened"), "good"),
    "failed": Mark(N_("Failed"), "off"),
    "cancelled": Mark(N_("Cancelled"), "off"),
    "expired": Mark(N_("Run out of time"), "off"),
    "written-off": Mark(N_("Written off"), "off"),
    "refunding": Mark(N_("Being refunded"), "wait"),
    "refunded": Mark(N_("Refunded"), "off"),
    "loaded": Mark(N_("Loaded"), "good"),
    "disputed": Mark(N_("Disputed"), "bad"),
}
"""Of payments and loads."""
CASE_STATES = {"open": Mark(N_("Needs a person"), "bad"), "decided": Mark(N_("Decided"), "good")}
BOX_STATES = {
    "active": Mark(N_("In service"), "good"),
    "suspended": Mark(N_("Suspended"), "wait"),
    "stolen": Mark(N_("Stolen"), "bad"),
}
BATCH_STATES = {
    "closing": Mark(N_("Closing"), "wait"),
    "closed": Mark(N_("Closed"), "wait"),
    "uploaded": Mark(N_("Uploaded"), "wait"),
    "agreed": Mark(N_("Agreed"), "good"),
    "differs": Mark(N_("Differs"), "bad"),
    "decided": Mark(N_("Decided"), "good"),
}
PROPOSAL_STATES = {
    "open": Mark(N_("Waits for a second person"), "wait"),
    "confirmed": Mark(N_("Being done"), "wait"),
    "broken-off": Mark(N_("Broken off: confirm again"), "bad"),
    "done": Mark(N_("Done"), "good"),
    "refused": Mark(N_("Refused by the second person"), "off"),
    "withdrawn": Mark(N_("Withdrawn"), "off"),
    "failed": Mark(N_("Could not be done"), "bad"),
}
TASK_STATES = {
    "wanted": Mark(N_("Waits its turn"), "wait"),
    "running": Mark(N_("Running"), "wait"),
    "done": Mark(N_("Done"), "good"),
    "failed": Mark(N_("Failed"), "bad"),
}
METHODS = {
    "card": N_("Card payment"),
    "wallet:demo": N_("Demo wallet"),
}
"""Ways to pay; one that is not here is shown by its own name."""
SUMMED_METHODS = {**METHODS, "card": N_("Card payment (all cards)")}
"""The same in sums, and where one of them is chosen."""
TERMS = {
    "per-use": N_("Per use"),
    "monthly": N_("Monthly"),
    "quarterly": N_("Quarterly"),
    "yearly": N_("Yearly"),
}
CASE_KINDS = {
    "card-unknown": N_("It is not known whether the card was debited"),
    "online-unknown": N_("It is not known whether the account was debited"),
    "certificate-unanswered": N_("UnionPay has not answered the card's certificate"),
    "wallet-unknown": N_("It is not known whether the wallet took the money"),
    "amount-differs": N_("The wallet took another amount than was asked for"),
    "opening-overdue": N_("Paid, and the service is still not open"),
    "service-not-opened": N_("Paid, and the operator refuses the service"),
    "refund-overdue": N_("A refund is overdue"),
    "mac2-refused": N_("The PSAM did not accept the card's proof"),
    "proof-kept": N_("A proof that no PSAM can check any more"),
    "psam-number-moved": N_("The PSAM has completed another purchase since"),
    "evidence-contradicts": N_("A proof of a debit after evidence that there was none"),
    "certificate-refused": N_("UnionPay refuses the card's certificate"),
    "certificate-lost": N_("The card has paid, and its certificate is lost"),
    "script-result-refused": N_("UnionPay refuses what the card has told"),
    "load-disputed": N_("Card and account disagree about a load"),
    "unknown-at-ppp": N_("The card has certified a sale that UnionPay does not know"),
}
"""A kind that is not here is shown by its own name."""
CASE_WAITS = {
    "card-unknown": N_(
        "If the card was debited, or nobody knows yet, decide nothing: when the card is in the box again, the payment is found out and the case closes by itself."
    ),
    "online-unknown": N_(
        "If the account was debited, or nobody knows yet, decide nothing: UnionPay goes on being asked, and its answer closes the case by itself."
    ),
    "wallet-unknown": N_(
        "If the wallet took the money, or nobody knows yet, decide nothing: the wallet goes on being asked, and its answer closes the case by itself."
    ),
}
"""What is to be left alone for now, and why."""
CASE_ACTIONS = {
    "accept-proof": (
        N_("Accept the proof"),
        N_("The card's proof counts: the payment is paid, BOSS opens the service."),
    ),
    "write-off": (
        N_("Write off"),
        N_("Nothing was debited, or it was put right with the subscriber: the payment has failed."),
    ),
    "open-service": (
        N_("Open the service at our cost"),
        N_("BOSS opens the service, and the operator bears the amount until UnionPay pays after all."),
    ),
    "present-again": (N_("Present again"), N_("UnionPay is told of the card's certificate once more.")),
    "refund": (N_("Refund"), N_("What the wallet took is refunded through the wallet.")),
    "retry-opening": (N_("Try opening again"), N_("BOSS is asked once more to open the service.")),
    "returned-by-hand": (
        N_("Returned over the counter"),
        N_("The subscriber has got the money back over the counter."),
    ),
    "charged-by-bank": (
        N_("Charged by the bank"),
        N_("The bank has taken the amount from the account after all: the card is loaded."),
    ),
    "close": (N_("Close"), N_("Nothing more is to be done.")),
    "settled": (N_("Settled by itself"), N_("The payment came to its end by itself.")),
}
"""What can be decided about a case: its name, and what it does."""
ACTORS = {
    "server": N_("the server"),
    "box": N_("the box"),
    "wallet": N_("the wallet"),
    "boss": N_("BOSS"),
    "ppp": N_("UnionPay"),
    "card": N_("the card"),
    "psam": N_("the PSAM"),
    "tsp": N_("the payment platform"),
    "platform": N_("the payment platform"),
    "sweep": N_("the payment platform, by the clock"),
    "tester": N_("a tester"),
    "unknown": N_("nobody who is known"),
}
"""Who does things besides people, and besides rules (``rule:NAME``)."""
ROLES = {
    "boss": N_("BOSS"),
    "tsp": N_("TSP, the payment platform"),
    "ppp": N_("PPP, UnionPay's front end"),
    "sandbox": N_("Wallet sandbox"),
    "exchange": N_("File exchange"),
    "backoffice": N_("Back office"),
}
"""The server's roles."""
STAFF_ROLES = {
    "viewer": (N_("Viewer"), N_("sees everything but audit logs and parameters, changes nothing")),
    "clerk": (N_("Clerk"), N_("decides below the limit and proposes above it; boxes")),
    "supervisor": (N_("Supervisor"), N_("is the second person; runs, PSAMs, audit logs, parameters")),
    "admin": (N_("Administrator"), N_("staff and partners; decides nothing about money")),
}
