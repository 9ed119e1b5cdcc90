"""Looking at a card: its balance, how long it is valid, whether it can pay here, its last ten transactions; from here it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.card_load import LoadWay
from screens.card_load_parts import NOT_NOW, TRY_AGAIN, amounts_for, confirmation
from screens.card_parts import ROOMY, card_picture, pose_of, slot_button
from screens.card_read import Slot, card_read
from screens.parts import beside
from screens.patience import Patience
from screens.pin_entry import PIN_PROMPTS, PinEntry, pin_cells, titled
from screens.problems import N_, Said, prompt_words, words_for
from stb_app.journeys.steps import (
    PROBLEM_PROMPTS,
    BankCardRead,
    CardMoved,
    CardPrompt,
    CardRead,
    InquiryStep,
    Refused,
)
from stb_app.kit.nodes import (
    Color,
    Column,
    Fit,
    Node,
    Row,
    Sign,
    Space,
    Spinner,
    Target,
    Text,
    TextStyle,
)  # fmt: skip
from stb_app.kit.screen import Binding
from stb_app.shell.keys import DIGITS
from stb_app.shell.page import Page
from stb_app.shell.running import Running
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App

INSERT = (
    N_("Insert the card you want to look at"),
    N_("Chip first, chip side up, until it stops. Nothing will be taken from it."),
)
WORDS = {
    "card-wait-expired": (N_("No card was put in"), N_("Have your card ready and try again.")),
    "reader-missing": (
        N_("The card reader cannot be found"),
        N_("Please check that its cable is plugged in."),
    ),
    "removed-early": (N_("Please put the card back"), N_("It came out before everything was read.")),
    "processing": (N_("Asking the card's bank: leave the card in"), N_("This takes a few seconds.")),
}
"""Where the words of a payment would not do."""
ROOMS: tuple[tuple[TextStyle, int], ...] = (("row", 28), ("body", 24), ("small", 16))
"""Letters of what is said below a title, and gaps: as much as there is room for."""
BUSY_PROMPTS = frozenset(("starting", "reading", "processing", "settling", "waiting-psam"))


class CardInquiryScreen(Page[None]):
    """Looking moves no money: Back leaves at any moment."""

    id = "card-inquiry"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._step: InquiryStep = CardPrompt("insert")
        self._account = False
        """Its bank is asked what is in the account."""
        self._pin = PinEntry()
        self._patience = Patience(app)
        self._running: Running | None = None
        self._watching: Running | None = None
        self._amount_open = self._load_open = False
        """What stands above this page: how much shall be loaded, and whether; the load."""
        self._gone = False
        """The card that was read is out; what it has told stays until there is another, and says so."""
        self._other = False
        """Meanwhile the card was taken out and one put in: what was read may be of another."""

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        """Who checks a card wants to know what is in its account, also after a slip of the PIN; not where its bank has said no."""
        step = self._step
        if isinstance(step, Refused):
            return "again"
        may = isinstance(step, BankCardRead) and (
            step.account_refusal is None or step.account_refusal in TRY_AGAIN
        )
        return "account" if may and self._account_untold else "done"

    @property
    def _account_untold(self) -> bool:
        """The card's bank can tell more than the card."""
        step = self._step
        if not isinstance(step, BankCardRead):
            return False
        return step.cash is None and step.usable and step.account_fen is None

    # The journey

    def on_enter(self) -> None:
        self._begin()

    def on_connected(self) -> None:
        if self._running is None:
            self._begin()

    def on_leave(self) -> None:
        self._pin.clear()
        for running in (self._running, self._watching):
            if running is not None:
                running.cancel()

    def _begin(self, *, account: bool = False) -> None:
        self.on_leave()
        self._gone = self._other = False
        self._account = account
        self._pin = PinEntry()
        self._patience.end()
        if self.app.verbs is None:  # the connection is still being set up
            self._step = CardPrompt("starting")
            self._look()
            return
        self._step = CardPrompt("insert")
        journey = self._journey = self.app.verbs.inquire_card(account=account)
        self._running = self.app.start(journey, lambda step: self._on_step(journey, step))
        self._look()

    def _watch(self) -> None:
        """What one card has told does not stay on the screen when another is in."""
        read = self._step
        self._watching = self.app.start(
            self.app.verbs.watch_slot(), lambda moved: self._on_moved(read, moved)
        )

    def _on_moved(self, read: InquiryStep, moved: CardMoved) -> None:
        if self._step is not read:
            return
        self._gone = not moved.inside
        if self._gone:
            self.app.refresh()
            return
        if self._load_open:  # the slot is that page's
            self._other = True
            return
        if self._amount_open:
            self._amount_open = False
            self.app.uncover()
        self._begin()

    def _choose_amount(self) -> None:
        """How much, and then once more whether."""
        assert isinstance(self._step, BankCardRead)
        assert self._step.cash is not None
        self._amount_open = True
        amounts = tuple((str(fen), money(fen)) for fen in amounts_for(self._step.cash))
        self.app.push(
            "question", self._on_amount, sign="question", title=N_("How much do you want to load?"),
            text=N_("It comes from the card's own account."), options=(*amounts, NOT_NOW), default=NOT_NOW[0],
            accent=None,
        )  # fmt: skip

    def _on_amount(self, answer: str | None) -> None:
        self._amount_open = False
        if answer is None or not answer.isdecimal():
            return
        assert isinstance(self._step, BankCardRead)
        assert self._step.cash is not None
        fen = int(answer)
        self._amount_open = True
        asked = confirmation(fen, self._step.number, self._step.cash.balance_fen, self.t)
        self.app.push("question", lambda answer: self._load(fen, answer), **asked)

    def _load(self, fen: int, answer: str | None) -> None:
        assert isinstance(self._step, BankCardRead)
        assert self._step.cash is not None
        self._amount_open = False
        if answer == "load":
            self._load_open = True
            held_fen = self._step.cash.balance_fen
            self.app.push("card-load", self._on_loaded, amount_fen=fen, held_fen=held_fen)

    def _on_loaded(self, way: LoadWay | None) -> None:
        """Back from loading: what was read still holds where nothing was loaded, and the card has stayed in."""
        self._load_open = False
        if way == "look" or self._other:
            self._begin()
        elif way == "amount":
            self._choose_amount()

    def _on_step(self, journey: Any, step: InquiryStep) -> None:
        if journey is not self._journey:
            return  # the last word of an inquiry that was begun again
        if isinstance(step, CardPrompt) and step.prompt == "reading" and not self._pin.sent:
            self.app.sound("card")
        self._patience.hear(step.prompt if isinstance(step, CardPrompt) else "", self._pin)
        self._pin.clear()
        self._pin.sent = self._pin.sent and isinstance(step, CardPrompt) and step.prompt == "reading"
        self._step = step
        if isinstance(step, CardRead | BankCardRead):
            self._watch()
        if self._bad:
            self.app.sound("error")
        if not isinstance(step, CardPrompt):
            self.app.focus(self.default_focus)
        self._look()

    def _look(self) -> None:
        self.busy = isinstance(self._step, CardPrompt) and (
            self._pin.sent or self._step.prompt in BUSY_PROMPTS
        )
        self.app.refresh()

    @property
    def _bad(self) -> bool:
        step = self._step
        return isinstance(step, Refused) or (
            isinstance(step, CardPrompt) and (step.prompt in PROBLEM_PROMPTS or step.prompt == "wrong-pin")
        )

    @property
    def _asks_pin(self) -> bool:
        return isinstance(self._step, CardPrompt) and self._step.prompt in PIN_PROMPTS and not self._pin.sent

    # Keys

    def bindings(self) -> Sequence[Binding]:
        if not self._asks_pin:
            return ()
        return self._pin.bindings(self.t)

    def on_key(self, name: str) -> bool:
        if name not in DIGITS or not self._asks_pin:
            return False
        if self._pin.type(name):
            self.app.sound("key")
        return True

    def on_ok(self, key: str) -> None:
        if key == "pin":
            self._send_pin()
        elif key == "again":
            self._begin()
        elif key == "load":
            self._choose_amount()
        elif key == "account":
            self._begin(account=True)
        elif key == "done":
            self.app.pop()

    def _send_pin(self) -> None:
        pin = self._pin.take()
        if pin is not None:
            self._patience.check_pin()
            self._journey.enter_pin(pin)
            self._look()

    # The picture

    def crumbs(self) -> Sequence[str]:
        return (self.t("Check a card"),)

    def state(self) -> dict[str, Any]:
        step = self._step
        if isinstance(step, CardPrompt):
            return {
                "prompt": step.prompt,
                "tries_left": step.tries_left,
                "digits": len(self._pin),
                "number": step.number,
            }
        if isinstance(step, Refused):
            return {"prompt": None, "problem": step.code}
        if isinstance(step, BankCardRead):
            return {
                "prompt": None,
                "number": step.number,
                "kind": step.kind,
                "balance_fen": step.cash.balance_fen if step.cash is not None else None,
                "expiry_date": step.expiry_date,
                "transactions": len(step.log),
                "taken_out": self._gone,
            }
        return {
            "prompt": None,
            "number": step.number,
            "balance_fen": step.balance_fen,
            "expiry_date": step.expiry_date,
            "usable": step.standing.usable if step.standing is not None else None,
            "refusal": step.standing.refusal if step.standing is not None else None,
            "transactions": len(step.log) if step.log is not None else None,
            "taken_out": self._gone,
        }

    def compose(self) -> Node:
        step = self._step
        if isinstance(step, CardRead | BankCardRead):
            again = slot_button("again", self.t("Read again"))
            done = slot_button("done", self.t("Done"), primary=self.default_focus == "done")
            # The one that has the focus stands next to the transactions: an arrow to the right leads there.
            load: tuple[Target, ...] = ()
            if isinstance(step, BankCardRead) and self._account_untold:
                credit = step.kind == "credit"
                words = self.t("See available credit") if credit else self.t("See account balance")
                load = (slot_button("account", words, primary=self.default_focus == "account"),)
            elif (
                isinstance(step, BankCardRead)
                and step.usable
                and step.cash is not None
                and amounts_for(step.cash)
            ):
                load = (slot_button("load", self.t("Load electronic cash")),)
            roomy = self.app.settings.text_scale <= ROOMY
            slot: Slot = "gone" if self._gone else "" if load else "take"
            return card_read(step, (*load, again, done), self.t, self.say, roomy, slot)
        return self._asking(step)

    def _asking(self, step: CardPrompt | Refused) -> Node:
        if isinstance(step, Refused):
            own = WORDS.get(step.code)
            words = Said(*map(self.t, own)) if own is not None else words_for(step.code, step.facts, self.t)
            return self._refused(words, "expired" if step.code == "card-wait-expired" else "failed")
        said = self._patience.worded(self._words(step), self.t)
        pose = pose_of(step)
        last = self._asks_pin and step.tries_left == 1
        tone: Color = "warning" if self._asks_pin and step.prompt == "wrong-pin" else "secondary"
        roomy = self.app.settings.text_scale <= ROOMY
        # As while paying: one size for every prompt's title, and the drawing where it was.
        title = titled(Text(said.title, "title" if roomy else "heading"), last)
        picture = card_picture(pose, step.number, self.t, roomy)
        buttons = () if self.busy or self._asks_pin else (Row((slot_button("done", self.t("Back")),)),)
        below = (*self._doing(), Space(grow=1), *buttons)
        columns = (
            Column(
                (
                    Space(96),
                    Column((title, Text(said.text, style, tone), *below), gap=gap, grow=1),
                ),
                gap=0,
                grow=1,
            )
            for style, gap in ROOMS
        )
        return Fit(tuple(beside(picture, column, not roomy) for column in columns))

    def _words(self, step: CardPrompt) -> Said:
        if step.prompt == "starting":
            return Said(self.t("One moment, please."), self.t("The television is getting ready."))
        if step.prompt == "insert":
            return Said(self.t(INSERT[0]), self.t(INSERT[1]))
        if self._pin.sent:
            return Said(self.t("Checking the PIN"), self.t("Please leave the card in."))
        if step.prompt == "settling":  # Back leaves at any time: it goes on without anybody looking
            return replace(
                prompt_words("settling", None, {}, self.t, earlier=True),
                text=self.t("Please leave the card in."),
            )
        if step.prompt in WORDS and step.trouble == "missing":
            return Said(*map(self.t, WORDS[step.prompt]))
        facts = {"balance_fen": step.balance_fen}
        return prompt_words(step.prompt, step.tries_left, facts, self.t, trouble=step.trouble)

    def _doing(self) -> tuple[Node, ...]:
        """The PIN, or that something is going on."""
        if self.busy:
            return (Spinner(72),)
        if not self._asks_pin:
            return ()
        remark = self.t("This card shows its transactions only after the PIN.")
        if self._account:
            remark = self.t("The PIN goes to the card's bank alone, sealed: it is not shown or stored.")
        if self._pin.too_short:
            remark = self.t("The PIN has six digits. Still missing:\u00a0{n}.").format(n=self._pin.missing)
        return (pin_cells(len(self._pin), self.t("PIN")), Text(remark, "small", "secondary"))

    def _refused(self, said: Said, sign: Literal["expired", "failed"]) -> Node:
        code = (Text(said.code, "caption", "faint", align="center"),) if said.code else ()
        buttons = (
            slot_button("again", self.t("Try again"), primary=True),
            slot_button("done", self.t("Back")),
        )
        return Column(
            (
                Space(grow=1), Sign(sign, 120), Text(said.title, "title", align="center"),
                Text(said.text, "row", "secondary", align="center"), *code, Space(8), Row(buttons, gap=28, justify="center"), Space(grow=1),
            ),
            gap=20, align="center", grow=1,
        )  # fmt: skip
