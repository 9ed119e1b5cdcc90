"""A card that has been looked at: what is on it, how long it is valid, whether it can pay here, its last transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from screens.card_load_parts import TRY_AGAIN
from screens.parts import remark
from screens.problems import N_, Said, words_for
from screens.words import Say
from stb_app.journeys.steps import BankCardRead, CardRead, CardTransaction
from stb_app.kit.nodes import (
    Column,
    Divider,
    Facts,
    Fit,
    Grow,
    Icon,
    Node,
    Panel,
    Pill,
    Row,
    Scroll,
    Sign,
    Space,
    Target,
    Text,
)  # fmt: skip
from stb_app.shell.words import MINUS, money

LINES = {"load": N_("Load"), "purchase": N_("Purchase"), "other": N_("Other")}
BANK_CARDS = {
    "debit": N_("Debit card"),
    "credit": N_("Credit card"),
    "electronic-cash": N_("Electronic cash card"),
}
SHOWN = 5
"""So many transactions are seen at once at least."""
NOT_TOLD: Mapping[str, tuple[str, str]] = {
    "declined-by-issuer": (
        N_("The card's bank does not tell the balance"),
        N_("Please ask the bank that issued it."),
    ),
    "declined-by-card": (
        N_("The card does not let its bank be asked"),
        N_("Please ask the bank that issued it."),
    ),
    "card-listed": (N_("This card has been stopped by its bank"), N_("Please ask the bank that issued it.")),
    "ppp-unreachable": (
        N_("The card's bank cannot be asked just now"),
        N_("Please try again in a few minutes."),
    ),
    "method-not-offered": (
        N_("Balances cannot be asked for here"),
        N_("Please ask the bank that issued it."),
    ),
}
"""Why a bank, asked for a balance, has not told it, where the words of a payment would not do."""
SAYS_NO = frozenset(("too-little-on-account", "over-limit"))
"""What a bank says of an amount, and there is none."""
ASK_AGAIN = N_("The bank has told nothing. You can ask it again.")
Slot = Literal["", "take", "gone"]
"""Nothing; it is not needed any more; it was taken out."""
SLOTS = {"take": N_("Please take your card"), "gone": N_("The card was taken out.")}
Fact = tuple[str, str | Text]


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a card besides its transactions.

    Attributes:
        label, figure: the largest thing.
        facts: besides the number.
        mark, why: whether it can pay here, and why not; no mark where the bank's last word leaves that open.
        warning: below a sign, in words that must not be missed.
    """

    label: str
    figure: Text
    facts: tuple[Fact, ...]
    mark: Pill | None
    why: str
    warning: str = ""


def card_read(
    card: CardRead | BankCardRead,
    buttons: tuple[Target, ...],
    t: Say,
    say: Callable[[Mapping[str, str]], str],
    roomy: bool,
    slot: Slot = "",
) -> Node:
    """The page.

    Args:
        buttons: the ways on; the last one stands next to the transactions.
        slot: what is said of the card itself.
        roomy: the letters are no larger than usual.
    """
    told = _bank_card(card, t) if isinstance(card, BankCardRead) else _purse(card, t, say)
    label = Text(told.label, "body", "secondary")
    mark = (told.mark,) if told.mark is not None else ()

    def facts(gap: int, style: Literal["body", "caption"] = "body") -> Facts:
        number = Text(card.number, style, wrap=False)
        return Facts(((t("Card number"), number), *told.facts), gap=gap, values_end=True, style=style)

    # Three ways stand below each other: side by side their words would not fit beside the transactions.
    ways: Node = Row(tuple(Grow(way) for way in buttons[-2:]), gap=24)
    if len(buttons) > 2:
        ways = Column((*(Row((Grow(way),)) for way in buttons[:-2]), ways), gap=16)
    said = _why(told)
    head = Row((Grow(label), *mark)) if mark else label
    where = (remark("card", t(SLOTS[slot]), "warning" if slot == "take" else "secondary"),) if slot else ()
    lines = (head, told.figure, Space(4), facts(16), *said)
    calm, closer = (
        Column((Panel(Column(lines, gap=gap), "hero", pad=pad, grow=1), *where, ways), gap=24, grow=1)
        for gap, pad in ((16, 44), (6, 32))
    )
    # With little room why it cannot pay stands above its number, which may scroll.
    upper = (*((head,) if mark else ()), told.figure, *said)
    airy, panel = (
        Panel(Column((*upper, facts(gap, "caption")), gap=gap), "hero", pad=28 if mark else 20, grow=1)
        for gap in (16, 4)
    )
    loose, tight = (Column((one, *where, ways), gap=20, grow=1) for one in (airy, panel))
    last = Column((Scroll("card", panel), ways), gap=20, grow=1)
    table = _table(card.log, t)
    # With the least room the word of the slot takes the place of a hint, not of what is on the card.
    telling = _table(card.log, t, where)
    return Fit(
        (
            *(
                Row((Grow(card_, 9), Grow(table, 11)), gap=48, align="stretch", grow=1)
                for card_ in ((calm, closer) if roomy else ())
            ),
            Row((Grow(loose), Grow(table)), gap=40, align="stretch", grow=1),
            Row((Grow(tight), Grow(table)), gap=40, align="stretch", grow=1),
            Row((Grow(last), Grow(telling)), gap=40, align="stretch", grow=1),
        )
    )


