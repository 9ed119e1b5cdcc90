"""The parts of loading electronic cash: how much, what is asked of the person at the slot, and how it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from screens.card_parts import AWAY_PROMPTS, held, remarked
from screens.parts import due
from screens.pin_entry import PinEntry
from screens.problems import N_, PROBLEMS, STAY_SAFE, Said, money_words, prompt_words, words_for
from screens.words import Say, Tone, sentences
from stb_app.journeys import Load, Money
from stb_app.journeys.steps import CardPrompt, CashHeld, LoadEnded, LoadOutcome
from stb_app.kit.nodes import Color, Column, Fit, Node, Row, Sign, Space, Target, Text, TextStyle
from stb_app.shell.words import money

AMOUNTS = (5_000, 10_000, 20_000)
"""What can be loaded at once, in fen: no more than fit into a dialog with large letters."""
DO_NOT_REPEAT_LOAD = N_("Please do not load again.")
ROOMY, TIGHT = 20, 12
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
}
"""Where the words of a payment would not do."""
TEXTS: Mapping[str, str] = {
    "put-back": N_(
        "It came out while it was being loaded. The card itself tells us whether it has the money."
    ),
    "reader-away": N_(
        "Plug the reader in and put the same card back: the card itself tells us whether it has the money."
    ),
    "reader-away-service": N_(
        "As soon as it runs, put the same card back: the card itself tells us whether it has the money."
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
ENDS: Mapping[str, tuple[str, str]] = {
    "loaded": (N_("The card is loaded"), N_("It can pay with this at once, without the PIN.")),
    "card-away": (
        N_("It is not yet known whether the card was loaded"),
        N_("Put the same card in at any time: that shows what happened."),
    ),
    "unknown": (
        N_("It is not yet known whether the card was loaded"),
        N_("We are finding out. What the card does not get goes back to the account."),
    ),
    "card-removed": (
        N_("The card came out too early"),
        N_("It was not loaded, and the account has its money back. You can try again at any time."),
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
        N_("So the load was undone, and the account has its money back."),
    ),
    "not-debited": (N_("Our staff have checked this load"), N_("You need not do anything.")),
    "declined-by-card": WORDS["declined-by-card"],
    "declined-by-issuer": (
        N_("The card's bank has refused to load it"),
        N_("Please ask the bank that issued it."),
    ),
    "card-wait-expired": (N_("No card was put in"), N_("Have your card ready and try again.")),
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


def confirmation(fen: int, t: Say) -> dict[str, Any]:
    """The question before every load; its answer is ``load`` or ``not-now``."""
    return {
        "sign": "question",
        "title": t("Load {amount} onto the card?").format(amount=money(fen)),
        "text": N_("It is taken from the card's account. The card's PIN is asked for next."),
        "options": (("load", N_("Load")), NOT_NOW),
        "default": NOT_NOW[0],
    }


def load_words(step: CardPrompt, t: Say) -> Said:
    """What is asked of the person at the slot."""
    own = None if step.service_down else WORDS.get(step.prompt)
    if own is not None:
        return Said(t(own[0]), t(own[1]))
    facts = {"number": step.number}
    said = prompt_words(step.prompt, step.tries_left, facts, t, service_down=step.service_down)
    text = TEXTS.get(f"{step.prompt}-service" if step.service_down else step.prompt)
    return said if text is None else replace(said, text=t(text))


def load_amounts(amount_fen: int, held_fen: int | None, t: Say) -> Node:
    """What is to be loaded; beside it what the card holds and will hold, where that is known."""
    sum_ = due(t("To load"), amount_fen)
    if held_fen is None:
        return sum_
    balances = (held(t("Electronic cash"), held_fen), held(t("After loading"), held_fen + amount_fen))
    # No higher than the amount alone, so that the title below does not move when the card has been read.
    beside = Row((sum_, Column(balances, gap=0)), gap=56)
    return Fit((beside, Column((sum_, Row(balances, gap=48)), gap=4), Column((sum_, *balances), gap=4)))


def load_remark(step: CardPrompt, pin: PinEntry | None, t: Say) -> tuple[str, str, Color]:
    """As a payment's ``remarked``; of a card that is wanted back there is nothing that could be paid again."""
    if step.prompt in AWAY_PROMPTS or step.prompt == "settling":
        return (
            "warning",
            sentences(money_words("unknown", t), t("Please do not switch the box off.")),
            "warning",
        )
    return remarked(step, pin, t)


def ended_words(end: LoadEnded, t: Say) -> Said:
    """How it has ended, and what to do next."""
    key = end.reason if end.outcome != "loaded" and end.reason in ENDS else end.outcome
    if end.outcome == "unknown" and key not in ("card-away", "load-disputed"):
        key = "unknown"
    if end.outcome == "failed" and key == "card-away":
        key = "not-seen-again"
    own = ENDS.get(key or "")
    if own is not None:
        return Said(t(own[0]), t(own[1]))
    if end.reason in PROBLEMS:
        return words_for(end.reason, {}, t)
    return words_for("internal", {}, t)


def account_words(end: LoadEnded, t: Say) -> tuple[str, Color]:
    """What has become of the account's money, and how loud that is."""
    if end.outcome == "unknown":
        return sentences(money_words("unknown", t), t(DO_NOT_REPEAT_LOAD)), "warning"
    return t(ACCOUNT[end.outcome]).format(amount=money(end.amount_fen)), "good"


def load_ended(end: LoadEnded, buttons: tuple[Target, ...], t: Say) -> Node:
    """The page of the end."""
    said, (account, tone) = ended_words(end, t), account_words(end, t)

    def page(big: TextStyle, style: TextStyle, size: int, gap: int) -> Node:
        balance: tuple[Node, ...] = ()
        if end.balance_fen is not None:
            label = Text(t("Electronic cash on the card"), "body", "secondary", wrap=False)
            balance = (
                Row(
                    (label, Text(money(end.balance_fen), "title", "money", wrap=False)),
                    gap=24,
                    justify="center",
                ),
            )
        card = (
            (Text(t("Please take your card"), style, "warning", align="center"),) if end.card_in_slot else ()
        )
        return Column(
            (
                Space(grow=1),
                Sign(SIGNS[end.outcome], size),
                Text(said.title, big, align="center"),
                *balance,
                Text(account, style, tone, align="center"),
                Text(said.text, style, "secondary", align="center"),
                *card,
                Space(8),
                Row(buttons, gap=28, justify="center"),
                Space(grow=1),
            ),
            gap=gap,
            align="center",
            grow=1,
        )

    return Fit((page("title", "row", 120, ROOMY), page("heading", "body", 64, TIGHT)))


def end_of(load: Load) -> LoadEnded:
    """How a load stands, in the terms of its page: what nobody has told of yet only its card knows."""
    outcomes: Mapping[str, LoadOutcome] = {"loaded": "loaded", "failed": "failed"}
    number, balance_fen = (load.card.number, load.card.balance_after_fen) if load.card else ("", None)
    outcome = outcomes.get(load.state, "unknown")
    reason = load.reason if outcome == "failed" else load.reason or "card-away"
    return LoadEnded(outcome, reason, load.amount_fen, number, balance_fen)


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
    }
