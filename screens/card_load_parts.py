"""The parts of loading electronic cash: how much, what is asked of the person at the slot, and how it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from screens.card_parts import AWAY_PROMPTS, beside_sum, remarked
from screens.count import SCROLLED
from screens.parts import due, take_card
from screens.pin_entry import PinEntry, titled
from screens.problem_words import PROBLEMS
from screens.problems import (
    N_,
    STAY_SAFE,
    Said,
    money_words,
    prompt_words,
)
from screens.words import Say, Tone, amount_color, money_color, sentences
from stb_app.journeys import Load, Money
from stb_app.journeys.steps import PIN_REFUSED_LAST, CardPrompt, CashHeld, LoadEnded, LoadOutcome
from stb_app.kit.nodes import (
    Color,
    Column,
    Facts,
    Fit,
    Grow,
    Node,
    Panel,
    Row,
    Scroll,
    Sign,
    Space,
    Span,
    Target,
    Text,
    TextStyle,
)
from stb_app.kit.texts import last_four
from stb_app.shell.words import full_moment, money

AMOUNTS = (5_000, 10_000, 20_000)
"""What can be loaded at once, in fen: no more than fit into a dialog with large letters."""
DO_NOT_REPEAT_LOAD = N_("Please do not load again.")
ROOMY, TIGHT = 20, 12
SIGN = 140
"""As on the result of a payment, canvas pixels at 100 %."""
WORDS: Mapping[str, tuple[str, str]] = {
    "starting": (N_("Preparing to load"), N_("One moment, please.")),
    "insert": (N_("Insert the card you want to load"), N_("Chip first, chip side up, until it stops.")),
    "processing": (N_("Loading: leave the card in"), N_("This takes a few seconds.")),
    "settling": (
        N_("Asking the card whether it was loaded"),
        N_("Please leave it in. It can't be cancelled now."),
    ),
    "reader-missing": (
        N_("The card reader cannot be found"),
        N_("Please check that its cable is plugged in."),
    ),
    "declined-by-card": (
        N_("The card has refused to be loaded"),
        N_("Please ask the bank that issued it."),
    ),
    "no-cash": (N_("This card holds no electronic cash"), N_("Take it out and put in a card that does.")),
    "cash-full": (
        N_("That is more than the card may hold"),
        N_("Take it out, and choose a smaller amount."),
    ),
}
"""Where a payment has other words, or none: it meets no card that is full."""
TEXTS: Mapping[str, str] = {
    "removed-early": N_("It came out too early. Put it back and loading goes on."),
    "put-back": N_(
        "It came out while it was being loaded. The card itself tells us whether it has the money."
    ),
    "reader-away": N_(
        "Plug the reader in and put the same card back: the card itself tells us whether it has the money."
    ),
    "reader-away-in-use": N_(
        "As soon as it is free, take the card out and put it in again: the card itself tells us whether it has the money."
    ),
    "reader-away-silent": N_(
        "Unplug it, plug it in again and put the same card back: the card itself tells us whether it has the money."
    ),
    "reader-away-service": N_(
        "As soon as it runs, put the same card back: the card itself tells us whether it has the money."
    ),
    "other-card-unnamed": N_(
        "Take it out and put back the card that is being loaded: only that one can tell us."
    ),
}
"""The same, below a title that would."""
LOAD_OPEN = N_(
    "It is not yet known whether money was taken. Put the same card in at any time: that shows what happened."
)
CANCEL: Mapping[str, Any] = {
    "title": N_("Cancel loading?"),
    "text": STAY_SAFE,
    "options": (("keep", N_("Continue loading")), ("cancel-load", N_("Cancel loading"))),
}
LEAVE: Mapping[str, Any] = {
    "title": N_("Leave without putting the card back?"),
    "text": LOAD_OPEN,
    "options": (("keep", N_("Put the card back")), ("leave", N_("Leave for now"))),
}
"""The questions that Back asks."""
NOT_NOW = ("not-now", N_("Do not load"))
OTHER_AMOUNT = frozenset(("over-limit", "too-little-on-account", "cash-full"))
"""Where less may do."""
TRY_AGAIN = frozenset((
    "pin-refused", "card-wait-expired", "card-removed", "ppp-silent", "ppp-unreachable", "tsp-unreachable",
    "too-many-requests", "stopping",
))  # fmt: skip
"""Where the same may do, now or in a few minutes."""
_ANOTHER_CARD = N_("Please use another card, or ask the bank that issued this one.")
ENDS: Mapping[str, tuple[str, str]] = {
    "loaded": (N_("The card is loaded"), N_("You can pay with it now. No PIN is needed.")),
    "card-away": (
        N_("The load has no result yet"),
        N_("Put the same card in at any time: that shows what happened."),
    ),
    "unknown": (
        N_("The load has no result yet"),
        N_("We are finding out. What the card does not get goes back to the account."),
    ),
    "card-removed": (
        N_("The card came out too early"),
        N_("The card was not loaded. You can try again at any time."),
    ),
    "over-limit": (
        N_("That is more than the card may hold"),
        N_("Please choose a smaller amount, or ask the bank that issued the card."),
    ),
    "too-little-on-account": (
        N_("There is not enough money in the account"),
        N_("Please choose a smaller amount."),
    ),
    "ppp-silent": (
        N_("The card's bank does not answer"),
        N_("The card was not loaded. Please try again in a few minutes."),
    ),
    "ppp-unreachable": (N_("Cards cannot be loaded just now"), N_("Please try again in a few minutes.")),
    "load-disputed": (
        N_("Our staff are checking this load"),
        N_("Our staff will check whether money was taken. You need not do anything."),
    ),
    "not-seen-again": (
        N_("The card was not put in again"),
        N_("So the load was undone."),
    ),
    "not-debited": (N_("Our staff have checked this load"), N_("You need not do anything.")),
    "declined-by-card": WORDS["declined-by-card"],
    "declined-by-issuer": (
        N_("The card's bank has refused to load it"),
        N_("Please ask the bank that issued it."),
    ),
    "card-wait-expired": (N_("No card was put in"), N_("Have your card ready and try again.")),
    "card-expired": (N_("This card has expired"), _ANOTHER_CARD),
    "card-issuer-unknown": (N_("Cards of this bank are not accepted here"), _ANOTHER_CARD),
    "card-listed": (N_("This card cannot be loaded"), _ANOTHER_CARD),
    "method-not-offered": (N_("Cards cannot be loaded here"), N_("Please ask the bank that issued it.")),
    "wrong-state": (N_("This load cannot go on"), N_("Please begin again.")),
    "box-storage": (
        N_("The storage of this box is full"),
        N_("So the card was not loaded. Please call the hotline."),
    ),
}
"""How a load has ended, by what happened or by its reason."""
ACCOUNT: Mapping[str, str] = {
    "loaded": N_("{amount} was taken from the account."),
    "failed": N_("Nothing was taken from the account."),
}
MONEY_OF: Mapping[str, Money] = {"loaded": "taken", "failed": "not-taken", "unknown": "unknown"}
SIGNS: Mapping[str, Literal["success", "failed", "pending"]] = {
    "loaded": "success",
    "failed": "failed",
    "unknown": "pending",
}


def amounts_for(cash: CashHeld) -> tuple[int, ...]:
    """What fits onto a card, in fen."""
    return tuple(fen for fen in AMOUNTS if cash.most_fen is None or cash.balance_fen + fen <= cash.most_fen)


def confirmation(fen: int, number: str, held_fen: int, t: Say) -> dict[str, Any]:
    """The question before every load; its answer is ``load`` or ``not-now``.

    Args:
        fen, held_fen: what is to be loaded, and what the card holds.
        number: the card's, masked; empty where no card could be read since, and then it is not known what it holds.
    """
    onto = t("Card ending {last}, balance after loading {amount}.")
    held = (onto.format(last=last_four(number), amount=money(held_fen + fen)),) if number else ()
    taken = t("It is taken from the card's account. The card's PIN is asked for next.")
    return {
        "sign": "question",
        "title": t("Load {amount} onto the card?").format(amount=money(fen)),
        "text": sentences(*held, taken),
        "options": (NOT_NOW, ("load", t("Load {amount}").format(amount=money(fen)))),
        "default": NOT_NOW[0],
        "accent": "load",
    }


def load_words(step: CardPrompt, t: Say) -> Said:
    """What is asked of the person at the slot."""
    missing = step.trouble == "missing"
    own = WORDS.get(step.prompt) if missing else None
    if own is not None:
        return Said(t(own[0]), t(own[1]))
    facts = {"number": step.number}
    said = prompt_words(step.prompt, step.tries_left, facts, t, trouble=step.trouble)
    key = step.prompt if missing else f"{step.prompt}-{step.trouble}"
    text = TEXTS.get(key if step.number else f"{key}-unnamed", TEXTS.get(key))
    return said if text is None else replace(said, text=t(text))


def load_amounts(amount_fen: int, held_fen: int | None, t: Say) -> Node:
    """What is to be loaded; beside it what the card holds and will hold, where that is known."""
    sum_ = due(t("To load"), amount_fen)
    if held_fen is None:
        return sum_
    after = held_fen + amount_fen
    return beside_sum(sum_, (t("Electronic cash"), held_fen), (t("After loading"), after))


def load_remark(step: CardPrompt, pin: PinEntry | None, t: Say) -> tuple[str, str, Color]:
    """As a payment's ``remarked``; of a card that is wanted back there is nothing that could be paid again."""
    if step.prompt in AWAY_PROMPTS or step.prompt == "settling":
        words = sentences(money_words("unknown", t), t(DO_NOT_REPEAT_LOAD))
        return "warning", words, money_color("unknown", served=False)
    return remarked(step, pin, t)