def _why(told: Told) -> tuple[Node, ...]:
    if not told.warning:
        return (Text(told.why, "small", "secondary"),) if told.why else ()
    words = Column((Text(told.why, "body-bold", "warning"), Text(told.warning, "small")), gap=4)
    return (Row((Icon("warning", 60, "warning"), Grow(words)), gap=20),)


def _purse(card: CardRead, t: Say, say: Callable[[Mapping[str, str]], str]) -> Told:
    facts: list[Fact] = [] if card.issuer is None else [(t("Issued by"), say(card.issuer))]
    facts.append((t("Valid until"), _date(card.expiry_date)))
    figure = Text(money(card.balance_fen), "amount", "money", wrap=False)
    return Told(t("On the card"), figure, tuple(facts), *_standing(card, t))


def _bank_card(card: BankCardRead, t: Say) -> Told:
    kind = t(BANK_CARDS[card.kind])
    facts: list[Fact] = [(t("Valid until"), _date(card.expiry_date))]
    mark: Pill | None = Pill(t("Can pay here"), "good")
    why = warning = ""
    if not card.usable:
        mark = Pill(t("Cannot pay here"), "bad")
        why = t("{reason}.").format(reason=words_for("card-expired", {}, t).title)
    if card.cash is None:
        if card.account_fen is not None:
            figure = Text(money(card.account_fen), "amount", "money", wrap=False)
            # A credit card's limit is not its holder's money.
            label = t("Available credit") if card.kind == "credit" else t("In the account")
            return Told(label, figure, ((t("Type"), kind), *facts), mark, why)
        if card.account_refusal is not None:
            mark, (why, warning) = None, not_told(card.account_refusal, t)
        elif card.usable and card.kind == "credit":
            why = t("The bank tells the available credit, once it has the PIN.")
        elif card.usable:
            why = t("The bank tells what is in the account, once it has the PIN.")
        return Told(t("UnionPay card"), Text(kind, "title"), tuple(facts), mark, why, warning)
    if card.cash.most_fen is not None:
        facts.append((t("Card limit"), money(card.cash.most_fen)))
    if card.cash.at_once_fen is not None:
        facts.append((t("Payment limit"), money(card.cash.at_once_fen)))
    figure = Text(money(card.cash.balance_fen), "amount", "money", wrap=False)
    return Told(t("Electronic cash"), figure, tuple(facts), mark, why)


def not_told(refusal: str, t: Say) -> tuple[str, str]:
    """Why the bank has not told the balance, and what can be done."""
    own = NOT_TOLD.get("declined-by-issuer" if refusal in SAYS_NO else refusal)
    if own is not None:
        said = Said(t(own[0]), t(own[1]))
    else:
        said = words_for(refusal, {}, t)
        if refusal in TRY_AGAIN and refusal != "pin-refused":
            said = replace(said, text=t(ASK_AGAIN))
    return t("{reason}.").format(reason=said.title), said.text


def _standing(card: CardRead, t: Say) -> tuple[Pill, str]:
    """Whether this card can pay here, and why not."""
    standing = card.standing
    if standing is None:
        why = t("There is no connection to ask whether this card can pay.")
        if card.asked_problem not in (None, "tsp-unreachable"):
            title = words_for(card.asked_problem, {}, t).title
            why = t("{reason}.").format(reason=title)
        return Pill(t("Not checked"), "neutral"), why
    if standing.usable:
        return Pill(t("Can pay here"), "good"), ""
    why = words_for(standing.refusal or "", {}, t).title
    return Pill(t("Cannot pay here"), "bad"), t("{reason}.").format(reason=why)


def _table(log: tuple[CardTransaction, ...] | None, t: Say, below: tuple[Node, ...] = ()) -> Node:
    """The transactions; ``below`` stands there instead of the hint that there are more."""
    head = Text(t("Last ten transactions"), "body", "secondary")
    if not log:
        empty = (
            t("There are no transactions on the card yet.")
            if log is not None
            else t("The card does not show them.")
        )
        body: Node = Column(
            (Space(grow=1), Sign("info", 88), Text(empty, "body", "secondary", "center"), Space(grow=1)),
            align="center",
            grow=1,
        )
    else:
        rows: list[Node] = []
        for number, entry in enumerate(log[:10]):
            if number:
                rows.append(Divider())
            rows.append(_line(entry, t))
        body = Scroll("log", Column(tuple(rows), gap=14))
    hint = below
    if not below and log and len(log) > SHOWN:  # true wherever the focus is, and away from its ring
        hint = (Column((Space(0), Text(t("The arrow keys show them all"), "caption", "faint")), gap=12),)
    return Panel(Column((head, body, *hint), gap=20, grow=1), pad=36, grow=1)


def _line(entry: CardTransaction, t: Say) -> Node:
    load = entry.kind == "load"
    icon = Icon("arrow-down" if load else "receipt", 40, "good" if load else "secondary")
    what = Column((Text(t(LINES[entry.kind]), "body"), Text(entry.when[:16], "caption", "secondary")), gap=0)
    sign = "+" if load else MINUS if entry.kind == "purchase" else ""
    amount = Text(sign + money(entry.amount_fen), "body-bold", "good" if load else "text", wrap=False)
    return Row((icon, Grow(what), amount), gap=24)


def _date(yyyymmdd: str) -> str:
    """A card's date as people write it.

    >>> _date("20301231")
    '2030-12-31'
    """
    return f"{yyyymmdd[:4]}-{yyyymmdd[4:6]}-{yyyymmdd[6:]}"
