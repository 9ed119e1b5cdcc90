"""Paying an order with a UnionPay purse card (ONL-5 to ONL-7): insert, read, PIN, balance, debit through a PSAM, remove."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import (
    Cancelled,
    CardRemoved,
    InsufficientBalance,
    ProtocolError,
    StatusError,
)
from cardreader.purse import Purse
from cardreader.reader import Connection, Reader
from cardreader.secret import Pin
from stb_app.journeys.asking import patiently
from stb_app.journeys.card_slot import GLANCE_S, BadCard, CardSlot, NobodyCame, check_here
from stb_app.journeys.debiting import Debiting, NeverBegun, ReadyCard
from stb_app.journeys.earlier import EarlierPayments, StandsAgainst
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.online_payment import TERMINAL, OnlinePayment, open_debit_credit
from stb_app.journeys.settling import paid_before
from stb_app.journeys.steps import (
    EARLIER_NOT_TAKEN,
    CardPrompt,
    CardStep,
    Finished,
    Outcome,
    Prompt,
    finished,
)
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import CardFacts, TspClient
from stb_app.tsp.model import Lease, Order, Payment
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)
T = TypeVar("T")

CARD_WAIT_S = 180.0
"""No card for so long ends the payment; nothing was taken."""
NO_SERVICE_S = 180.0
"""For so long a payment that the TSP does not answer can be gone on with; nothing was taken."""
PSAM_RETRY_S = 0.5
PSAM_TRIES, PSAM_WAIT_S = 6, 3
"""Where no PSAM is free the TSP has a queue for them. Waited for in parts: whoever leaves need not wait for the answer."""

REFUSED_CARD: dict[str, Prompt] = {
    "card-issuer-unknown": "issuer-unknown",
    "card-expired": "expired",
    "card-not-yet-valid": "not-yet-valid",
    "card-no-purse": "no-purse",
    "card-listed": "listed",
    "card-unsettled": "unsettled",
    "balance-too-low": "balance-too-low",
    "psam-none-for-issuer": "issuer-unknown",
}
"""What the TSP says of a card, as the prompt that asks for another one."""


class CardPayment:
    """One attempt to pay one order by card. See journeys.base for run and cancel.

    Args:
        now: the time at the box's place, China's.
        terminal: this box, for debit and credit cards.
        settles: an earlier payment, whose card has to tell first; nothing is paid before the subscriber has confirmed that
            again. Ends with ``EARLIER_NOT_TAKEN`` when the way is free. Empty: this order is paid.
    """

    def __init__(
        self, client: TspClient, reader: Reader, memory: Memory, waits: Waits, make_key: Callable[[], str], order: Order,
        now: Callable[[], datetime], alone: threading.Lock, settles: str = "",
        terminal: TerminalSettings = TERMINAL,
    ) -> None:  # fmt: skip
        self._client = client
        self._reader = reader
        self._memory = memory
        self._waits = waits
        self._make_key = make_key
        self._order = order
        self._now = now
        self._terminal = terminal
        self._alone = alone
        self._settles = settles
        self._cancel = threading.Event()
        self._go_on = threading.Event()
        self._again = threading.Event()
        self._silent = False
        """The last that was heard of the TSP is nothing."""
        self._earlier = EarlierPayments(client, memory, waits, order.service)
        self._looked_at: list[str] = []
        self._money: Money = "not-taken"
        self._payment: Payment | None = None
        self._slot: CardSlot
        self._post: Callable[[CardStep], None]

    def run(self, post: Callable[[CardStep], None]) -> None:
        self._post = post
        self._slot = CardSlot(self._reader, self._waits, self._cancel, post, self._alone)
        try:
            self._slot.say(self._beginning("starting"))
            with self._slot.mine(self._beginning("starting")):
                end = self._pay()
        except Cancelled:
            end = self._give_up("cancelled", None)
            end = self._earlier.left() or end
        except NobodyCame:
            end = self._give_up("expired", "card-wait-expired")
            end = self._earlier.left() or end
        except StandsAgainst as earlier:
            self._give_up("cancelled", None)
            end = earlier.end
        except Problem as problem:
            end = self._closed_meanwhile(problem) or self._give_up("failed", problem.code, problem.facts)
            end = (
                paid_before(self._client, self._memory, self._waits, problem)
                or self._earlier.left(problem.code if problem.unanswered else "card-away")
                or end
            )
        except Exception:
            log.exception("card payment of order %s", self._order.order)
            end = Finished(
                "failed" if self._money == "not-taken" else "pending", self._money, "internal", self._payment
            )
        log.info("the payment ends: %s", end.outcome, extra=end.fields(self._client.correlation))
        post(replace(end, card_in_slot=self._slot.card_present()))
        # From here on the page that got the end looks at it; where there is none any more, the background tells.
        for payment in self._looked_at:
            self._memory.look_away(payment)

    def enter_pin(self, pin: Pin) -> None:
        """Six digits from the remote control, for the card alone."""
        self._slot.enter_pin(pin)

    def go_on(self) -> None:
        """At ``remove``: show the result now, the card may stay a little longer."""
        self._go_on.set()

    def try_again(self) -> None:
        """At ``no-service``: asks the TSP once more and goes on where it stood."""
        self._again.set()

    def cancel(self) -> None:
        """Before MAC1: ends without money. While the card is asked for again, or
        the TSP does not answer any more: leaves; the background settles it, where need be when the card is seen.
        """
        self._cancel.set()

    def _pay(self) -> Finished:
        if self._settles:
            self._look_at(self._settles)
        self._slot.say(self._beginning("starting"))
        self._earlier.look(lambda: self._slot.say(self._beginning("reconnecting")))
        prompt = self._asked_for()
        if self._earlier.wanted is None:
            if self._settles:
                return self._way_free()
            self._payment = self._start()
        while True:
            connection = self._slot.wait_for_card(prompt, CARD_WAIT_S)
            try:
                try:
                    purse, facts = self._open_purse(connection)
                except BadCard as bad:
                    card = self._debit_credit(connection, bad)
                    payment = self._payment = self._payment or self._start()
                    return self._pay_online(payment, card)
                facts = self._settle_earlier(purse, facts)
                if self._settles:
                    return self._way_free()
                # Nothing of this order is begun before the earlier one is settled.
                payment = self._payment = self._payment or self._start()
                return self._debit(payment, self._prepare(payment, purse, facts))
            except BadCard as bad:
                about_earlier = bad.prompt.earlier
                self._slot.say(
                    bad.prompt if about_earlier else replace(bad.prompt, amount_fen=self._order.amount_fen)
                )
                self._slot.wait_for_removal(CARD_WAIT_S)
                prompt = self._asked_for()
            except CardRemoved:
                wanted = self._earlier.wanted
                prompt = (
                    self._about("removed-early")
                    if wanted is None
                    else self._earlier.prompt("put-back", wanted)
                )
            finally:
                connection.close()

    def _debit_credit(self, connection: Connection, bad: BadCard) -> DebitCredit:
        """The application of a card that has no purse. Raises BadCard: it has no other one either, or only purses are wanted."""
        if bad.prompt.prompt != "no-purse":
            raise bad
        card = open_debit_credit(connection, self._terminal)
        if card is None:
            raise bad
        return card

    def _pay_online(self, payment: Payment, card: DebitCredit) -> Finished:
        """A debit or credit card, whose issuer is asked."""
        key = self._ask(self._client.card_key, self._about("reading"))
        self._look_at(payment.payment)
        online = OnlinePayment(
            self._client, self._memory, self._waits, self._slot, self._cancel, self._go_on, self._make_key, payment,
            self._now,
        )  # fmt: skip
        try:
            return online.run(card, key)
        finally:
            self._payment, self._money = online.payment, online.money

    def _way_free(self) -> Finished:
        """The confirmation that comes back says that the earlier payment has taken nothing: the TSP is asked, for the
        background may have settled it in a moment at which nobody held the slot.
        """
        self._earlier.refuse(
            self._ask(partial(self._client.payment, self._settles), self._beginning("starting"))
        )
        for payment in set(self._looked_at) - {record.payment for record in self._memory.all()}:
            self._memory.forget(payment)
        return Finished("cancelled", "not-taken", EARLIER_NOT_TAKEN)

    def _open_purse(self, connection: Connection) -> tuple[Purse, CardFacts]:
        """As the slot's. While one card is wanted, one that cannot be read at all is another one."""
        try:
            return self._slot.open_purse(connection)
        except BadCard as bad:
            wanted = self._earlier.wanted
            if wanted is None:
                raise
            raise BadCard(self._earlier.prompt("other-card", wanted)) from bad

    def _asked_for(self) -> CardPrompt:
        """Any card, or the one that may have paid for this service already."""
        wanted = self._earlier.wanted
        if wanted is None:
            return self._about("insert")
        self._look_at(wanted.payment)
        return self._earlier.prompt("put-back", wanted)

    def _look_at(self, payment: str) -> None:
        self._looked_at.append(payment)
        self._memory.look_at(payment)

    def _check_room(self) -> None:
        """What must be remembered after MAC1 can be kept. Asked before the TSP is: on this box they may share the disk.

        Raises:
            Problem: ``box-storage``.
        """
        try:
            self._memory.probe()
        except OSError as error:
            log.warning("the box cannot write its memory: %s", error)
            raise Problem("box-storage") from error

    def _start(self) -> Payment:
        self._check_room()
        key = self._make_key()
        return self._ask(partial(self._client.pay, self._order.order, "card", key), self._about("starting"))

    def _ask(self, question: Callable[[], T], about: CardPrompt) -> T:
        """Asks the TSP something before MAC1. While it is silent the subscriber is told, and after a while asked.

        Args:
            about: what is on the screen; it comes back when the subscriber has it tried again.

        Raises:
            Problem: refused, or silent until the subscriber had gone.
            Cancelled: the subscriber left.
        """
        while True:
            try:
                answer = patiently(
                    question,
                    self._waits,
                    self._cancel,
                    lambda: self._slot.say(replace(about, prompt="reconnecting")),
                )
            except Problem as problem:
                self._silent = problem.unanswered
                if not problem.unanswered or not self._wanted_again(about):
                    raise
            except Cancelled:
                self._silent = True
                raise
            else:
                self._silent = False
                return answer

    def _wanted_again(self, about: CardPrompt) -> bool:
        """Says that the TSP cannot be reached and waits for the subscriber. False: nobody is there any more."""
        self._again.clear()
        self._slot.say(replace(about, prompt="no-service"))
        until = self._waits.monotonic() + NO_SERVICE_S
        while self._waits.monotonic() < until:
            if self._cancel.is_set():
                raise Cancelled
            if self._waits.pause(GLANCE_S, self._again):
                self._slot.say(about)
                return True
        return False

    def _prepare(self, payment: Payment, purse: Purse, facts: CardFacts) -> ReadyCard:
        """From a readable purse to the card's answer to INITIALIZE FOR PURCHASE. Nothing is written on the card.

        Raises:
            BadCard: another card may do. CardRemoved: pulled; nothing was taken. Problem: the payment cannot go on.
        """
        about = CardPrompt(
            "reading", facts.application_serial.masked, facts.balance_fen, self._order.amount_fen
        )
        self._slot.say(about)
        check_here(facts, self._now().date(), self._order.amount_fen)
        key = self._make_key()
        standing = self._ask(partial(self._client.inquire, facts, key), about)
        if not standing.usable:
            raise BadCard(replace(about, prompt=REFUSED_CARD.get(standing.refusal or "", "not-readable")))
        self._slot.ask_pin(purse, about)
        if self._cancel.is_set():
            raise Cancelled
        lease = self._lease(payment, facts, about)
        try:
            init = purse.initialize_for_purchase(
                lease.key_index, self._order.amount_fen, lease.terminal_number
            )
        except InsufficientBalance as error:
            raise BadCard(replace(about, prompt="balance-too-low")) from error
        except (StatusError, ProtocolError) as error:
            raise BadCard(replace(about, prompt="not-readable")) from error
        return ReadyCard(purse, facts, lease, init)

    def _settle_earlier(self, purse: Purse, facts: CardFacts) -> CardFacts:
        """This card may still have to explain an earlier payment; a new debit would overwrite its proof.

        Raises:
            StandsAgainst: that payment was for this same service, and has taken money or may have.
            BadCard: another card's word on this service is wanted first.
        """
        record = self._memory.of_card(self._memory.card_id(facts.application_serial.reveal()))
        if record is None:
            wanted = self._earlier.wanted
            if wanted is not None:
                raise BadCard(self._earlier.prompt("other-card", wanted))
            return facts
        self._look_at(record.payment)
        self._slot.say(self._earlier.prompt("settling", record))
        try:
            self._earlier.settle(
                record, purse, self._cancel, lambda: self._slot.say(self._earlier.prompt("reconnecting", record))
            )  # fmt: skip
        except (StatusError, ProtocolError) as error:
            raise BadCard(self._earlier.prompt("not-readable", record)) from error
        except Problem as problem:
            self._silent = problem.unanswered
            raise
        wanted = self._earlier.wanted
        if wanted is not None:
            # It has explained its own payment; another card's word on this service is wanted all the same.
            raise BadCard(self._earlier.prompt("other-card", wanted))
        return replace(facts, balance_fen=purse.balance_fen())

    def _lease(self, payment: Payment, facts: CardFacts, about: CardPrompt) -> Lease:
        processing = replace(about, prompt="processing", before_mac1=True)
        self._slot.say(processing)
        self._check_room()
        for attempt in range(1, PSAM_TRIES + 1):
            key, wait = self._make_key(), 0 if attempt == 1 else PSAM_WAIT_S
            try:
                lease = self._ask(
                    partial(self._client.present_card, payment.payment, facts, key, wait), processing
                )
            except Problem as problem:
                if problem.code in REFUSED_CARD:
                    raise BadCard(replace(about, prompt=REFUSED_CARD[problem.code])) from problem
                if attempt == PSAM_TRIES or problem.code != "psam-none-free":
                    raise
                self._slot.say(replace(about, prompt="waiting-psam"))
                if self._waits.pause(PSAM_RETRY_S, self._cancel):
                    raise Cancelled from problem
            else:
                self._slot.say(processing)
                if self._cancel.is_set():
                    raise Cancelled
                return lease
        raise AssertionError

    def _debit(self, payment: Payment, ready: ReadyCard) -> Finished:
        """From here the card may be debited: the box remembers first, asks for MAC1, and lets the card debit."""
        record = OpenPayment(
            payment.payment, self._memory.card_id(ready.facts.application_serial.reveal()), ready.lease.terminal_number.hex(),
            ready.lease.key_index, ready.init.offline_number, self._order.amount_fen, ready.init.balance_fen, self._make_key(),
            service=self._order.service.service, order=payment.order, number=payment.number, term=payment.term,
            time=payment.time.isoformat(), card_number=ready.facts.application_serial.masked,
            correlation=self._client.correlation, service_name=dict(self._order.service.name),
        )  # fmt: skip
        facts = ready.facts
        self._slot.say(self._about("processing", facts.application_serial.masked, facts.balance_fen))
        if self._cancel.is_set():
            raise Cancelled
        self._look_at(record.payment)
        try:
            self._memory.keep(record)
        except OSError:
            log.exception("payment %s: the box cannot write its memory", payment.payment)
            return self._give_up("failed", "box-storage")
        debiting = Debiting(
            self._client, self._memory, self._waits, self._slot, self._cancel, self._go_on, self._make_key, payment,
            ready, self._order.amount_fen,
        )  # fmt: skip
        try:
            return debiting.run(record)
        except NeverBegun:
            return self._give_up("failed", "tsp-unreachable")
        finally:
            self._payment, self._money = debiting.payment, debiting.money

    def _closed_meanwhile(self, problem: Problem) -> Finished | None:
        """Why this payment was not there any more when the card was: another television has begun to pay for the service."""
        if problem.code != "wrong-state" or self._payment is None or self._money != "not-taken":
            return None
        try:
            payment = self._client.payment(self._payment.payment)
        except Problem as unknown:
            log.warning("asking for payment %s: %s", self._payment.payment, unknown.code)
            return None
        return finished(payment) if payment.state == "cancelled" else None

    def _give_up(
        self, outcome: Outcome, reason: str | None, facts: dict[str, object] | None = None
    ) -> Finished:
        """Ends before MAC1: tells the TSP that this payment will not come, and why. If it cannot be told, it closes the payment by itself."""
        if self._payment is not None and not self._silent:
            try:
                self._payment = self._client.cancel(self._payment.payment, self._make_key(), reason)
            except Problem as problem:
                log.warning("cancelling payment %s: %s", self._payment.payment, problem.code)
        return Finished(outcome, "not-taken", reason, self._payment, facts or {})

    def _beginning(self, prompt: Prompt) -> CardPrompt:
        """Before the TSP was asked: an earlier payment that the box remembers may have taken money."""
        earlier = self._earlier.open
        return self._about(prompt) if earlier is None else self._earlier.prompt(prompt, earlier)

    def _about(self, prompt: Prompt, number: str = "", balance_fen: int | None = None) -> CardPrompt:
        return CardPrompt(prompt, number, balance_fen, self._order.amount_fen)
