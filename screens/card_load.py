"""Loading electronic cash onto the card in the slot: amount and balances, the PIN, the steps, the end and the ways on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.card_load_parts import (
    CANCEL,
    LEAVE,
    LOAD_OPEN,
    OTHER_AMOUNT,
    TRY_AGAIN,
    confirmation,
    disputed,
    load_amounts,
    load_ended,
    load_remark,
    load_state,
    load_words,
    to_be_asked,
)
from screens.card_parts import (
    AWAY_PROMPTS,
    CANCEL_S,
    ERROR_SOUNDS,
    ROOMY,
    SERVICE_PROMPTS,
    STEP_OF,
    Pose,
    card_picture,
    pair,
    pose_of,
    slot_button,
    slot_page,
)
from screens.count import Count
from screens.parts import known_hotline, leaving, remark
from screens.patience import Patience
from screens.pin_entry import PIN_PROMPTS, PinEntry, pin_cells, titled
from screens.problems import Said
from stb_app.journeys.steps import PIN_REFUSED_LAST, PROBLEM_PROMPTS, CardPrompt, LoadEnded, LoadStep
from stb_app.kit.nodes import Color, Node, Row, Space, Spinner, Steps, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.keys import DIGITS
from stb_app.shell.page import Page

if TYPE_CHECKING:
    from stb_app.shell.app import App

LoadWay = Literal["look", "amount"]
"""What the card's page does next: look at the card anew, or ask for another amount; None: nothing has changed."""


