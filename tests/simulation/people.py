"""The person before a box, with cards and a phone: buys, loads electronic cash, hesitates, mistypes, pulls, cancels, tries
again."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cardreader.secret import Pin
from stb_app.journeys.steps import CardPrompt, Finished, Loaded, LoadEnded, QrStep, Refused
from tests.simulation import network
from tests.simulation.cards import Card, CashCard
from tests.simulation.loop import Actor
from tests.simulation.servers import Request
from tests.simulation.television import Box, Job

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

PIN = "123456"
CATALOGUE = (
    ("sports", "monthly"), ("sports", "quarterly"), ("movies", "monthly"), ("music", "per-use"),
    ("news", "monthly"), ("kids", "per-use"), ("drama", "monthly"),
)  # fmt: skip
BAD_CARD = frozenset(
    (
        "not-readable",
        "expired",
        "not-yet-valid",
        "blocked",
        "pin-blocked",
        "issuer-unknown",
        "no-purse",
        "listed",
        "declined-by-card",
        "no-cash",
        "cash-full",
    )
)
PATIENCE_S = 600.0
AMOUNTS_FEN = (1000, 10000, 30000, 90000)


@dataclass(slots=True)
class Intent:
    """One thing that a person wants once.

    Attributes:
        cards: names of all cards that were used for it.
        told: how each attempt ended, as far as the screen said.
    """

    box: str
    service: str
    term: str
    method: str
    cards: set[str] = field(default_factory=set)
    orders: list[str] = field(default_factory=list)
    told: list[Finished] = field(default_factory=list)


class Person:
    """Somebody with a box, two cards and a phone."""

    def __init__(self, simulation: Simulation, box: Box, cards: tuple[Card, Card]) -> None:
        self.simulation = simulation
        self.box = box
        self.mine, self.other = cards
        self.random = simulation.random(f"person at {box.name}")
        self.intents: list[Intent] = []
        self.alive = True
        self.loses_card = self.random.random() < 0.12
        self._away = False
        self._retries_unknown = self.random.random() < 0.8
        self.actor: Actor = Actor(simulation.loop, self, f"person at {box.name}", self._live)
        simulation.actors.append(self.actor)

    def step(self, actor: Actor) -> None:
        """People do not lose power."""

    def wake(self) -> None:
        if self.actor.waits:
            self.actor.wake()

    def put_back(self) -> None:
        """At the end of a scenario: whoever still has their card puts it back, for as long as it takes."""
        if not (self._away and self.loses_card) and self.box.slot.card is None:
            self.box.insert(self.mine)

    @property
    def has_card(self) -> bool:
        """Whether the card can still tell what it did."""
        return not (self._away and self.loses_card)

    def _live(self) -> None:
        self._sleep(self.random.uniform(0, 4))
        has_cash = isinstance(self.mine, CashCard)
        for _ in range(self.random.choice((2, 3) if has_cash else (1, 1, 2))):
            if has_cash and self.random.random() < 0.5:
                self._load_cash()
                continue
            service, term = self.random.choice(CATALOGUE)
            method = self.random.choice(("card", "card", "card", "wallet:demo"))
            intent = Intent(self.box.name, service, term, method)
            self.intents.append(intent)
            end: Finished | Refused | None = Refused("not-tried")
            for _ in range(self.random.choice((1, 2, 3))):
                self._box_on()
                in_doubt = end is None or end.money == "unknown"
                if self._knows(intent) or (in_doubt and self._is_paid(intent)):
                    break
                end = self._attempt(intent)
                if not self._again(end):
                    break
                self._sleep(self.random.uniform(1, 20))

    def _again(self, end: Finished | Refused | None) -> bool:
        """Whether the person tries again after that end; None: the power went."""
        if end is None:
            return self.random.random() < 0.8
        if isinstance(end, Refused):
            return self.random.random() < 0.6
        if end.money == "not-taken":
            return self.random.random() < 0.7
        return (
            end.money == "unknown"
            and self._retries_unknown
            and end.payment is not None
            and end.payment.method == "card"
        )

    def _is_paid(self, intent: Intent) -> bool:
        """After the screen went dark, or did not know: what the records say. Nobody pays again who cannot see them."""
        job = self._job(self.box.verbs.records())
        self._until(job, 60.0)
        step = job.steps[-1] if job.steps and not job.cut else None
        if not isinstance(step, Loaded):
            return True
        return any(one.order in intent.orders and one.money == "taken" for one in step.value.payments)

    def _knows(self, intent: Intent) -> bool:
        """Whether the screen has said meanwhile, at recovery, that an earlier attempt was paid."""
        return any(
            end.money == "taken" and end.payment is not None and end.payment.order in intent.orders
            for end in self.box.told
        )

    def _attempt(self, intent: Intent) -> Finished | Refused | None:
        job = self._job(self.box.verbs.order(intent.service, intent.term))
        self._until(job, 60.0)
        step = job.steps[-1] if job.steps and not job.cut else None
        if not isinstance(step, Loaded):
            return step if isinstance(step, Refused) else None
        order = step.value
        intent.orders.append(order.order)
        self._sleep(880.0 if self.random.random() < 0.04 else self.random.uniform(0.2, 5))
        if not self.box.ready or self._knows(intent):
            return None
        end = self._pay_by_card(intent, order) if intent.method == "card" else self._pay_by_wallet(order)
        if end is not None:
            self.simulation.note(
                self.box.name, f"screen: {end.outcome} money {end.money} reason {end.reason}"
            )
            intent.told.append(end)
            self.box.told.append(end)
            end = self._follow(end)
        return end

    def _follow(self, end: Finished) -> Finished:
        """The result page follows a payment that is not at its end for as long as somebody looks at it."""
        if end.outcome != "pending" or end.payment is None or self.random.random() < 0.4:
            return end
        job = self._job(self.box.verbs.follow(end.payment))
        self._until(job, self.random.uniform(1, 130))
        if not job.over and self.box.ready:
            job.journey.cancel()
            self.box.poke()
        for step in job.steps:
            self.simulation.note(
                self.box.name, f"screen: {step.outcome} money {step.money} reason {step.reason}"
            )
        self.box.told.extend(job.steps)
        return job.steps[-1] if job.steps else end

    # The card

    def _pay_by_card(self, intent: Intent, order: Any) -> Finished | None:
        job = self._job(self.box.verbs.pay_by_card(order))
        self._attend(job, intent)
        return self._end(job, leave_card=self.random.random() < 0.3)

    def _load_cash(self) -> None:
        """Electronic cash onto the card."""
        intent = Intent(self.box.name, "electronic cash", "", "card")
        self.intents.append(intent)
        amount_fen = self.random.choice(AMOUNTS_FEN)
        for _ in range(self.random.choice((1, 2))):
            self._box_on()
            job = self._job(self.box.verbs.load_cash(amount_fen))
            self._attend(job, intent)
            self._end(job, leave_card=self.random.random() < 0.5)
            end = job.steps[-1] if job.over and not job.cut and job.steps else None
            if isinstance(end, LoadEnded):
                self.simulation.note(
                    self.box.name, f"screen: load of {end.amount_fen} fen {end.outcome} {end.reason}"
                )
                if end.outcome == "loaded":
                    return
            if self.random.random() < 0.4:
                return

    def _attend(self, job: Job, intent: Intent) -> None:
        """Does what the screen asks for at the card slot."""
        intent.cards.add(self.mine.name)
        if self.random.random() < 0.12:
            self._later(self.random.uniform(0, 15), lambda: self._press_cancel(job))
        seen = 0
        while not job.over:
            if seen == len(job.steps):
                if not self._wait(PATIENCE_S):
                    break
                continue
            step = job.steps[-1]
            seen = len(job.steps)
            if isinstance(step, CardPrompt):
                self._answer(job, step, intent)

    def _answer(self, job: Job, step: CardPrompt, intent: Intent) -> None:
        prompt = step.prompt
        if prompt in ("insert", "removed-early", "put-back"):
            self._sleep(self.random.uniform(0.3, 5))
            back = prompt == "put-back"
            if job.over or not self.box.ready or self.box.slot.card is not None:
                return
            if back and self.loses_card:
                self._away = True
                if self.random.random() < 0.5:
                    self._press_cancel(job)
            elif back and self.random.random() < 0.45:
                self._press_cancel(job)
            elif self.random.random() < (0.15 if back else 0.05) and (back or not self._open_on_other()):
                if not back:
                    intent.cards.add(self.other.name)
                self.box.insert(self.other)
            elif not self._away:
                self.box.insert(self.mine)
        elif prompt in ("enter-pin", "wrong-pin"):
            self._sleep(self.random.uniform(0.5, 4))
            if self._knows(intent):
                self._press_cancel(job)
            elif not job.over and self.box.ready:
                wrong = prompt == "enter-pin" and self.random.random() < 0.08
                job.journey.enter_pin(Pin("000000" if wrong else PIN))
                self.box.poke()
        elif prompt == "confirm-cash":
            self._sleep(self.random.uniform(0.5, 4))
            if self._knows(intent):
                self._press_cancel(job)
            elif not job.over and self.box.ready:
                job.journey.agree()
                self.box.poke()
        elif prompt == "balance-too-low" or prompt in BAD_CARD:
            self._sleep(self.random.uniform(0.5, 3))
            if self.random.random() < 0.5:
                self._press_cancel(job)
            self._pull()
        elif prompt == "other-card":
            self._sleep(self.random.uniform(0.5, 3))
            self._pull()
        elif prompt == "remove":
            self._sleep(self.random.uniform(0.3, 12))
            if self.random.random() < 0.2:
                job.journey.go_on()
                self.box.poke()
            else:
                self._pull()

    def _open_on_other(self) -> bool:
        return self.random.random() < 0.5

    def _press_cancel(self, job: Job) -> None:
        if not job.over and self.box.ready:
            self.simulation.note(self.box.name, "key: cancel")
            job.journey.cancel()
            self.box.poke()

    def _pull(self) -> None:
        self.box.pull()

    # The phone

    def _pay_by_wallet(self, order: Any) -> Finished | None:
        job = self._job(self.box.verbs.pay_by_wallet(order, "wallet:demo"))
        if self.random.random() < 0.2:
            self._later(self.random.uniform(0.5, 30), lambda: self._press_cancel(job))
        seen, scanned = 0, False
        while not job.over:
            if seen == len(job.steps):
                if not self._wait(PATIENCE_S):
                    break
                continue
            step = job.steps[-1]
            seen = len(job.steps)
            if isinstance(step, QrStep) and step.payload and not scanned:
                scanned = True
                self._scan(step)
        return self._end(job, leave_card=True)

    def _scan(self, step: QrStep) -> None:
        """What the phone is going to do with the code."""
        left = step.deadline - self.simulation.loop.time()
        plan = self.random.choice(("pay", "pay", "look-pay", "decline", "nothing", "last", "late", "look"))
        self.simulation.note(self.box.name, f"phone: {plan}")
        at = self.random.uniform(1, 20)
        acts: list[tuple[float, str]] = {
            "pay": [(at, "/pay")],
            "look-pay": [(at, ""), (at + self.random.choice((2.0, 100.0)), "/pay")],
            "decline": [(at, ""), (at + 2, "/decline")],
            "nothing": [],
            "look": [(at, "")],
            "last": [(at, ""), (left + self.random.uniform(-2, 2), "/pay")],
            "late": [(at, ""), (at + 1, "/pay-late")],
        }[plan]
        path = "/" + step.payload.split("/", 3)[3]
        for after_s, verb in acts:
            self._later(after_s, lambda verb=verb: self._phone(path + verb, "POST" if verb else "GET"))

    def _phone(self, path: str, method: str) -> None:
        request = Request(f"phone at {self.box.name}", method, path, b"", [], b"")
        self.simulation.loop.create_task(self._send(request), context=contextvars.Context())

    async def _send(self, request: Request) -> None:
        try:
            await self.simulation.network.deliver(request, "sandbox")
        except (network.Refused, network.Lost):
            self.simulation.note(request.source, "the phone has no answer")

    # Waiting

    def _job(self, journey: Any) -> Job:
        return self.box.start(journey, self.wake)

    def _end(self, job: Job, *, leave_card: bool) -> Finished | None:
        if not leave_card and self.box.slot.card is not None:
            self._sleep(self.random.uniform(0.2, 3))
            self._pull()
        end = job.steps[-1] if job.over and not job.cut and job.steps else None
        return end if isinstance(end, Finished) else None

    def _box_on(self) -> None:
        while not self.box.ready:
            self.actor.block(None)

    def _wait(self, seconds: float) -> bool:
        return self.actor.block(seconds)

    def _until(self, job: Job, seconds: float) -> None:
        end = self.simulation.loop.time() + seconds
        while not job.over and (left := end - self.simulation.loop.time()) > 0:
            self.actor.block(left)

    def _sleep(self, seconds: float) -> None:
        end = self.simulation.loop.time() + seconds
        while (left := end - self.simulation.loop.time()) > 0:
            self.actor.block(left)

    def _later(self, seconds: float, act: Any) -> None:
        def run() -> None:
            Actor(self.simulation.loop, self, f"later at {self.box.name}", act)

        self.simulation.loop.call_later(max(0.0, seconds), run)
