"""Looking at a card: its balance, how long it is valid, whether it can pay here, and its last ten transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.card_parts import POSES, ROOMY, card_picture
from screens.parts import beside
from screens.pin_entry import PIN_PROMPTS, PinEntry, pin_cells, titled
from screens.problems import N_, Said, prompt_words, words_for
from stb_app.journeys.steps import (
    PROBLEM_PROMPTS,
    CardPrompt,
    CardRead,
    CardTransaction,
    InquiryStep,
    Refused,
)
from stb_app.kit.nodes import (
    Color,
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
    Spinner,
    Target,
    Text,
    TextStyle,
)  # fmt: skip
from stb_app.kit.screen import Binding
from stb_app.shell.keys import DIGITS
from stb_app.shell.page import Page
from stb_app.shell.running import Running
from stb_app.shell.words import MINUS, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

KINDS = {"load": N_("Top-up"), "purchase": N_("Purchase"), "other": N_("Other")}
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
}
"""Where the words of a payment would not do."""
SHOWN = 5
"""So many transactions are seen at once at least."""
ROOMS: tuple[tuple[TextStyle, int], ...] = (("row", 28), ("body", 24), ("small", 16))
"""Letters of what is said below a title, and gaps: as much as there is room for."""
BUSY_PROMPTS = frozenset(("starting", "reading", "processing", "settling", "waiting-psam"))


class CardInquiryScreen(Page[None]):
    """Moves no money: Back leaves at any moment."""

    id = "card-inquiry"
    default_focus = "done"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._step: InquiryStep = CardPrompt("insert")
        self._pin = PinEntry()
        self._running: Running | None = None

    # The journey

    def on_enter(self) -> None:
        self._begin()

    def on_connected(self) -> None:
        if self._running is None:
            self._begin()

    def on_leave(self) -> None:
        self._pin.clear()
        if self._running is not None:
            self._running.cancel()

    def _begin(self) -> None:
        self._pin = PinEntry()
        if self.app.verbs is None:  # the connection is still being set up
            self._step = CardPrompt("starting")
            self._look()
            return
        self._step = CardPrompt("insert")
        journey = self._journey = self.app.verbs.inquire_card()
        self._running = self.app.start(journey, lambda step: self._on_step(journey, step))
        self._look()

    def _on_step(self, journey: Any, step: InquiryStep) -> None:
        if journey is not self._journey:
            return  # the last word of an inquiry that was begun again
        if isinstance(step, CardPrompt) and step.prompt == "reading" and not self._pin.sent:
            self.app.sound("card")
        self._pin.clear()
        self._pin.sent = self._pin.sent and isinstance(step, CardPrompt) and step.prompt == "reading"
        self._step = step
        if self._bad:
            self.app.sound("error")
        if isinstance(step, CardRead | Refused):
            self.app.focus("done" if isinstance(step, CardRead) else "again")
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
            self.on_leave()
            self._begin()
        elif key == "done":
            self.app.pop()

    def _send_pin(self) -> None:
        pin = self._pin.take()
        if pin is not None:
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
        return {
            "prompt": None,
            "number": step.number,
            "balance_fen": step.balance_fen,
            "expiry_date": step.expiry_date,
            "usable": step.standing.usable if step.standing is not None else None,
            "refusal": step.standing.refusal if step.standing is not None else None,
            "transactions": len(step.log) if step.log is not None else None,
        }

    def compose(self) -> Node:
        step = self._step
        if isinstance(step, CardRead):
            return self._read(step)
        return self._asking(step)

    def _asking(self, step: CardPrompt | Refused) -> Node:
        if isinstance(step, Refused):
            own = WORDS.get(step.code)
            words = Said(*map(self.t, own)) if own is not None else words_for(step.code, step.facts, self.t)
            return self._refused(words, "expired" if step.code == "card-wait-expired" else "failed")
        said = self._words(step)
        pose = POSES.get(step.prompt, "wrong")
        last = self._asks_pin and step.tries_left == 1
        tone: Color = "warning" if self._asks_pin and step.prompt == "wrong-pin" else "secondary"
        roomy = self.app.settings.text_scale <= ROOMY
        # As while paying: one size for every prompt's title, and the drawing where it was.
        title = titled(Text(said.title, "title" if roomy else "heading"), last)
        picture = card_picture(pose, step.number, self.t, roomy)
        buttons = () if self.busy or self._asks_pin else (Row((self._button("done", self.t("Back")),)),)
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
        if step.prompt in WORDS:
            return Said(*map(self.t, WORDS[step.prompt]))
        return prompt_words(step.prompt, step.tries_left, {"balance_fen": step.balance_fen}, self.t)

    def _doing(self) -> tuple[Node, ...]:
        """The PIN, or that something is going on."""
        if self.busy:
            return (Spinner(72),)
        if not self._asks_pin:
            return ()
        remark = self.t("This card shows its transactions only after the PIN.")
        if self._pin.too_short:
            remark = self.t("The PIN has six digits: {n} are still missing.").format(n=self._pin.missing)
        return (pin_cells(len(self._pin), self.t("PIN")), Text(remark, "small", "secondary"))

    def _refused(self, said: Said, sign: Literal["expired", "failed"]) -> Node:
        code = (Text(said.code, "caption", "faint", align="center"),) if said.code else ()
        buttons = (
            self._button("again", self.t("Try again"), primary=True),
            self._button("done", self.t("Back")),
        )
        return Column(
            (
                Space(grow=1), Sign(sign, 120), Text(said.title, "title", align="center"),
                Text(said.text, "row", "secondary", align="center"), *code, Space(8), Row(buttons, gap=28, justify="center"), Space(grow=1),
            ),
            gap=20, align="center", grow=1,
        )  # fmt: skip

    def _button(self, key: str, words: str, primary: bool = False) -> Target:
        return Target(key, Text(words, "row-bold", wrap=False), "primary" if primary else "button")

    # A card that has been read

    def _read(self, card: CardRead) -> Node:
        facts: list[tuple[str, str | Text]] = [(self.t("Card number"), Text(card.number, wrap=False))]
        if card.issuer is not None:
            facts.append((self.t("Issued by"), self.say(card.issuer)))
        facts.append((self.t("Valid until"), _date(card.expiry_date)))
        mark, why = self._standing(card)
        balance = (
            Text(self.t("On the card"), "body", "secondary"),
            Text(money(card.balance_fen), "amount", "money", wrap=False),
        )
        about: tuple[Node, ...] = (Row((mark,)), *((Text(why, "small", "secondary"),) if why else ()))
        again, done = (
            self._button("again", self.t("Read again")),
            self._button("done", self.t("Done"), primary=True),
        )
        # The one that has the focus stands next to the transactions: an arrow to the right leads there.
        buttons = Row((Grow(again), Grow(done)), gap=24)
        calm = Column(
            (Panel(Column((*balance, Space(4), Facts(tuple(facts)), Space(4), *about), gap=16), "hero", pad=44, grow=1), buttons),
            gap=24, grow=1,
        )  # fmt: skip
        less = Facts(
            ((self.t("Card number"), Text(card.number, "caption", wrap=False)), *facts[1:]),
            gap=8,
            style="caption",
        )
        # With little room whether it can pay stands above its number, which may scroll.
        label = Row((Grow(balance[0]), mark))
        panel = Panel(Column((label, balance[1], *about[1:], less), gap=4), "hero", pad=28, grow=1)
        tight = Column((panel, buttons), gap=20, grow=1)
        last = Column((Scroll("card", panel), buttons), gap=20, grow=1)
        table = self._table(card.log)
        return Fit(
            (
                Row((Grow(calm, 9), Grow(table, 11)), gap=48, align="stretch", grow=1),
                Row((Grow(tight), Grow(table)), gap=40, align="stretch", grow=1),
                Row((Grow(last, 1), Grow(table, 1)), gap=40, align="stretch", grow=1),
            )
        )

    def _standing(self, card: CardRead) -> tuple[Pill, str]:
        """Whether this card can pay here, and why not."""
        standing = card.standing
        if standing is None:
            why = self.t("There is no connection to ask whether this card can pay.")
            if card.asked_problem not in (None, "tsp-unreachable"):
                title = words_for(card.asked_problem, {}, self.t).title
                why = self.t("{reason}.").format(reason=title)
            return Pill(self.t("Not checked"), "neutral"), why
        if standing.usable:
            return Pill(self.t("Can pay here"), "good"), ""
        why = words_for(standing.refusal or "", {}, self.t).title
        return Pill(self.t("Cannot pay here"), "bad"), self.t("{reason}.").format(reason=why)

    def _table(self, log: tuple[CardTransaction, ...] | None) -> Node:
        head = Text(self.t("Last ten transactions"), "body", "secondary")
        if not log:
            empty = (
                self.t("There are no transactions on the card yet.")
                if log is not None
                else self.t("The card does not show them.")
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
                rows.append(self._line(entry))
            body = Scroll("log", Column(tuple(rows), gap=14))
        hint: tuple[Node, ...] = ()
        if log and len(log) > SHOWN:  # true wherever the focus is, and away from its ring
            hint = (
                Column((Space(0), Text(self.t("The arrow keys show them all"), "caption", "faint")), gap=12),
            )
        return Panel(Column((head, body, *hint), gap=20, grow=1), pad=36, grow=1)

    def _line(self, entry: CardTransaction) -> Node:
        load = entry.kind == "load"
        icon = Icon("arrow-down" if load else "receipt", 40, "good" if load else "secondary")
        what = Column(
            (Text(self.t(KINDS[entry.kind]), "body"), Text(entry.when[:16], "caption", "secondary")), gap=0
        )
        sign = "+" if load else MINUS if entry.kind == "purchase" else ""
        amount = Text(sign + money(entry.amount_fen), "body-bold", "good" if load else "text", wrap=False)
        return Row((icon, Grow(what), amount), gap=24)


def _date(yyyymmdd: str) -> str:
    """A card's date as people write it.

    >>> _date("20301231")
    '2030-12-31'
    """
    return f"{yyyymmdd[:4]}-{yyyymmdd[4:6]}-{yyyymmdd[6:]}"
