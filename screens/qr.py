"""Paying with a phone: the code to scan, the time that is left, and what the phone has done with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from screens.parts import beside, due, leaving, remark
from screens.problems import MAYBE_PAID, MONEY, N_, STAY_SAFE
from screens.purchase import pay_otherwise
from screens.words import SEPARATOR, amount_name, method_name, sentences, term_name
from stb_app.journeys import Money, Order
from stb_app.journeys.steps import Finished, QrStep, WalletStep
from stb_app.kit import theme
from stb_app.kit.nodes import (
    Color,
    Column,
    Fit,
    Full,
    Grow,
    Icon,
    Node,
    Panel,
    Qr,
    Ring,
    Row,
    Space,
    Spinner,
    Target,
    Text,
    TextStyle,
)  # fmt: skip
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page
from stb_app.shell.words import minutes, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

QUIET_MODULES = 8
"""White modules at both sides together; the kit draws them."""
BESIDE_PX, ALONE_PX = 700, theme.CANVAS_H
"""The side of the code with its white beside the words, and the side alone; canvas pixels."""
ALONE_GAP_PX = 72
"""From the large code to what stands beside it."""
LEAST_MODULE_PX, MOST_MODULE_PX = 8, 24
CANCEL_S = 20.0
LAST_PART = 1 / 6
"""Where the ring turns amber, as the kit draws it."""
BODIES: tuple[TextStyle, TextStyle] = ("body", "small")
STOPPABLE = frozenset(("making", "shown", "scanned", "reconnecting"))


def module_px(modules: int, room: int) -> int:
    """Canvas pixels of a module so that a code of so many modules a side fits the room with its white.

    >>> module_px(33, 700), module_px(177, 700)
    (17, 8)
    """
    return max(LEAST_MODULE_PX, min(MOST_MODULE_PX, room // (modules + QUIET_MODULES)))


class QrScreen(Page[None]):
    """One attempt to pay ``order`` with the wallet ``method``. Replaced by the result when it has ended."""

    id = "qr"
    asks_to_leave = True
    holds_idle = True
    default_focus = "code"
    busy = True

    def __init__(self, app: App, *, order: Order, method: str) -> None:
        super().__init__(app)
        self._order = order
        self._method = method
        self._step = QrStep("making")
        self._large = False
        self._told_no = False
        self._leaving: Literal["", "cancel", "switch"] = ""
        self._slow = self._ended = False

    # The journey

    def on_enter(self) -> None:
        journey = self.app.verbs.pay_by_wallet(self._order, self._method)
        self._running = self.app.start(journey, self._on_step)
        self.app.every(1.0, self.app.refresh)

    def on_leave(self) -> None:
        self._running.cancel()
        if not self._ended and self._step.payment is not None:
            # What has no end yet is told on the pages that come now.
            self.app.verbs.look_away(self._step.payment.payment)

    def _on_step(self, step: WalletStep) -> None:
        if isinstance(step, Finished):
            self._ended = True
            if self._leaving == "switch" and step.outcome == "cancelled" and step.money_taken is False:
                pay_otherwise(self.app, self._order)
            else:
                self.app.replace("result", finished=step, order=self._order)
            return
        if step.state == "scanned" and self._step.state == "shown":
            self.app.sound("card")
        self._step = step
        self._told_no = False
        # The large picture has no words: whoever has to read something gets the page back.
        self._large = self._large and step.state == "shown"
        self._look()

    def _look(self) -> None:
        if self._leaving:
            self.busy = not self._slow
        else:
            self.busy = not self._step.modules or self._step.state in ("confirming", "checking")
        self.app.refresh()

    @property
    def _seconds(self) -> int:
        """Whole seconds until the code ends."""
        if not self._step.modules:
            return self._step.total_s
        return max(0, math.ceil(self._step.deadline - self.app.clock.monotonic()))

    # Keys

    def bindings(self) -> Sequence[Binding]:
        if self._large:
            smaller = Binding(("KEY_OK", "KEY_BACK"), self.t("Make it smaller"), lambda _: self._shrink())
            return (smaller, *leaving(self.t("Cancel the payment"), by_back=False))
        if self._slow:
            return (Binding(("KEY_BACK",), self.t("Leave for now")),)
        found: list[Binding] = []
        if not self.busy:
            enlarge = self.t("Enlarge the code") if self._enlarges else self.t("Not possible just now")
            found.append(Binding(("KEY_OK",), enlarge, footer=self._enlarges))
        stops = not self._leaving and self._step.state in STOPPABLE
        # Where Back cannot stop anything it says so; the footer promises nothing.
        label = self.t("Cancel the payment") if stops else self.t("Not possible just now")
        found.append(Binding(("KEY_BACK",), label, footer=stops))
        return found

    @property
    def _enlarges(self) -> bool:
        """Whether the code may be all there is to see. While nobody answers, what may have become of the money stays said."""
        return not self.busy and self._step.state != "reconnecting"

    def on_ok(self, key: str) -> None:
        if key == "code" and self._enlarges:
            self._large = not self._large
        elif key == "records":
            self.app.home()
            self.app.push("records")

    def _shrink(self) -> None:
        self._large = False

    def on_back(self) -> bool:
        if self._slow:
            self.app.home()
        elif self._leaving or self._step.state not in STOPPABLE:
            self._told_no = True
            self.app.sound("error")
        else:
            self._ask_to_cancel()
        return True

    def _ask_to_cancel(self) -> None:
        self._large = False
        # Nobody answers: whether the phone has paid is not known, so nothing is offered that pays.
        silent = self._step.state == "reconnecting"
        keep, otherwise, cancel = (
            ("keep", N_("Keep waiting") if silent else N_("Continue paying")),
            ("pay-otherwise", N_("Pay another way")),
            ("cancel-payment", N_("Cancel the payment")),
        )
        self.app.push(
            "question",
            self._on_answer,
            sign="question",
            title=N_("Cancel the payment?"),
            text=MAYBE_PAID
            if silent
            else N_(
                "If you have already confirmed on the phone, please do not cancel: the result comes in a moment."
            ),
            options=(keep, cancel) if silent else (keep, otherwise, cancel),
            default="keep",
            countdown=None,
        )

    def _on_answer(self, answer: str | None) -> None:
        if answer not in ("cancel-payment", "pay-otherwise"):
            return
        if self._step.state not in STOPPABLE:
            self._told_no = True
            self.app.refresh()
            return
        self._leaving = "cancel" if answer == "cancel-payment" else "switch"
        self._large = False
        self._running.cancel()
        # While nobody answers, nobody need wait for it.
        self._slow = self._step.state == "reconnecting"
        self.app.after(CANCEL_S, self._on_slow)
        self._look()

    def _on_slow(self) -> None:
        self._slow = True
        self._look()

    # The picture

    @property
    def _money(self) -> Money:
        """What has become of the money, as far as is known while nobody answers or the wallet is asked once more."""
        payment = self._step.payment
        if payment is None:  # no code was shown
            return "not-taken"
        if payment.money == "not-taken" and (
            self._leaving or self._step.state in ("reconnecting", "checking")
        ):
            return "unknown"
        return payment.money

    @property
    def _taken(self) -> tuple[str, Color]:
        """The same in a sentence, and its colour."""
        known = self._money
        if known == "unknown":
            return self.t(MAYBE_PAID), "warning"
        return (self.t(STAY_SAFE), "secondary") if known == "not-taken" else (self.t(MONEY[known]), "text")

    def _remark(self) -> Node:
        words, tone = self._taken
        return remark("warning" if tone == "warning" else "info", words, tone)

    def crumbs(self) -> Sequence[str]:
        return (self.say(self._order.service.name), method_name(self.t, self._method))

    def state(self) -> dict[str, Any]:
        return {
            "qr_state": self._step.state,
            "payload": self._step.payload,
            "seconds_left": self._seconds,
            "enlarged": self._large,
            "leaving": bool(self._leaving),
            "order": self._order.order,
            "amount_fen": self._order.amount_fen,
        }

    def compose(self) -> Node:
        if self._large:
            return self._alone()
        what = SEPARATOR.join((self.say(self._order.service.name), term_name(self.t, self._order.term)))
        number = self.t("Order {number}").format(number=self._order.number)
        # Once the phone may have paid, nobody is told to.
        known = self._money
        label = self.t("To pay") if known == "not-taken" else amount_name(self.t, known)
        sum_ = due(label, self._order.amount_fen)
        head, less = (Column((sum_, _named(what, number, style)), gap=0) for style in BODIES)
        columns = (
            Column((head, Space(16), Column(self._steps("row"), gap=24), Space(16), self._clock()), gap=24),
            Column((less, Space(8), *self._steps("body"), Space(8), self._clock()), gap=24),
            Column((less, *self._steps("body"), self._clock()), gap=14),
            Column((less, *self._steps("body"), self._clock(88)), gap=12),
            Column((less, *self._steps("body", True), self._clock(88)), gap=10),
            Column((less, *self._steps("small", True), self._clock(88)), gap=8),
        )
        # The code, the amount and the words stand in the same places whatever happens.
        code = self._code()
        return Fit(tuple(beside(code, column) for column in columns))

    def _alone(self) -> Node:
        """The whole screen for the code in its white: the amount and the time beside it, and what the keys do."""
        paid = money(self._order.amount_fen)
        styles: tuple[TextStyle, ...] = ("amount", "due", "display")
        amount = Fit(tuple(Text(paid, style, "money", wrap=False) for style in styles))
        name = Text(self.say(self._order.service.name), "body")
        number = Text(self.t("Order {number}").format(number=self._order.number), "body", "secondary")
        due = Column((Text(self.t("To pay"), "body", "secondary"), amount, name, number), gap=0)
        back = Row((Target("code", Text(self.t("Make it smaller"), "row-bold")),))
        # From below the TEST mark to above the keys.
        beside = Column(
            (Space(104), Space(grow=1), due, self._clock(), Space(0), back, Space(grow=1), Space(160)), gap=16
        )
        code = Qr(self._step.modules, side=ALONE_PX)
        return Full(
            Row((code, Grow(beside), Space(24)), gap=ALONE_GAP_PX, align="stretch"), ALONE_PX + ALONE_GAP_PX
        )

    def _code(self) -> Node:
        """The code, or in its place what has become of it once it cannot be paid any more."""
        icon = self._instead
        if icon is not None:
            sign = Icon(icon, 240, "accent" if icon == "phone-check" else "secondary")
            below = (Spinner(96),) if self.busy else ()
            return Panel(
                Column((Space(grow=1), sign, *below, Space(grow=1)), gap=56, align="center"),
                width=BESIDE_PX, min_height=BESIDE_PX,
            )  # fmt: skip
        code = Qr(self._step.modules, module_px(len(self._step.modules), BESIDE_PX))
        return Target("code", code, "plain", text=self.t("The QR code"))

    @property
    def _instead(self) -> str | None:
        """The drawing in place of a code that is not there yet, or not to be scanned any more."""
        if self._leaving:
            return "clock"
        places = {"confirming": "phone-check", "checking": "clock"}
        return places.get(self._step.state, None if self._step.modules else "qr")

    def _steps(self, style: Literal["row", "body", "small"], short: bool = False) -> tuple[Node, ...]:
        """What to do with the phone, or what the phone has done; ``short``: in as few words as do."""
        if self._slow:
            taken, tone_ = self._taken
            words = self.t("You may leave. The records will say how it ended.")
            leave = Target("records", Text(self.t("See the records"), "row-bold", align="center"), "primary")
            return (
                Text(self.t("This takes longer than usual"), "title" if style == "row" else "heading"),
                Text(taken, "row" if style == "row" else "small", tone_),
                Text(words, "row" if style == "row" else "small"),
                Row((leave,)),
            )
        said = self._said()
        if said is not None:
            icon, title, text = said
            large: TextStyle = {"row": "title", "body": "heading", "small": "row-bold"}[style]  # type: ignore[assignment]
            words_ = Column((Text(title, large), Text(text, style, "secondary")), gap=8)
            if self._instead is not None:  # which is the drawing of it
                return (words_,)
            tone: Literal["warning", "accent"] = "warning" if icon == "warning" else "accent"
            return (Row((Icon(icon, 72, tone), Grow(words_)), gap=28, align="start"),)
        if short:
            lines = (
                self.t("Open the wallet or camera"),
                self.t("Scan the code"),
                self.t("Confirm on the phone"),
            )
            return tuple(self._numbered(number, line, style) for number, line in enumerate(lines, 1))
        lines = (
            self.t("Open the demo wallet or the phone's camera")
            if self._method == "wallet:demo"
            else self.t("Open the wallet on the phone"),
            self.t("Scan the code on the left"),
            self.t("Confirm the payment on the phone"),
        )
        return tuple(self._numbered(number, line, style) for number, line in enumerate(lines, 1))

    def _numbered(self, number: int, line: str, style: Literal["row", "body", "small"]) -> Node:
        bold: TextStyle = "row-bold" if style == "row" else "body-bold"
        side = (64 if style == "row" else 56) * self.app.settings.text_scale // 100
        figure = Text(str(number), bold, align="center", wrap=False)
        disc = Panel(figure, "raised", pad=side // 8, radius=side // 2, width=side)
        return Row((disc, Grow(Text(line, style))), gap=28)

    def _said(self) -> tuple[str, str, str] | None:
        """Icon, title and words in place of the three steps; None while they stand."""
        if self._leaving:
            return (
                "clock",
                self.t("Cancelling the payment"),
                self.t("We ask the wallet whether it was paid meanwhile."),
            )
        match self._step.state:
            case "making":
                return "qr", self.t("Making the code"), self.t("One moment, please.")
            case "scanned":
                return (
                    "phone",
                    self.t("Scanned by your phone"),
                    self.t("Please confirm the payment on the phone."),
                )
            case "confirming":
                return "phone", self.t("Confirmed on the phone"), self.t("Waiting for the result.")
            case "reconnecting":
                return (
                    "warning",
                    self.t("No connection just now"),
                    self.t("We keep trying. If you have paid, the payment will be found."),
                )
            case "checking":
                return (
                    "clock",
                    self.t("The code has run out"),
                    self.t("We ask the wallet once more whether it was paid."),
                )
            case _:
                return None

    def _clock(self, ring: int = 140) -> Node:
        if self._slow:
            return Space(0)
        if self._told_no and not self._leaving:
            words = self.t("This can't be cancelled now. The result comes in a moment.")
            return Column((Text(words, "body", "warning"), self._remark()), gap=12)
        if self.busy:  # something is going on in place of the code
            return self._remark()
        left = self._seconds
        part = left / max(1, self._step.total_s)
        scanned = self._step.state == "scanned"
        words = self.t("Waiting for the phone.") if scanned else self.t("Waiting to be paid.")
        tone: Color = "secondary"
        if self._money == "not-taken":
            words = self.t(STAY_SAFE) if self._large else sentences(words, self.t(STAY_SAFE))
        elif self._money == "unknown":
            words, tone = self._taken
        figure = Text(minutes(left), "title", "warning" if part <= LAST_PART else "text", wrap=False)
        if ring < 140:
            return Row((Ring(part, ring), figure, Grow(Text(words, "small", tone))), gap=24)
        said = Column((figure, Text(words, "small", tone)), gap=0)
        return Row((Ring(part, ring), Grow(said)), gap=40)


def _named(what: str, number: str, style: TextStyle) -> Node:
    """What is paid and the order's number, beside each other where there is room."""
    words = (Text(what, style, wrap=False), Text(number, style, "secondary", wrap=False))
    return Fit((Row(words, gap=32), Column(words, gap=0)))
