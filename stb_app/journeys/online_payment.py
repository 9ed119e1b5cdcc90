"""Paying with a debit or credit card: the card asks its issuer through the TSP, and has the last word. ONL-7, ONL-12, ONL-13

Who the card is, and its PIN, leave this box sealed for the platform's security module. Until the card has agreed nothing is
paid: whatever stops this on its way is undone by the TSP, which is told so where it can be.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, Declined, Online, Prepared
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import ProtocolError, StatusError
from stb_app.journeys.card_slot import BadCard
from stb_app.journeys.issuer_talk import RETRY_S, TELLING_S, counted, first_word, last_word, until_answered
from stb_app.journeys.remembered_payment import REMOVE_S
from stb_app.journeys.settling import wait_until_open
from stb_app.journeys.steps import CardPrompt, Finished, finished
from stb_app.journeys.till import Till
from stb_app.tsp import envelope
from stb_app.tsp.model import Authorisation, Payment
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)

TERMINAL = TerminalSettings(
    terminal_id="88310001", merchant_id="883100048990001", electronic_cash_limit_fen=100_000
)
"""This box as a terminal: below the limit a card pays with its electronic cash where it has enough, else it asks its issuer."""


class OnlinePayment:
    """One payment with one card.

    Attributes:
        payment: as the TSP told it last.
        money: what has become of it, as far as this box knows.
    """

    def __init__(self, till: Till, payment: Payment) -> None:
        self._client = till.client
        self._memory = till.memory
        self._waits = till.waits
        self._slot = till.slot
        self._cancel = till.cancel
        self._go_on = till.go_on
        self._make_key = till.make_key
        self.payment = payment
        self.money: Money = "not-taken"

    def run(self, card: DebitCredit, prepared: Prepared, key: envelope.CardKey) -> Finished:
        """From what the holder has to do to the end.

        Args:
            card: prepared for this payment.
            key: that card data and PIN are sealed for.

        Raises:
            BadCard: another card may do; nothing was taken. CardRemoved: pulled; nothing was taken.
            Problem: refused; nothing was taken. Cancelled: the subscriber left.
        """
        about = CardPrompt("reading", "", None, self.payment.amount_fen)
        try:
            first, pin, about = first_word(self._slot, card, prepared, about)
            data = envelope.CardData.of(card.objects)
        except (StatusError, ProtocolError) as error:
            raise BadCard(replace(about, prompt="not-readable")) from error
        if not isinstance(first, Online):
            raise BadCard(replace(about, prompt="declined-by-card"))
        sealed = envelope.seal(key, self.payment.payment, data, pin)
        self._slot.say(replace(about, prompt="processing"))
        self._remember()
        try:
            said = self._authorise(sealed, first.coded)
        except Problem as problem:
            if self.money == "not-taken":
                raise
            # The background goes on asking; what nobody brings to an end is undone.
            return Finished("pending", "unknown", problem.code, self.payment, problem.facts)
        self.payment = said.payment
        reason = counted(self._memory, card, pin, said.response_code, said.payment.reason)
        final = last_word(card, said.response_code, said.chip)
        if said.payment.state == "failed":
            self.money = "not-taken"
            if final is not None and final.script_results:
                self._tell_scripts(final)
            return replace(finished(said.payment), reason=reason)
        return self._end(final, about)

    def _remember(self) -> None:
        """From now on money may move: a television that is switched off finds out how it ended."""
        try:
            self._memory.keep_code(self.payment.payment)
        except OSError as error:
            log.warning("the box cannot write its memory: %s", error)
            raise Problem("box-storage") from error

    def _authorise(self, sealed: dict[str, str | None], chip: bytes) -> Authorisation:
        """The issuer's word. Raises Problem: refused, or ``money`` is unknown."""
        key = self._make_key()
        self.money = "unknown"
        try:
            return until_answered(
                self._waits, lambda: self._client.authorise(self.payment.payment, sealed, chip, key)
            )
        except Problem as problem:
            if problem.money == "not-taken" and not problem.unanswered:
                self.money = "not-taken"
                self._memory.forget_code(self.payment.payment)
            raise

    def _end(self, final: Approved | Declined | None, about: CardPrompt) -> Finished:
        """Tells the TSP the card's last word, and what became of the payment."""
        chip, key = None if final is None else final.coded, self._make_key()
        try:
            payment = until_answered(
                self._waits, lambda: self._client.complete(self.payment.payment, chip, key)
            )
        except Problem as problem:
            return Finished("pending", "unknown", problem.code, self.payment, problem.facts)
        self.payment, self.money = payment, payment.money
        if payment.money == "taken":
            if self._slot.card_present():
                self._slot.say(replace(about, prompt="remove"))
                self._slot.wait_for_removal(REMOVE_S, self._go_on)
            payment = wait_until_open(self._client, self._waits, payment)
        else:
            payment = self._until_known(payment)
        self.payment, self.money = payment, payment.money
        return finished(payment)

    def _tell_scripts(self, final: Approved | Declined) -> None:
        """The issuer has declined, and had the card do something: what came of it is told while it is here."""
        chip, key = final.coded, self._make_key()
        try:
            until_answered(self._waits, lambda: self._client.complete(self.payment.payment, chip, key))
        except Problem as problem:
            log.warning("payment %s: scripts are not told: %s", self.payment.payment, problem.code)

    def _until_known(self, payment: Payment) -> Payment:
        """Waits while what the issuer may have booked is undone."""
        until = self._waits.monotonic() + TELLING_S
        while payment.money == "unknown" and (left := until - self._waits.monotonic()) > 0:
            try:
                payment = self._client.payment(payment.payment, payment.version, max(1, min(int(left), 20)))
            except Problem as problem:
                log.warning("asking for payment %s: %s", payment.payment, problem.code)
                if not problem.unanswered and not problem.retryable:
                    break
                if self._waits.pause(RETRY_S, self._cancel):
                    break
        return payment
