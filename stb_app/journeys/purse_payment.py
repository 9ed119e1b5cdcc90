"""A purse card before it pays: checked here and by the TSP, its PIN, a PSAM, INITIALIZE FOR PURCHASE (ONL-5 to ONL-7)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from cardreader.errors import Cancelled, InsufficientBalance, ProtocolError, StatusError
from cardreader.purse import Purse
from stb_app.journeys.asking import Questions
from stb_app.journeys.card_slot import BadCard, check_here
from stb_app.journeys.debiting import ReadyCard
from stb_app.journeys.steps import CardPrompt, Prompt
from stb_app.journeys.till import Till
from stb_app.tsp.card_verbs import CardFacts
from stb_app.tsp.model import Lease, Order, Payment
from stb_app.tsp.problem import Problem

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


def prepare(
    till: Till, questions: Questions, order: Order, payment: Payment, purse: Purse, facts: CardFacts
) -> ReadyCard:
    """From a readable purse to the card's answer to INITIALIZE FOR PURCHASE. Nothing is written on the card.

    Raises:
        BadCard: another card may do. CardRemoved: pulled; nothing was taken. Problem: the payment cannot go on.
    """
    about = CardPrompt("reading", facts.application_serial.masked, facts.balance_fen, order.amount_fen)
    till.slot.say(about)
    check_here(facts, till.now().date(), order.amount_fen)
    key = till.make_key()
    standing = questions.ask(partial(till.client.inquire, facts, key), about)
    if not standing.usable:
        raise BadCard(replace(about, prompt=REFUSED_CARD.get(standing.refusal or "", "not-readable")))
    till.slot.ask_pin(purse, about)
    if till.cancel.is_set():
        raise Cancelled
    lease = _lease(till, questions, payment, facts, about)
    try:
        init = purse.initialize_for_purchase(lease.key_index, order.amount_fen, lease.terminal_number)
    except InsufficientBalance as error:
        raise BadCard(replace(about, prompt="balance-too-low")) from error
    except (StatusError, ProtocolError) as error:
        raise BadCard(replace(about, prompt="not-readable")) from error
    return ReadyCard(purse, facts, lease, init)


def _lease(till: Till, questions: Questions, payment: Payment, facts: CardFacts, about: CardPrompt) -> Lease:
    processing = replace(about, prompt="processing", before_mac1=True)
    till.slot.say(processing)
    till.check_room()
    for attempt in range(1, PSAM_TRIES + 1):
        key, wait = till.make_key(), 0 if attempt == 1 else PSAM_WAIT_S
        try:
            lease = questions.ask(
                partial(till.client.present_card, payment.payment, facts, key, wait), processing
            )
        except Problem as problem:
            if problem.code in REFUSED_CARD:
                raise BadCard(replace(about, prompt=REFUSED_CARD[problem.code])) from problem
            if attempt == PSAM_TRIES or problem.code != "psam-none-free":
                raise
            till.slot.say(replace(about, prompt="waiting-psam"))
            if till.waits.pause(PSAM_RETRY_S, till.cancel):
                raise Cancelled from problem
        else:
            till.slot.say(processing)
            if till.cancel.is_set():
                raise Cancelled
            return lease
    raise AssertionError