def ended_words(end: LoadEnded, t: Say) -> Said:
    """How it has ended, and what to do next."""
    title, text = _end(end)
    return Said(t(title), t(text))


def _end(end: LoadEnded) -> tuple[str, str]:
    """The same as messages."""
    key = end.reason if end.outcome != "loaded" and end.reason in ENDS else end.outcome
    if end.outcome == "unknown" and key not in ("card-away", "load-disputed"):
        key = "unknown"
    if end.outcome == "failed" and key == "card-away":
        key = "not-seen-again"
    return ENDS.get(key or "") or PROBLEMS.get(end.reason or "", PROBLEMS["internal"])


def account_words(end: LoadEnded, t: Say) -> tuple[str, Color]:
    """What has become of the account's money, and how loud that is."""
    tone = money_color(MONEY_OF[end.outcome], served=end.outcome == "loaded")
    if end.outcome == "unknown":
        return sentences(money_words("unknown", t), t(DO_NOT_REPEAT_LOAD)), tone
    return t(ACCOUNT[end.outcome]).format(amount=money(end.amount_fen)), tone


def disputed(end: LoadEnded) -> bool:
    """Nobody knows for certain what became of the money."""
    return end.outcome == "unknown"


def to_be_asked(end: LoadEnded) -> bool:
    """Whether its page names the hotline: it is not known how it ended, or its words send there."""
    return disputed(end) or "hotline" in _end(end)[1]


