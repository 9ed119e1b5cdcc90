"""What I have paid, here and elsewhere, and loaded onto cards: the list, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import merge
from typing import TYPE_CHECKING, Any, Literal

from screens.card_load_parts import end_of, load_pill
from screens.loading import LoadingPage
from screens.parts import button, message, service_icon
from screens.words import (
    PENDING,
    SEPARATOR,
    Tone,
    amount_color,
    paid_with,
    payment_state,
    subscription_status,
    term_name,
)
from stb_app.journeys import Earlier, Load, Payment, Records
from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Finished
from stb_app.kit.nodes import Column, Fit, Grow, Icon, Node, Pill, Row, Scroll, Space, Target, Text
from stb_app.kit.texts import last_four
from stb_app.shell.running import Running
from stb_app.shell.words import day, full_moment, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

ICON_PX = 72
FOLLOWED = 3
"""Payments, and loads, whose end is not known that are watched at once; there is hardly ever more than one."""


class RecordsScreen(LoadingPage[Records]):
    """OK on a payment or a load shows it in full, on what was paid elsewhere its service.

    A payment or a load whose end is not known yet changes here by itself when it is.
    """

    id = "records"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._followed: set[str] = set()
        self._following: list[Running] = []
        """Of loads, which are looked at for longer than anybody stays here."""

    @property
    def payments(self) -> tuple[Payment, ...]:
        """Those of this box, once they are known."""
        return self.value.payments if self.value else ()

    @property
    def mine(self) -> tuple[Payment | Load, ...]:
        """What this box has paid and loaded, newest first."""
        if self.value is None:
            return ()
        # Each of the two stays in the order in which it came.
        return tuple(merge(self.value.payments, self.value.loads, key=lambda one: one.time, reverse=True))

    @property
    def earlier(self) -> tuple[Earlier, ...]:
        """What was paid elsewhere, as far as that is known."""
        return (self.value.earlier or ()) if self.value else ()

    @property
    def default_focus(self) -> str | None:  # type: ignore[override]
        if self.mine:
            return _key(self.mine[0])
        return "earlier:0" if self.earlier else None

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.records()
        return journey

    def crumbs(self) -> Sequence[str]:
        return (self.t("Payment records"),)

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "numbers": [p.number for p in self.payments],
            "records": [{"number": p.number, "state": p.state, "money": p.money} for p in self.payments],
            "loads": [
                {"load": one.load, "state": one.state, "money": one.money, "amount_fen": one.amount_fen}
                for one in (self.value.loads if self.value else ())
            ],
            "earlier": [
                {
                    "service": e.service.service,
                    "date": day(e.date),
                    "amount_fen": e.amount_fen,
                    "status": e.status,
                }
                for e in self.earlier
            ],
        }

    def arrived(self, value: Records) -> None:
        super().arrived(value)
        pending = [p for p in value.payments if p.state in PENDING and p.payment not in self._followed]
        for payment in pending[:FOLLOWED]:
            self._followed.add(payment.payment)
            self.app.start(self.app.verbs.follow(payment), self._followed_to)
        open_loads = [one for one in value.loads if not one.ended and one.load not in self._followed]
        for load in open_loads[:FOLLOWED]:
            self._followed.add(load.load)
            self._following.append(self.app.start(self.app.verbs.follow_load(load), self._load_followed_to))

    def on_leave(self) -> None:
        self._stop_following()

    def _stop_following(self) -> None:
        while self._following:
            self._following.pop().cancel()

    def on_ok(self, key: str) -> None:
        if key == "refresh":
            self._followed.clear()
            self._stop_following()
            self.load()
        elif key == "services":
            self.app.push("services")
        elif key.startswith("record:"):
            wanted = key.removeprefix("record:")
            self.app.push("record", payment=next(p for p in self.payments if p.payment == wanted))
        elif key.startswith("load:"):
            self.app.push("load-record", load=next(one for one in self.mine if _key(one) == key))
        elif key.startswith("earlier:"):
            chosen = self.earlier[int(key.removeprefix("earlier:"))]
            self.app.push("service", service=chosen.service.service)
        else:
            super().on_ok(key)

    def content(self, value: Records) -> Node:
        count = len(self.mine)
        if not count and value.earlier == ():
            return message(
                "info",
                self.t("Nothing paid yet"),
                self.t(
                    "What you pay on the television will be listed here, with date, amount and order number."
                ),
                self._ways(),
            )
        if not count and value.earlier is None:
            return message(
                "info", self.t("Nothing paid on the television yet"), self._not_told(), self._ways()
            )
        if count > 1:
            words = self.t("The last {n} records").format(n=count)
        else:
            words = self.t("One record") if count else self._elsewhere()
        head = Row((Grow(Text(words, "row", "secondary")), button("refresh", self.t("Refresh"), width=None)))
        above: tuple[Node, ...] = (head,)
        if value.earlier is None:
            above += (Text(self._not_told(), "small", "secondary"),)
        return Fit(
            (
                Column((*above, Scroll("list", Column(self._rows(value, False), gap=14))), gap=20, grow=1),
                Column((*above, Scroll("list", Column(self._rows(value, True), gap=16))), gap=20, grow=1),
            )
        )

    def _ways(self) -> tuple[Target, ...]:
        return (
            button("services", self.t("Browse services"), "primary"),
            button("refresh", self.t("Refresh")),
        )

    def _elsewhere(self) -> str:
        return self.t("Paid elsewhere")

    def _not_told(self) -> str:
        return self.t("What you paid elsewhere cannot be shown just now.")

    def _rows(self, value: Records, two_lines: bool) -> tuple[Node, ...]:
        """What this box has done, then what was paid elsewhere under a heading of its own."""
        rows: list[Node] = [
            self._load_row(one, two_lines) if isinstance(one, Load) else self._payment_row(one, two_lines)
            for one in self.mine
        ]
        if value.earlier and self.mine:
            rows += [Space(8), Text(self._elsewhere(), "row", "secondary")]
        rows += [self._earlier_row(place, one, two_lines) for place, one in enumerate(value.earlier or ())]
        return tuple(rows)

    def _payment_row(self, payment: Payment, two_lines: bool) -> Target:
        how = SEPARATOR.join((full_moment(payment.time)[:16], paid_with(self.t, payment)))
        return self._row(
            _key(payment),
            service_icon(payment.service, ICON_PX),
            SEPARATOR.join((self.say(payment.service.name), term_name(self.t, payment.term))),
            how,
            payment.amount_fen,
            amount_color(payment.money, payment.reason),
            payment_state(self.t, payment),
            two_lines,
        )

    def _load_row(self, load: Load, two_lines: bool) -> Target:
        how = full_moment(load.time)[:16]
        if load.card is not None:
            number = f"****\u00a0{last_four(load.card.number)}"
            how = SEPARATOR.join((how, self.t("card {number}").format(number=number)))
        return self._row(
            _key(load),
            Icon("card", ICON_PX, plate="teal"),
            self.t("Electronic cash load"),
            how,
            load.amount_fen,
            amount_color(load.money),
            load_pill(end_of(load), self.t),
            two_lines,
        )

    def _earlier_row(self, place: int, one: Earlier, two_lines: bool) -> Target:
        mark = subscription_status(self.t, one)
        return self._row(
            f"earlier:{place}",
            service_icon(one.service, ICON_PX),
            SEPARATOR.join((self.say(one.service.name), term_name(self.t, one.term))),
            day(one.date),
            one.amount_fen,
            "money",
            mark,
            two_lines,
        )

    def _row(
        self,
        key: str,
        icon: Icon,
        name: str,
        how: str,
        amount_fen: int,
        color: Literal["money", "secondary"],
        mark: tuple[str, Tone],
        two_lines: bool,
    ) -> Target:
        left = Column((Text(name, "row-bold"), Text(how, "small", "secondary")), gap=2)
        words, tone = mark
        amount = Text(money(amount_fen), "row-bold", color, "end", False)
        if two_lines:
            below = Row((amount, Space(grow=1), Pill(words, tone)), gap=16)
            body: Node = Row((icon, Grow(Column((left, below), gap=6))), gap=28)
        else:
            end = Row((Space(grow=1), Pill(words, tone)), gap=0)
            body = Row((icon, Grow(left, 5), Grow(amount, 2), Grow(end, 3)), gap=28)
        return Target(key, body, "row", text=f"{name} {money(amount_fen)} {words}")

    def _followed_to(self, step: Any) -> None:
        if isinstance(step, Finished) and step.payment is not None and self.value:
            new = step.payment
            payments = tuple(new if old.payment == new.payment else old for old in self.payments)
            super().arrived(replace(self.value, payments=payments))
            self.app.refresh()

    def _load_followed_to(self, new: Load) -> None:
        if self.value:
            loads = tuple(new if old.load == new.load else old for old in self.value.loads)
            super().arrived(replace(self.value, loads=loads))
            self.app.refresh()


def _key(one: Payment | Load) -> str:
    """The key of its row."""
    return f"load:{one.load}" if isinstance(one, Load) else f"record:{one.payment}"
