"""The parts of the page of a card in the slot: what goes with each prompt, the drawing, the amounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from screens.parts import beside, due
from screens.pin_entry import PinEntry
from screens.problems import CASE_OPEN, DO_NOT_REPEAT, MAYBE_PAID, N_, STAY_SAFE, money_words
from screens.words import SEPARATOR, Say, amount_name, money_color, sentences, term_name
from stb_app.journeys import Money
from stb_app.journeys.steps import PROBLEM_PROMPTS, CardPrompt
from stb_app.kit.nodes import (
    CardSlot,
    Color,
    Column,
    Fit,
    Node,
    Row,
    Space,
    Steps,
    Target,
    Text,
    TextStyle,
)
from stb_app.shell.words import money

CANCEL_S = 20.0
"""So long the reader may take to answer a cancellation before the subscriber is offered another way out."""

ROOMY = 100
"""Up to this text scale, in percent, the drawing has its full size; with larger letters the words need more."""
ROOMS: tuple[tuple[TextStyle, int], ...] = (
    ("row", 24),
    ("row", 16),
    ("body", 16),
    ("body", 12),
    ("small", 16),
    ("small", 8),
)
"""Letters of what is said below a title, and gaps: as much as there is room for."""

Pose = Literal[
    "insert", "inside", "reading", "processing", "remove", "wrong", "ok", "empty", "busy", "missing"
]
POSES: dict[str, Pose] = {
    "starting": "busy",
    "insert": "insert",
    "reading": "reading",
    "enter-pin": "inside",
    "wrong-pin": "inside",
    "confirm-cash": "inside",
    "processing": "processing",
    "waiting-psam": "processing",
    "remove": "remove",
    "removed-early": "insert",
    "put-back": "insert",
    "settling": "processing",
    "silent": "processing",
    "silent-paid": "remove",
    "reader-missing": "missing",
    "reader-away": "missing",
}
"""The drawing that goes with a prompt; a card that cannot pay shows ``wrong``."""
STEP_OF = {
    "starting": -1,
    "enter-pin": 1,
    "wrong-pin": 1,
    "confirm-cash": 1,
    "pin-blocked": 1,
    "processing": 2,
    "waiting-psam": 2,
    "put-back": 2,
    "other-card": 2,
    "reader-away": 2,
    "settling": 2,
    "silent": 2,
    "silent-paid": 3,
    "remove": 3,
}
ERROR_SOUNDS = frozenset(
    ("wrong-pin", "other-card", "put-back", "reader-away", "no-service", "silent", "silent-paid")
)
OTHER_WAY_FIRST = PROBLEM_PROMPTS | {"reader-missing"}
"""Where paying another way is the likely wish and has the focus; elsewhere cancelling has it, which only asks."""
SERVICE_PROMPTS = frozenset(("reconnecting", "no-service"))
"""The payment service is silent: the payment stands where it stood, and the card where it was."""
SILENT_PROMPTS = frozenset(("silent", "silent-paid"))
"""MAC1 has left and the payment service is silent: what the box knows is kept, and the subscriber may go."""
PAID_PROMPTS = frozenset(("remove", "silent-paid"))
"""The card has paid."""
AWAY_PROMPTS = frozenset(("put-back", "other-card", "reader-away"))
"""MAC1 has left: only the same card can tell what happened."""


def card_picture(pose: Pose, number: str, t: Say, roomy: bool) -> CardSlot:
    """The card and its reader; on a small drawing the card's name could not be read."""
    return CardSlot(pose, number, t("UnionPay card")) if roomy else CardSlot(pose, number, "", 70)


def slot_page(
    picture: CardSlot,
    head: tuple[Node, Steps],
    title: Node,
    said: tuple[str, Color],
    below: tuple[Node, ...],
    roomy: bool,
) -> Node:
    """The page of a card that moves money: amount and steps above the words, and the drawing beside them.

    Args:
        said: what stands below the title, and its colour.
        below: the PIN, the remark, the buttons.
    """
    # Every title stands at the same height; what is below it gives way.
    above = Column(head, gap=20 if roomy else 8)
    columns = (
        Column(
            (above, Column((title, Text(said[0], style, said[1]), *below), gap=gap, grow=1)),
            gap=48 if roomy else 24,
            grow=1,
        )
        for style, gap in ROOMS
    )
    # The drawing keeps its size and its place through the whole journey: only the words beside it give way.
    return Fit(tuple(beside(picture, column, not roomy) for column in columns))


def slot_button(key: str, words: str, primary: bool = False) -> Target:
    """A way on or out."""
    return Target(key, Text(words, "row-bold", wrap=False), "primary" if primary else "button")


def pair(*ways: Target) -> Node:
    """Two buttons, side by side where there is room."""
    return Fit((Row(ways, gap=24), Column(ways, gap=20)))


