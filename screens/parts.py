"""Small pieces that several pages share: a service's mark, a quiet line, a message with a way on, two panes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from screens.words import Say, days
from stb_app.journeys import Service
from stb_app.kit.nodes import (
    Color,
    Column,
    Fit,
    Grow,
    Icon,
    Node,
    Panel,
    Pill,
    Row,
    Sign,
    Space,
    Spinner,
    Target,
    Text,
)
from stb_app.kit.screen import Binding
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App

Plate = Literal["teal", "blue", "amber", "violet", "green", "red"]
PLATES: dict[str, Plate] = {
    "movies": "blue",
    "sports": "green",
    "kids": "red",
    "music": "blue",
    "news": "teal",
    "games": "violet",
    "learning": "blue",
    "life": "green",
    "documentary": "teal",
    "drama": "red",
    "opera": "violet",
    "health": "teal",
}
"""The colour that a service is known by; amber is kept for money and warnings."""
SOON_DAYS = 14
PANE_PX = 740
"""The width of what stands beside the words of a payment: a code, a card; canvas pixels."""
CAN_BE_MENDED = frozenset((
    "tsp-unreachable", "boss-unreachable", "wallet-unreachable", "tsp-answer-bad", "stopping",
    "not-enrolled", "box-unknown", "box-suspended", "activation-code-wrong", "subscriber-in-arrears",
    "tls-not-yet-valid", "clock-skew", "too-many-requests", "key-replaced", "key-revoked", "key-copied",
))  # fmt: skip
"""No answer, or something that a person can do: no refusal for good."""


def trouble_sign(code: str) -> Literal["warning", "failed"]:
    """The sign of a page or a part of it that cannot be: amber where something can be done, else red."""
    return "warning" if code in CAN_BE_MENDED else "failed"


def service_icon(service: Service, size: int = 72) -> Icon:
    """A service's drawing on its plate."""
    return Icon(service.icon, size, plate=PLATES.get(service.icon, "teal"))


def ends_soon(days_left: int) -> bool:
    """Whether it is time to think of renewing: amber then, wherever the days are told."""
    return days_left < SOON_DAYS


def service_pill(t: Say, service: Service) -> Pill | None:
    """Whether the subscriber has the service now or had it; None when never."""
    if service.status == "active":
        left = service.days_left
        if left is None:
            return Pill(t("In use"), "good")
        return Pill(t("{days} left").format(days=days(t, left)), "warning" if ends_soon(left) else "good")
    return Pill(t("Ended"), "neutral") if service.status == "expired" else None


def waiting(words: str) -> Node:
    """A page that waits for the TSP: calm, in the middle."""
    return Column(
        (Space(grow=1), Spinner(72), Text(words, "row", "secondary", "center"), Space(grow=1)),
        gap=28,
        align="center",
        grow=1,
    )


def message(
    sign: Literal["failed", "question", "info", "expired", "pending", "warning"],
    title: str,
    text: str,
    targets: tuple[Target, ...],
    size: int = 140,
    call: tuple[str, ...] = (),
) -> Node:
    """Something went another way: what it is, what it means, whom to ``call``, and what can be done, in the middle of the page."""
    words: list[Node] = [Text(title, "title", align="center")]
    if text:
        words.append(Text(text, "row", "secondary", "center"))
    words += [Text(line, "row-bold", align="center") for line in call]
    side_by_side = Row(targets, gap=28, justify="center")
    stacked = Column(targets, gap=24)
    full: tuple[Node, ...] = (Space(grow=1), Sign(sign, size), *words, Space(8))
    less: list[Node] = [Text(title, "heading", align="center")]
    if text:
        less.append(Text(text, "body", "secondary", "center"))
    less += [Text(line, "body-bold", align="center") for line in call]
    lows = tuple((Space(grow=1), Sign(sign, side), *less, Space(8)) for side in (size, size * 2 // 3))
    return Fit(
        (
            Column((*full, side_by_side, Space(grow=1)), gap=24, align="center", grow=1),
            Column((*full, stacked, Space(grow=1)), gap=24, align="center", grow=1),
            *(
                Column((*low, ways, Space(grow=1)), gap=16, align="center", grow=1)
                for low in lows
                for ways in (side_by_side, stacked)
            ),
            Column((Space(grow=1), *less, stacked, Space(grow=1)), gap=16, align="center", grow=1),
        )
    )


def due(label: str, amount_fen: int, color: Color = "money") -> Row:
    """What a payment comes to: in one form and size on every page that it passes."""
    return Row(
        (Text(label, "body", "secondary", wrap=False), Text(money(amount_fen), "due", color, wrap=False)),
        gap=20,
    )


def button(
    key: str, words: str, style: Literal["button", "primary", "danger"] = "button", width: int | None = 560
) -> Target:
    """A button with its words in the middle."""
    return Target(key, Text(words, "row-bold", align="center"), style, width=width)


def hotline(t: Say, number: str) -> str:
    """Whom to ask."""
    return t("Questions? Call {number}.").format(number=number)


def known_hotline(app: App) -> tuple[str, ...]:
    """The same with the number that this box was told last; none when it never was."""
    number = app.facts.get("hotline")
    return (hotline(app.t, number),) if number else ()


def take_card(t: Say, *, again: bool) -> Row:
    """Beside a result: a card is still in the slot.

    Args:
        again: the way that has the focus needs it there, so that only who goes another way takes it.
    """
    words = t("Done? Take your card") if again else t("Please take your card")
    tone: Color = "secondary" if again else "warning"
    return Row((Icon("card", 44, tone), Text(words, "body-bold", tone, wrap=False)), gap=16)


def leaving(words: str, by_back: bool) -> tuple[Binding, ...]:
    """The keys that leave a payment, which asks first; ``by_back``: Back has nothing else to do."""
    away = tuple(Binding((key,), words, footer=False) for key in ("KEY_HOME", "KEY_POWER"))
    return (Binding(("KEY_BACK",), words), *away) if by_back else away


def panes(left: Node, right: Node, left_share: int = 1, right_share: int = 1, gap: int = 56) -> Row:
    """Two columns as high as the page."""
    return Row((Grow(left, left_share), Grow(right, right_share)), gap=gap, align="stretch", grow=1)


def beside(picture: Node, words: Node, narrow: bool = False) -> Row:
    """A code or a card, and at the same place on every page of a payment the words; ``narrow``: no wider than the picture."""
    pane = Panel(Column((picture,), align="center", justify="center"), "none", pad=0, width=PANE_PX)
    return Row((picture if narrow else pane, Grow(words)), gap=48 if narrow else 72, align="stretch", grow=1)


def remark(icon: str, words: str, tone: Color) -> Row:
    """The quiet line of a payment's page: what has become of the money, or of the last key."""
    return Row((Icon(icon, 36, tone), Grow(Text(words, "small", tone))), gap=16)


def note(icon: str, words: str, tone: Literal["secondary", "warning"] = "secondary") -> Node:
    """A remark that is not to be missed and not to be loud."""
    return Panel(
        Row(
            (Icon(icon, 40, tone), Grow(Text(words, "small", "text" if tone == "warning" else "secondary"))),
            gap=20,
        ),
        fill="warning-soft" if tone == "warning" else "panel",
        pad=24,
    )