def load_ended(
    end: LoadEnded, time: datetime, call: tuple[str, ...], buttons: tuple[Target, ...], t: Say, large: bool
) -> Node:
    """The page of the end, in the form of a payment's result.

    Args:
        time: when it ended.
        call: whom to ask.
        large: the letters are larger than usual.
    """
    said, (account, tone) = ended_words(end, t), account_words(end, t)
    last_try = end.reason == PIN_REFUSED_LAST

    def page(styles: tuple[TextStyle, TextStyle, TextStyle], gap: int, scrolls: bool = False) -> Node:
        big, strong, style = styles
        lines = (
            Text((Span(account, tone, True),), strong),
            Text(said.text, style, "warning" if last_try else "secondary"),
            *(Text(line, style) for line in call),
        )
        head = Row(
            (
                Sign(SIGNS[end.outcome], SIGN),
                Grow(Column((titled(Text(said.title, big), last_try), *lines), gap=6 if gap else 0)),
            ),
            gap=40,
        )
        card = (take_card(t, again=buttons[0].key == "again"),) if end.card_in_slot else ()
        sum_ = due(t("Load amount"), end.amount_fen, amount_color(MONEY_OF[end.outcome]))
        amount = Fit((Row((sum_, *card), gap=48), Column((sum_, *card), gap=0, align="start")))
        facts = Facts(_facts(end, time, style, t), 2, gap=gap * 2 // 3, style=style)
        panel = Panel(facts, pad=36 if gap >= ROOMY else 28 if gap else 16)
        above: Node = Column((head, amount, panel), gap=gap)
        if scrolls:
            above = Scroll(SCROLLED, above)
        rest = Space(grow=0 if scrolls else 1)
        ways = Row(buttons, gap=24)
        width = 1728 if large else 1440
        column = Column((rest, above, Space(gap // 2 + 16), ways, rest), gap=0, width=width, grow=1)
        return Row((Space(grow=1), column, Space(grow=1)), gap=0, align="stretch", grow=1)

    title: TextStyle = "heading" if large else "title"
    return Fit(
        (
            page((title, "row", "body"), 32),
            page((title, "row", "body"), ROOMY),
            page((title, "row", "small"), TIGHT),
            page((title, "body-bold", "small"), TIGHT),
            page((title, "body-bold", "small"), 0),
            page((title, "body-bold", "small"), 0, scrolls=True),
        )
    )


def _facts(end: LoadEnded, time: datetime, style: TextStyle, t: Say) -> tuple[tuple[str, Text], ...]:
    """What a hotline asks for, and what is on the card where that has told."""
    pairs = [(t("Load number"), end.load_number)] if end.load_number else []
    if end.number:
        pairs.append((t("Card number"), end.number))
    pairs.append((t("Time"), full_moment(time)))
    if end.balance_fen is not None:
        label = t("After loading") if end.outcome == "loaded" else t("Electronic cash on the card")
        pairs.append((label, money(end.balance_fen)))
    return tuple((label, Text(value, style, wrap=False)) for label, value in pairs)


def end_of(load: Load) -> LoadEnded:
    """How a load stands, in the terms of its page: what nobody has told of yet only its card knows."""
    outcomes: Mapping[str, LoadOutcome] = {"loaded": "loaded", "failed": "failed"}
    number, balance_fen = (load.card.number, load.card.balance_after_fen) if load.card else ("", None)
    outcome = outcomes.get(load.state, "unknown")
    reason = load.reason if outcome == "failed" else load.reason or "card-away"
    return LoadEnded(outcome, reason, load.amount_fen, number, balance_fen, load_number=load.number)


def load_pill(end: LoadEnded, t: Say) -> tuple[str, Tone]:
    """What became of a load in one or two words, and the tone of its mark."""
    pills: Mapping[str, tuple[str, Tone]] = {
        "loaded": (t("Loaded"), "good"),
        "failed": (t("Not loaded"), "bad"),
        "unknown": (t("Being checked"), "warning"),
    }
    return pills[end.outcome]


def load_state(end: LoadEnded) -> dict[str, Any]:
    """For the television's picture in JSON."""
    return {
        "prompt": None,
        "load": end.outcome,
        "reason": end.reason,
        "money": MONEY_OF[end.outcome],
        "amount_fen": end.amount_fen,
        "balance_fen": end.balance_fen,
        "number": end.number,
        "load_number": end.load_number,
        "card_in_slot": end.card_in_slot,
    }
