"""Paying an order with the card in the slot: a purse (ONL-5 to ONL-7), electronic cash, a debit or credit card."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Prepared
from cardreader.emv.settings import TerminalSettings, Transaction
from cardreader.errors import Cancelled, CardRemoved, ProtocolError, StatusError
from cardreader.purse import Purse
from cardreader.reader import Connection, Reader
from cardreader.secret import Pin
from stb_app.journeys import purse_payment
from stb_app.journeys.asking import Questions
from stb_app.journeys.bank_card import name_of, open_debit_credit, recognised
from stb_app.journeys.card_slot import BadCard, CardSlot, NobodyCame
from stb_app.journeys.debiting import Debiting, ReadyCard
from stb_app.journeys.earlier import EarlierPayments, StandsAgainst
from stb_app.journeys.electronic_cash import CashCard, CashPayment
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.online_payment import TERMINAL, OnlinePayment
from stb_app.journeys.open_loads import hear
from stb_app.journeys.remembered_payment import NeverBegun
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
from stb_app.journeys.till import Till
from stb_app.journeys.waiting import Waits
from stb_app.tsp import envelope
from stb_app.tsp.card_verbs import CardFacts
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Order, Payment
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)

CARD_WAIT_S = 180.0
"""No card for so long ends the payment; nothing was taken."""


class CardPayment:
    """One attempt to pay one order by card. See journeys.base for run and cancel.

    Args:
        now: the time at the box's place, China's.
        terminal: this box for debit and credit cards, asked when a card is there.
        settles: an earlier payment, whose card has to tell first; nothing is paid before the subscriber has confirmed that
            again. Ends with ``EARLIER_NOT_TAKEN`` when the way is free. Empty: this order is paid.
    """

    def __init__(
        self, client: TspClient, reader: Reader, memory: Memory, waits: Waits, make_key: Callable[[], str], order: Order,
        now: Callable[[], datetime], alone: threading.Lock, settles: str = "",
        terminal: Callable[[], TerminalSettings] = lambda: TERMINAL,
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
        self._earlier = EarlierPayments(client, memory, waits, order.service)
        self._looked_at: list[str] = []
        self._money: Money = "not-taken"
        self._payment: Payment | None = None
        self._slot: CardSlot
        self._questions: Questions
        self._till: Till
        self._post: Callable[[CardStep], None]

    def run(self, post: Callable[[CardStep], None]) -> None:
        self._post = post
        self._slot = CardSlot(self._reader, self._waits, self._cancel, post, self._alone)
        self._questions = Questions(self._waits, self._cancel, self._slot)
        self._till = Till(
            self._client, self._memory, self._waits, self._slot, self._cancel, self._go_on, self._make_key, self._now
        )  # fmt: skip
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
        self._questions.try_again()

    def agree(self) -> None:
        """At ``confirm-cash``: the card may pay."""
        self._slot.agree()

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
                    purse, facts = self._slot.open_purse(connection)
                except BadCard as bad:
                    if bad.prompt.prompt != "no-purse":
                        raise self._unwanted(bad) from bad
                    return self._pay_from_bank(connection, bad)
                facts = self._settle_earlier(purse, facts)
                if self._settles:
                    return self._way_free()
                # Nothing of this order is begun before the earlier one is settled.
                payment = self._payment = self._payment or self._start()
                ready = purse_payment.prepare(self._till, self._questions, self._order, payment, purse, facts)
                return self._debit(payment, ready)
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

    def _pay_from_bank(self, connection: Connection, bad: BadCard) -> Finished:
        """A debit or credit card. It pays with the electronic cash on it, where it has enough, else its issuer is asked.

        Raises:
            BadCard: ``bad``, it has no such application; or another card may do.
        """
        self._settle_earlier_cash(connection, bad)
        if self._settles:
            return self._way_free()
        payment = self._payment = self._payment or self._start()
        about = self._about("reading")
        key = self._questions.ask(self._client.card_key, about)
        self._slot.say(about)
        card, prepared = self._prepared(connection, self._terminal(), bad)
        try:
            cash = CashCard.of(card, prepared)
            data = envelope.CardData.of(card.objects)
        except ProtocolError as error:
            raise BadCard(replace(about, prompt="not-readable")) from error
        if cash is not None:
            sealed = envelope.seal(key, payment.payment, data, None)
            return self._pay_with_cash(payment, cash, sealed)
        if prepared.electronic_cash:
            # It is on the way of electronic cash, which knows no PIN; its issuer will want one.
            card, prepared = self._prepared(
                connection, replace(self._terminal(), electronic_cash_limit_fen=0), bad
            )
        self._look_at(payment.payment)
        online = OnlinePayment(self._till, payment)
        try:
            return online.run(card, prepared, key)
        finally:
            self._payment, self._money = online.payment, online.money

    def _prepared(
        self, connection: Connection, terminal: TerminalSettings, bad: BadCard
    ) -> tuple[DebitCredit, Prepared]:
        card = open_debit_credit(connection, terminal)
        if card is None:
            raise bad
        try:
            return card, card.prepare(Transaction(self._order.amount_fen, self._now(), 1))
        except (StatusError, ProtocolError) as error:
            raise BadCard(self._about("not-readable")) from error

    def _pay_with_cash(self, payment: Payment, cash: CashCard, sealed: dict[str, str | None]) -> Finished:
        """The subscriber has seen what will be taken from where, and agrees."""
        about = self._about("confirm-cash", cash.number, cash.balance_fen)
        self._slot.next_word(about)
        self._till.check_room()
        record = self._till.record_of(
            self._order, payment, name_of(cash.card, self._memory), cash.number, cash.balance_fen
        )
        self._slot.say(replace(about, prompt="processing"))
        paying = CashPayment(self._till, self._terminal(), payment, cash)
        return self._run(
            replace(record, cash=True, offline_number=cash.atc), lambda kept: paying.run(kept, sealed), paying
        )

    def _settle_earlier_cash(self, connection: Connection, bad: BadCard) -> None:
        """As ``_settle_earlier``, for a card that pays with electronic cash; it is read only where one is waited for."""
        if not self._memory.waits_for_cash():
            if self._earlier.wanted is not None:
                raise self._unwanted(bad)
            return
        try:
            found = recognised(connection, self._terminal(), self._memory, self._now())
            if found is not None and (load := self._memory.load_of(found[1])) is not None:
                # Once the card has paid, what it says is no word about that load any more.
                hear(self._memory, load, found[0], None)
        except (BadCard, StatusError, ProtocolError) as error:
            raise self._unwanted(BadCard(self._about("not-readable"))) from error
        if found is None:
            raise self._unwanted(bad)
        card, name, _ = found
        self._explain(
            name, lambda record, silent: self._earlier.settle_cash(record, card, self._cancel, silent)
        )

    def _way_free(self) -> Finished:
        """The confirmation that comes back says that the earlier payment has taken nothing: the TSP is asked, for the
        background may have settled it in a moment at which nobody held the slot.
        """
        self._earlier.refuse(
            self._questions.ask(partial(self._client.payment, self._settles), self._beginning("starting"))
        )
        for payment in set(self._looked_at) - {record.payment for record in self._memory.all()}:
            self._memory.forget(payment)
        return Finished("cancelled", "not-taken", EARLIER_NOT_TAKEN)

    def _unwanted(self, bad: BadCard) -> BadCard:
        """While one card is wanted, one that cannot be read at all is another one."""
        wanted = self._earlier.wanted
        return bad if wanted is None else BadCard(self._earlier.prompt("other-card", wanted))

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

    def _start(self) -> Payment:
        self._till.check_room()
        key = self._make_key()
        return self._questions.ask(
            partial(self._client.pay, self._order.order, "card", key), self._about("starting")
        )

    def _settle_earlier(self, purse: Purse, facts: CardFacts) -> CardFacts:
        """This card may still have to explain an earlier payment; a new debit would overwrite its proof. Raises as ``_explain``."""
        name = self._memory.card_id(facts.application_serial.reveal())
        told = self._explain(
            name, lambda record, silent: self._earlier.settle(record, purse, self._cancel, silent)
        )
        return replace(facts, balance_fen=purse.balance_fen()) if told else facts

    def _explain(self, card: str, settle: Callable[[OpenPayment, Callable[[], None]], None]) -> bool:
        """Whether the card in the slot had an earlier payment to explain, which it has done then.

        Raises:
            StandsAgainst: that payment was for this same service, and has taken money or may have.
            BadCard: another card's word on this service is wanted first.
        """
        record = self._memory.of_card(card)
        if record is None:
            wanted = self._earlier.wanted
            if wanted is not None:
                raise BadCard(self._earlier.prompt("other-card", wanted))
            return False
        self._look_at(record.payment)
        self._slot.say(self._earlier.prompt("settling", record))
        try:
            settle(record, lambda: self._slot.say(self._earlier.prompt("reconnecting", record)))
        except (StatusError, ProtocolError) as error:
            raise BadCard(self._earlier.prompt("not-readable", record)) from error
        except Problem as problem:
            self._questions.silent = problem.unanswered
            raise
        wanted = self._earlier.wanted
        if wanted is not None:
            # It has explained its own payment; another card's word on this service is wanted all the same.
            raise BadCard(self._earlier.prompt("other-card", wanted))
        return True

    def _debit(self, payment: Payment, ready: ReadyCard) -> Finished:
        """From here the card may be debited: the box remembers first, asks for MAC1, and lets the card debit."""
        serial = ready.facts.application_serial
        record = self._till.record_of(
            self._order, payment, self._memory.card_id(serial.reveal()), serial.masked, ready.init.balance_fen
        )
        record = replace(
            record, terminal_number=ready.lease.terminal_number.hex(), key_index=ready.lease.key_index,
            offline_number=ready.init.offline_number,
        )  # fmt: skip
        self._slot.say(self._about("processing", serial.masked, ready.facts.balance_fen))
        debiting = Debiting(self._till, payment, ready)
        return self._run(record, debiting.run, debiting)

    def _run(
        self, record: OpenPayment, pay: Callable[[OpenPayment], Finished], paying: Debiting | CashPayment
    ) -> Finished:
        """Remembers, and only then has the card pay."""
        if self._cancel.is_set():
            raise Cancelled
        self._look_at(record.payment)
        try:
            self._memory.keep(record)
        except OSError:
            log.exception("payment %s: the box cannot write its memory", record.payment)
            return self._give_up("failed", "box-storage")
        try:
            return pay(record)
        except NeverBegun:
            return self._give_up("failed", "tsp-unreachable")
        finally:
            self._payment, self._money = paying.payment, paying.money

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
        if self._payment is not None and not self._questions.silent:
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