class CardLoadScreen(Page[LoadWay]):
    """One load of ``amount_fen``, or the same again. Leads back to the page of the card, whatever happens.

    Args:
        held_fen: electronic cash on the card as it was read last.
    """

    id = "card-load"
    default_focus = "cancel"

    def __init__(self, app: App, *, amount_fen: int, held_fen: int) -> None:
        super().__init__(app)
        self._amount_fen = amount_fen
        self._held_fen = held_fen
        self._pin = PinEntry()
        self._patience = Patience(app)

    # The journey

    def on_enter(self) -> None:
        self._count = Count(self.app, self, self._go_on, self._on_taken)
        self._begin()

    def on_leave(self) -> None:
        self._pin.clear()
        self._count.end()
        self._running.cancel()  # also one that only follows what becomes of a load

    def _begin(self) -> None:
        self._pin = PinEntry()
        self._step: LoadStep = CardPrompt("starting")
        self._at = STEP_OF["starting"]
        self._asking = self._told_no = self._slow = False
        self._patience.end()
        self._leaving: Literal["", "cancel", "amount", "leave"] = ""
        self._count.end()
        self.asks_to_leave = self.holds_idle = self.busy = True
        self._journey = self.app.verbs.load_cash(self._amount_fen)
        self._running = self.app.start(self._journey, self._on_step)
        self.app.refresh()

    def _on_step(self, step: LoadStep) -> None:
        self._pin.clear()
        self._told_no = False
        if isinstance(step, LoadEnded):
            self._end(step)
            return
        if self._asking and not (step.cancellable or step.prompt in AWAY_PROMPTS):
            # The load has gone on to where it cannot be stopped: the question would promise what is not true any more.
            self._asking = False
            self._told_no = step.prompt == "processing"
            self.app.uncover()
        if step.prompt in AWAY_PROMPTS and self._leaving != "leave":
            self._leaving = ""  # it was too late to cancel: now only the card can tell
        before = self._step.prompt if isinstance(self._step, CardPrompt) else ""
        self._step = step
        if step.balance_fen is not None:
            self._held_fen = step.balance_fen
        self._patience.hear(step.prompt, self._pin)
        if step.prompt not in SERVICE_PROMPTS:
            self._at = STEP_OF.get(step.prompt, 0)
        if step.prompt != "reading":
            self._pin.sent = False
        if step.prompt in PROBLEM_PROMPTS or step.prompt in ERROR_SOUNDS:
            self.app.sound("error")
        elif step.prompt == "reading" and before != "reading":
            self.app.sound("card")
        self.busy = self._is_busy(step)
        if step.prompt in AWAY_PROMPTS:
            self.app.focus("leave")
        else:
            self.app.focus("amount" if step.prompt in OTHER_AMOUNT else "cancel")
        self.app.refresh()

    def _end(self, end: LoadEnded) -> None:
        if end.reason == "cancelled" or (end.reason == "card-away" and self._leaving):
            self._go_back(end)
            return
        if self._asking:
            self._asking = False
            self.app.uncover()
        self._step = end
        self._leaving = ""
        self._slow = self.asks_to_leave = self.busy = False
        self._ended = self.app.clock.now()
        self._count.begin(counts=end.outcome == "loaded")  # what has gone wrong stays until it is seen
        self._count.hold(end.card_in_slot)
        self.app.sound("paid" if end.outcome == "loaded" else "error")
        self.app.focus(self._ways(end)[0].key)
        self.app.refresh()

    def _on_taken(self) -> None:
        if isinstance(self._step, LoadEnded):
            self._step = replace(self._step, card_in_slot=False)

    def _go_on(self) -> None:
        if isinstance(self._step, LoadEnded):
            self._go_back(self._step)

    def _go_back(self, end: LoadEnded) -> None:
        """To the page of the card."""
        if self._leaving == "amount":
            self.app.pop("amount")
        else:
            self.app.pop(None if end.outcome == "failed" else "look")

    def _stop(self, why: Literal["cancel", "amount", "leave"]) -> None:
        self._pin.clear()
        self._leaving, self.busy = why, True
        self._running.cancel()
        self.app.after(CANCEL_S, lambda: self._on_slow(why))
        self.app.refresh()

    def _on_slow(self, why: str) -> None:
        if self._leaving == why:
            self._slow, self.busy = True, False
            self.app.refresh()

    # Keys

    def bindings(self) -> Sequence[Binding]:
        step = self._step
        if self._count.left is not None:
            return self._count.bindings()
        if isinstance(step, LoadEnded) or self._slow:
            return ()
        if not self._yields(step):
            return (Binding(("KEY_BACK",), self.t("Not possible just now"), footer=False),)
        back = self.t("Leave for now") if step.prompt in AWAY_PROMPTS else self.t("Cancel loading")
        if not self._asks_pin:
            return (Binding(("KEY_BACK",), back),)
        return (*self._pin.bindings(self.t), *leaving(back, by_back=not len(self._pin)))

    def on_return(self) -> None:
        self._count.stop()

    def on_key(self, name: str) -> bool:
        if isinstance(self._step, LoadEnded):
            counting = self._count.left is not None
            self._count.stop()
            return counting
        if name not in DIGITS or not self._asks_pin:
            return False
        if self._pin.type(name):
            self.app.sound("key")
        return True

    def on_back(self) -> bool:
        step = self._step
        if self._count.left is not None:
            self._count.stop()
        elif isinstance(step, LoadEnded):
            self._go_back(step)
        elif self._slow:
            self.app.pop("look")
        elif not self._yields(step):
            self._told_no = True
            self.app.sound("error")
        else:
            self._ask_to_leave(step)
        return True

    def on_ok(self, key: str) -> None:
        step = self._step
        if key == "pin":
            self._send_pin()
        elif key == "amount" and isinstance(step, CardPrompt):
            self._stop("amount")
        elif key == "amount":
            self.app.pop("amount")
        elif key == "again":
            asked = confirmation(self._amount_fen, step.number, self._held_fen, self.t)
            self.app.push("question", self._on_again, **asked)
        elif key == "back":
            self.app.pop("look")
        elif key == "records":
            self.app.home()
            self.app.push("records")
        elif isinstance(step, LoadEnded):
            self._go_back(step)
        elif step.prompt in PROBLEM_PROMPTS:  # nothing to lose
            self._stop("cancel")
        else:
            self._ask_to_leave(step)

    def _send_pin(self) -> None:
        pin = self._pin.take()
        if pin is not None:
            self.busy = True
            self._patience.check_pin()
            self._journey.enter_pin(pin)

    def _on_again(self, answer: str | None) -> None:
        if answer == "load":
            self._running.cancel()
            self._begin()

    def _ask_to_leave(self, step: CardPrompt) -> None:
        question = LEAVE if step.prompt in AWAY_PROMPTS else CANCEL
        self._asking = True
        self.app.push("question", self._on_answer, sign="question", default="keep", **question)

    def _on_answer(self, answer: str | None) -> None:
        self._asking = False
        if answer == "leave":
            self._stop("leave")
        elif answer == "cancel-load":
            self._stop("cancel")

    def _yields(self, step: CardPrompt) -> bool:
        """Back asks whether to leave."""
        return not self._leaving and (step.cancellable or step.prompt in AWAY_PROMPTS)

    @property
    def _asks_pin(self) -> bool:
        step = self._step
        return (
            isinstance(step, CardPrompt)
            and step.prompt in PIN_PROMPTS
            and not self._pin.sent
            and not self._leaving
        )

    def _is_busy(self, step: CardPrompt) -> bool:
        if self._leaving:
            return not self._slow
        return step.prompt in ("starting", "reading", "processing", "settling")

    # The picture

    def crumbs(self) -> Sequence[str]:
        return (self.t("Check a card"), self.t("Load electronic cash"))

    def state(self) -> dict[str, Any]:
        step = self._step
        if isinstance(step, LoadEnded):
            return {**load_state(step), "seconds_left": self._count.left}
        return {
            "prompt": step.prompt,
            "tries_left": step.tries_left,
            "digits": len(self._pin),
            "number": step.number,
            "balance_fen": self._balance_fen(step),
            "amount_fen": self._amount_fen,
            "leaving": bool(self._leaving),
        }

    def _balance_fen(self, step: CardPrompt) -> int | None:
        """What is on the card; None while only the card itself knows, and of a card that could not be read."""
        if step.prompt in AWAY_PROMPTS | PROBLEM_PROMPTS or step.prompt == "settling":
            return step.balance_fen
        return self._held_fen

    def compose(self) -> Node:
        step = self._step
        if isinstance(step, LoadEnded):
            call = known_hotline(self.app) if to_be_asked(step) else ()
            large = self.app.settings.text_scale > ROOMY
            return load_ended(step, self._ended, call, self._ways(step), self.t, large)
        words = self._words(step)
        roomy = self.app.settings.text_scale <= ROOMY
        names = (self.t("Insert"), self.t("PIN"), self.t("Load"))
        failed = step.prompt in PROBLEM_PROMPTS | {"reader-missing"} and not self._leaving
        steps = Steps(names, self._lit, failed=failed)
        last_try = self._asks_pin and step.tries_left == 1
        title = titled(Text(words.title, "title" if roomy else "heading"), last_try)
        tone: Color = "warning" if last_try else "secondary"
        below = (
            *self._doing(),
            remark(*load_remark(step, self._pin if self._asks_pin else None, self.t)),
            Space(grow=1),
            *self._buttons(step),
        )
        # The other card is not the one whose number is told.
        number = "" if step.prompt == "other-card" else step.number
        picture = card_picture(self._pose(step), number, self.t, roomy)
        amounts = load_amounts(self._amount_fen, self._balance_fen(step), self.t)
        return slot_page(picture, (amounts, steps), title, (words.text, tone), below, roomy)

    @property
    def _lit(self) -> int:
        """The step whose turn it is; -1 where nothing is to be done with the card."""
        if self._leaving in ("cancel", "amount"):
            return -1
        return 1 if self._pin.sent else self._at

    def _pose(self, step: CardPrompt) -> Pose:
        """How the card really is: while the load is being left nobody is asked for it."""
        pose = "inside" if step.prompt in SERVICE_PROMPTS else pose_of(step)
        if not self._leaving:
            return pose
        return "processing" if pose in ("inside", "reading", "processing") else "busy"

    def _words(self, step: CardPrompt) -> Said:
        if self._slow:
            may_go = (
                self.t("The load is being cancelled. You may go back and take your card.")
                if step.cancellable
                else self.t("You may leave. Put the same card in at any time: that shows what happened.")
            )
            return Said(self.t("This takes longer than usual"), may_go)
        if self._leaving == "leave":
            return Said(self.t("One moment, please."), self.t(LOAD_OPEN))
        if self._leaving:
            return Said(self.t("Cancelling the load"), self.t("Waiting for the card reader's answer."))
        if self._pin.sent:
            checking = Said(self.t("Checking the PIN"), self.t("Please leave the card in."))
            return self._patience.worded(checking, self.t)
        said = load_words(step, self.t)
        if self._told_no:
            answer = self.t("This can't be cancelled now. The result comes in a moment.")
            return replace(said, text=answer)
        return self._patience.worded(said, self.t)

    def _doing(self) -> tuple[Node, ...]:
        """The PIN, or that something is going on."""
        if self.busy or (isinstance(self._step, CardPrompt) and self._step.prompt == "reconnecting"):
            return (Spinner(56),)
        if not self._asks_pin:
            return ()
        return (pin_cells(len(self._pin), self.t("PIN")),)

    def _buttons(self, step: CardPrompt) -> tuple[Node, ...]:
        """The ways on and out."""
        if self._slow:
            return (Row((slot_button("back", self.t("Back to the card"), primary=True),)),)
        if self.busy or self._asks_pin:
            return ()
        if step.prompt in AWAY_PROMPTS:
            return (Row((slot_button("leave", self.t("Leave for now")),)),)
        cancel = slot_button("cancel", self.t("Cancel loading"))
        if step.prompt in OTHER_AMOUNT:
            return (pair(slot_button("amount", self.t("Other amount"), primary=True), cancel),)
        return (Row((cancel,)),)

    def _ways(self, end: LoadEnded) -> tuple[Target, ...]:
        """What the words of the end say, and out; the first has the focus."""
        ways = [("done", self._count.words())]
        if end.outcome == "failed" and end.reason in OTHER_AMOUNT:
            ways.insert(0, ("amount", self.t("Other amount")))
        elif end.outcome == "failed" and end.reason in TRY_AGAIN:
            ways.insert(0, ("again", self.t("Try again")))
        elif end.reason == PIN_REFUSED_LAST:
            ways.append(("again", self.t("Try again")))
        elif disputed(end):
            ways.append(("records", self.t("See the records")))
        width = 360 * self.app.settings.text_scale // 100
        return tuple(
            replace(slot_button(key, said, primary=at == 0), width=width)
            for at, (key, said) in enumerate(ways)
        )
