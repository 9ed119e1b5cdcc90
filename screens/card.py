"""Paying with the card in the slot: what the person is asked or told, the PIN as bullets, and the ways out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.card_parts import (
    AWAY_PROMPTS,
    CANCEL,
    CANCEL_S,
    ERROR_SOUNDS,
    FIRST,
    LEAVE,
    NOT_YET_CASH,
    OTHER_WAY_FIRST,
    PAID_PROMPTS,
    ROOMY,
    SERVICE_PROMPTS,
    SILENT_PROMPTS,
    STEP_OF,
    Pose,
    amounts,
    card_picture,
    pair,
    pose_of,
    remarked,
    slot_button,
    slot_page,
)
from screens.parts import leaving, remark
from screens.patience import Patience
from screens.pin_entry import PIN_PROMPTS, PinEntry, pin_cells, titled
from screens.problems import CASE_OPEN, PROMPTS, Said, prompt_words
from screens.purchase import pay_otherwise
from stb_app.journeys import Method, Order, Payment
from stb_app.journeys.steps import EARLIER_NOT_TAKEN, PROBLEM_PROMPTS, CardPrompt, CardStep, Finished
from stb_app.kit.nodes import (
    Color,
    Grow,
    Icon,
    Node,
    Row,
    Space,
    Spinner,
    Steps,
    Text,
)  # fmt: skip
from stb_app.kit.screen import Binding
from stb_app.shell.keys import DIGITS
from stb_app.shell.page import Page
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App


class CardScreen(Page[None]):
    """One attempt to pay ``order`` by card. Replaced by the result when it has ended.

    With ``settles_for`` nothing is paid: the card of an earlier payment tells what it did, and if it has taken nothing,
    the confirmation of that way to pay comes back.
    """

    id = "card"
    asks_to_leave = True
    holds_idle = True

    def __init__(
        self,
        app: App,
        *,
        order: Order,
        method: str = "card",
        settles_for: Method | None = None,
        settles: str = "",
    ) -> None:
        super().__init__(app)
        self._order = order
        self._settles_for, self._settles = settles_for, settles
        self._step = CardPrompt("starting", amount_fen=order.amount_fen, earlier=settles_for is not None)
        self._pin = PinEntry()
        self._patience = Patience(app)
        self._told_no = False
        self._asking = False
        """Whether to cancel; the question stands above this page."""
        self._at = STEP_OF["starting"]
        """Which of the four steps the payment has come to; -1 before the first."""
        self._cash = False
        """The card pays with its electronic cash, and no PIN is asked for."""
        self._leaving: Literal["", "cancel", "switch", "leave"] = ""
        self._slow = False

    # The journey

    def on_enter(self) -> None:
        self._journey = self.app.verbs.pay_by_card(self._order, self._settles)
        self._running = self.app.start(self._journey, self._on_step)

    def on_leave(self) -> None:
        self._pin.clear()
        self._running.cancel()

    def _on_step(self, step: CardStep) -> None:
        self._pin.clear()
        self._told_no = False
        if isinstance(step, Finished):
            self._finish(step)
            return
        if self._asking and not step.cancellable:
            # The payment has gone on to where it cannot be stopped: the question would promise what is not true any more.
            self._asking = False
            self._told_no = step.prompt == "processing"
            self.app.uncover()
        before, self._step = self._step.prompt, step
        self._patience.hear(step.prompt, self._pin)
        self._cash = step.prompt == "confirm-cash" or (self._cash and step.prompt not in NOT_YET_CASH)
        if step.prompt not in SERVICE_PROMPTS:
            self._at = STEP_OF.get(step.prompt, 0)
        if step.prompt != "reading":  # which, after a PIN, is the card checking it
            self._pin.sent = False
        if step.prompt in PROBLEM_PROMPTS or step.prompt in ERROR_SOUNDS:
            self.app.sound("error")
        elif step.prompt == "reading" and before != "reading":
            self.app.sound("card")
        self.busy = self._is_busy()
        if step.prompt in OTHER_WAY_FIRST and before not in OTHER_WAY_FIRST:
            self.app.focus("pay-otherwise")
        elif step.prompt in FIRST:
            self.app.focus(FIRST[step.prompt])
        elif step.prompt != before and step.prompt not in OTHER_WAY_FIRST:
            self.app.focus("cancel")
        self.app.refresh()

    def _finish(self, end: Finished) -> None:
        if self._leaving == "switch" and end.outcome == "cancelled" and end.money_taken is False:
            pay_otherwise(self.app, self._order)
        elif self._settles_for is not None and end.reason == EARLIER_NOT_TAKEN:
            self.app.replace("confirm", order=self._order, method=self._settles_for, settled=True)
        else:
            self.app.replace("result", finished=end, order=self._order)

    # Keys

    def bindings(self) -> Sequence[Binding]:
        prompt = self._step.prompt
        if self._slow:
            return (Binding(("KEY_BACK",), self.t("Leave for now")),)
        if self._leaving or not self._yields:
            # Back says why not; the footer promises nothing.
            return (Binding(("KEY_BACK",), self.t("Not possible just now"), footer=False),)
        if prompt == "remove":
            back = self.t("Show the result")
        else:
            leave = self._away or prompt in SILENT_PROMPTS
            back = self.t("Leave for now") if leave else self.t("Cancel the payment")
        # Usually MAC1 is asked for in a moment: nothing is promised that is gone before it can be read.
        footer = prompt != "processing" or not self._step.before_mac1
        if not self._asks_pin:
            return (Binding(("KEY_BACK",), back, footer=footer),)
        return (*self._pin.bindings(self.t), *leaving(back, by_back=not len(self._pin)))

    def on_key(self, name: str) -> bool:
        if name not in DIGITS or not self._asks_pin:
            return False
        if self._pin.type(name):
            self.app.sound("key")
        return True

    def on_back(self) -> bool:
        if self._slow:
            self.app.home()
        elif self._step.prompt in SILENT_PROMPTS and not self._leaving:
            self._stop("leave")
        elif self._leaving or not self._yields:
            self._told_no = True
            self.app.sound("error")
        elif self._step.prompt == "remove":
            self._journey.go_on()
        elif self._away:
            self._ask_to_leave()
        else:
            self._ask_to_cancel()
        return True

    def on_ok(self, key: str) -> None:
        if key == "pin":
            self._send_pin()
        elif key == "go-on":
            self._journey.go_on()
        elif key == "try-again":
            self._journey.try_again()
        elif key == "agree":
            self.busy = True
            self._journey.agree()
        elif key == "leave" and self._step.prompt in SILENT_PROMPTS:
            self._stop("leave")
        elif key == "leave":
            self._ask_to_leave()
        elif key == "cancel":
            # A payment that cannot go on has nothing to lose; else one stray OK must not throw it away.
            if self._step.prompt in OTHER_WAY_FIRST or self._step.prompt == "no-service":
                self._stop("cancel")
            else:
                self._ask_to_cancel()
        elif key == "pay-otherwise":
            self._stop("switch")
        elif key == "records":
            self.app.home()
            self.app.push("records")

    def _send_pin(self) -> None:
        pin = self._pin.take()
        if pin is not None:
            self.busy = True
            self._patience.check_pin()
            self._journey.enter_pin(pin)

    def _ask_to_cancel(self) -> None:
        self._asking = True
        self.app.push("question", self._on_answer, sign="question", default="keep", countdown=None, **CANCEL)

    def _ask_to_leave(self) -> None:
        self.app.push("question", self._on_answer, sign="question", default="keep", countdown=None, **LEAVE)

    def _on_answer(self, answer: str | None) -> None:
        self._asking = False
        if answer == "leave" and self._away:
            self._stop("leave")
        elif answer in ("cancel-payment", "pay-otherwise"):
            self._stop("cancel" if answer == "cancel-payment" else "switch")

    def _stop(self, why: Literal["cancel", "switch", "leave"]) -> None:
        self._pin.clear()
        self._leaving, self.busy = why, True
        self._running.cancel()
        self.app.after(CANCEL_S, self._on_slow)
        self.app.refresh()

    def _on_slow(self) -> None:
        self._slow, self.busy = True, False
        self.app.refresh()

    @property
    def _yields(self) -> bool:
        """Back does something: cancels, leaves, or goes on to the result."""
        return self._step.cancellable or self._step.prompt in AWAY_PROMPTS | SILENT_PROMPTS | {"remove"}

    @property
    def _away(self) -> bool:
        """A card may have paid already and has to tell first: the subscriber can leave, and nothing is cancelled by that."""
        return self._step.prompt in AWAY_PROMPTS or self._step.earlier

    # The picture

    @property
    def _asks_pin(self) -> bool:
        return self._step.prompt in PIN_PROMPTS and not self._pin.sent and not self._leaving

    def _is_busy(self) -> bool:
        if self._leaving:
            return not self._slow
        return self._step.prompt in ("starting", "reading", "processing", "settling")

    def crumbs(self) -> Sequence[str]:
        return (self.say(self._order.service.name), self.t("UnionPay card"))

    def state(self) -> dict[str, Any]:
        return {
            "prompt": self._step.prompt,
            "tries_left": self._step.tries_left,
            "digits": len(self._pin),
            "number": self._step.number,
            "balance_fen": self._step.balance_fen,
            "amount_fen": self._amount_fen,
            "order": self._about.order if self._about is not None else None,
            "leaving": bool(self._leaving),
        }

    @property
    def _about(self) -> Order | Payment | None:
        """What the page is about: the order, or an earlier payment as far as it is known."""
        return self._step.payment if self._step.earlier else self._order

    @property
    def _amount_fen(self) -> int | None:
        return self._step.amount_fen if self._step.earlier else self._order.amount_fen

    def compose(self) -> Node:
        words = self._words()
        prompt = self._step.prompt
        # The other card is not the one whose number is told.
        number = "" if prompt == "other-card" else self._step.number
        second = self.t("Confirm") if self._cash else self.t("PIN")
        names = (self.t("Insert"), second, self.t("Pay"), self.t("Take out"))
        steps = Steps(names, self._lit, failed=prompt in OTHER_WAY_FIRST and not self._leaving)
        roomy = self.app.settings.text_scale <= ROOMY
        # Every prompt has its title in one size, whether its words are many or few.
        title = self._titled(Text(words.title, "title" if roomy else "heading"))
        tone: Color = "warning" if self._last_try else "secondary"
        due_ = amounts(self._step, self._amount_fen, self._cash, self.t, self.say)
        below = (
            *self._doing(),
            remark(*remarked(self._step, self._pin if self._asks_pin else None, self.t)),
            Space(grow=1),
            *self._buttons(),
        )
        picture = card_picture(self._pose, number, self.t, roomy)
        return slot_page(picture, (due_, steps), title, (words.text, tone), below, roomy)

    @property
    def _lit(self) -> int:
        """The step whose turn it is; -1 where nothing is to be done with the card."""
        idle = self._step.prompt in SERVICE_PROMPTS and self._at == 0
        if idle or self._leaving in ("cancel", "switch"):
            return -1
        return 1 if self._pin.sent else self._at

    @property
    def _pose(self) -> Pose:
        """How the card really is: while the payment is being left nobody is asked for it."""
        if self._step.prompt in SERVICE_PROMPTS:
            return "inside" if self._step.number and self._at >= 0 else "empty"
        pose = pose_of(self._step)
        if not self._leaving:
            return pose
        return "processing" if pose in ("inside", "reading", "processing") else "busy"

    def _titled(self, title: Text) -> Node:
        """The title; a sign beside it says what must not be missed."""
        if self._step.prompt in PAID_PROMPTS and not self._leaving:
            return Row((Icon("check", 80, "good"), Grow(title)), gap=24)
        return titled(title, self._last_try)

    def _words(self) -> Said:
        if self._slow:
            return Said(
                self.t("This takes longer than usual"),
                self.t("You may leave. The records will say how it ended."),
            )
        if self._leaving == "leave" and self._step.prompt in SILENT_PROMPTS:
            return Said(self.t("One moment, please."), self.t(PROMPTS[self._step.prompt][1]))
        if self._leaving == "leave":
            return Said(self.t("One moment, please."), self.t(CASE_OPEN))
        if self._leaving:
            return Said(self.t("Cancelling the payment"), self.t("Waiting for the card reader's answer."))
        if self._pin.sent:
            checking = Said(self.t("Checking the PIN"), self.t("Please leave the card in."))
            return self._patience.worded(checking, self.t)
        facts: dict[str, Any] = {"balance_fen": self._step.balance_fen, "amount_fen": self._order.amount_fen}
        facts["number"] = self._step.number
        said = prompt_words(
            self._step.prompt,
            self._step.tries_left,
            facts,
            self.t,
            self._step.earlier,
            self._step.trouble,
        )
        if self._told_no:
            answer = self.t("This can't be cancelled now. The result comes in a moment.")
            return replace(said, text=answer)
        return self._patience.worded(said, self.t)

    @property
    def _last_try(self) -> bool:
        return self._asks_pin and self._step.tries_left == 1

    def _doing(self) -> tuple[Node, ...]:
        """The PIN, or that something is going on."""
        if self.busy or self._step.prompt in ("silent", "reconnecting"):
            return (Spinner(56),)
        if not self._asks_pin:
            return ()
        return (pin_cells(len(self._pin), self.t("PIN")),)

    def _buttons(self) -> tuple[Node, ...]:
        """The ways on and out."""
        prompt = self._step.prompt
        if self._slow:
            return (Row((slot_button("records", self.t("See the records"), primary=True),)),)
        if self.busy or self._asks_pin:
            return ()
        if prompt == "remove":
            return (Row((slot_button("go-on", self.t("Show the result"), primary=True),)),)
        if self._away or prompt in SILENT_PROMPTS:
            return (Row((slot_button("leave", self.t("Leave for now")),)),)
        if prompt == "confirm-cash":
            words = self.t("Pay {amount}").format(amount=money(self._order.amount_fen))
            agree = slot_button("agree", words, primary=True)
            return (pair(slot_button("cancel", self.t("Cancel the payment")), agree),)
        if prompt == "no-service":
            again = slot_button("try-again", self.t("Try again"), primary=True)
            return (pair(again, slot_button("cancel", self.t("Cancel the payment"))),)
        if prompt == "reconnecting":  # another way needs the same service
            return (Row((slot_button("cancel", self.t("Cancel the payment")),)),)
        other = slot_button("pay-otherwise", self.t("Pay another way"), primary=prompt in OTHER_WAY_FIRST)
        return (pair(other, slot_button("cancel", self.t("Cancel the payment"))),)