FIRST = {"no-service": "try-again"}
"""What has the focus where neither another way nor cancelling is the likely wish."""
NOT_YET_CASH = frozenset(("starting", "insert", "reading", "enter-pin", "wrong-pin", "removed-early"))
"""Prompts at which a card may still pay in whatever way."""
CANCEL: Mapping[str, Any] = {
    "title": N_("Cancel the payment?"),
    "text": STAY_SAFE,
    "options": (
        ("keep", N_("Continue paying")),
        ("pay-otherwise", N_("Pay another way")),
        ("cancel-payment", N_("Cancel the payment")),
    ),
}
LEAVE: Mapping[str, Any] = {
    "title": N_("Leave without putting the card back?"),
    "text": CASE_OPEN,
    "options": (("keep", N_("Put the card back")), ("leave", N_("Leave for now"))),
}
"""The questions that Back asks."""


def amounts(
    step: CardPrompt,
    amount_fen: int | None,
    cash: bool,
    t: Say,
    say: Callable[[Mapping[str, str]], str],
) -> Node:
    """What is to be paid, or was; beside it what the card holds, where that is known, and what will be left of it.

    Args:
        cash: the card pays with its electronic cash.
    """
    paid = step.prompt in PAID_PROMPTS
    # MAC1 has left: what is on the card now, and whether anything is still to be paid, is not known.
    maybe_paid = step.prompt in AWAY_PROMPTS | SILENT_PROMPTS | {"settling"} or step.earlier
    if amount_fen is None:
        return Space(0)
    known: Money = "taken" if paid else "unknown"
    label = amount_name(t, known) if paid or maybe_paid else t("To pay")
    sum_ = due(label, amount_fen)
    if step.payment is not None:
        about = step.payment
        number = t("Order {number}").format(number=about.number)
        what = SEPARATOR.join((say(about.service.name), term_name(t, about.term), number))
        return Column((sum_, Text(what, "small")), gap=0)
    if step.balance_fen is None or maybe_paid:
        return sum_
    now = t("Electronic cash") if cash else t("On the card")
    balances = [(t("Balance after") if paid else now, step.balance_fen)]
    if cash and not paid:
        balances.append((t("Balance after"), step.balance_fen - amount_fen))
    return beside_sum(sum_, *balances)


def pose_of(step: CardPrompt) -> Pose:
    """The drawing that goes with what is asked. Where another program has the reader nothing is unplugged."""
    return "inside" if step.trouble == "in-use" else POSES.get(step.prompt, "wrong")


def remarked(step: CardPrompt, pin: PinEntry | None, t: Say) -> tuple[str, str, Color]:
    """What has become of the money; beside that what is worth knowing of the PIN, or not to be done just now.

    Args:
        pin: what has been typed of it, where it is asked for.

    Returns:
        icon, words, and their colour.
    """
    prompt = step.prompt
    if pin is not None and pin.too_short:
        words = t("The PIN has six digits. Still missing:\u00a0{n}.").format(n=pin.missing)
        return "info", sentences(words, t(STAY_SAFE)), "warning"
    if pin is not None:
        words = (
            t("The PIN goes to the card's bank alone, sealed: it is not shown or stored.")
            if step.pin_for_issuer
            else t("The PIN stays in the card: it is not shown, stored or sent.")
        )
        return "lock", sentences(t(STAY_SAFE), words), "secondary"
    if prompt in AWAY_PROMPTS or step.earlier or prompt in ("silent", "settling"):
        return "warning", t(MAYBE_PAID), money_color("unknown", served=False)
    if prompt == "silent-paid":
        words = sentences(money_words("taken", t), t(DO_NOT_REPEAT))
        return "info", words, money_color("taken", served=False)
    if prompt == "no-service":
        return "info", money_words("not-taken", t), money_color("not-taken", served=False)
    if step.cancellable and prompt != "processing":
        return "info", t(STAY_SAFE), "secondary"
    if prompt == "remove":
        return "records", t("You will find this payment in the records."), "secondary"
    # Whether the debit has begun; it takes so short a time that nobody is told twice to leave the card in.
    taken = t(STAY_SAFE) if step.before_mac1 else money_words("unknown", t)
    return "warning", sentences(taken, t("Please do not switch the box off.")), "warning"


def beside_sum(sum_: Node, *balances: tuple[str, int]) -> Node:
    """Beside what is taken, and beside each other, what a card holds and will hold, in fen: each amount ends below its name."""
    held = tuple(
        Column(
            (Text(label, "small", "secondary", wrap=False), Text(money(fen), "body-bold", wrap=False)),
            gap=0,
            align="end",
        )
        for label, fen in balances
    )
    # No higher than the amount alone, so that the title below does not move when the card has been read.
    beside = Row(held, gap=40)
    return Fit((Row((sum_, beside), gap=40), Column((sum_, beside), gap=4, align="start")))
