"""What a debit or credit card and its issuer say to each other through this box: the PIN, the first word, the last one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from cardreader import tlv
from cardreader.emv.cvm import Cvm
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import (
    Approved,
    ApprovedOffline,
    ClearPin,
    Declined,
    Online,
    PinEntered,
    Prepared,
    Verification,
)
from cardreader.emv.scripts import IssuerResponse, UnableToGoOnline
from cardreader.errors import CardRemoved, ProtocolError, StatusError
from cardreader.secret import Pin
from stb_app.journeys.bank_card import name_of
from stb_app.journeys.card_slot import CardSlot
from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import PIN_REFUSED_LAST, CardPrompt
from stb_app.journeys.waiting import Waits
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_S = 2.0
TELLING_S = 60.0
"""For so long the TSP is told and asked while the subscriber looks on; it undoes by itself what it is not told of."""
ISSUER_AUTHENTICATION, SCRIPTS_BEFORE, SCRIPTS_AFTER = 0x91, 0x71, 0x72
PIN_REFUSED = "pin-refused"
LAST_TRY_AFTER = 2
"""Refusals in a row after which an issuer may lock the card; its answers do not tell how many tries are left."""
FirstWord = Online | Declined | ApprovedOffline


def first_word(
    slot: CardSlot, card: DebitCredit, step: Prepared | FirstWord, about: CardPrompt
) -> tuple[FirstWord, Pin | None, CardPrompt]:
    """Up to the card's first cryptogram; the PIN where it is for the issuer, and what is on the screen then.

    Raises:
        StatusError, ProtocolError: the card does not go on. CardRemoved. Cancelled.
    """
    pin: Pin | None = None
    while isinstance(step, Prepared):
        about = replace(about, number=step.card.masked)
        slot.say(about)
        verification: Verification = None
        if step.cvm is Cvm.SIGNATURE:
            verification = PinEntered()  # nobody signs at a television; the remote's OK was the word
        elif step.cvm is Cvm.ONLINE_PIN:
            pin = slot.next_pin(replace(about, pin_for_issuer=True), None)
            verification = PinEntered()
        elif step.cvm is not Cvm.NONE:
            verification = ClearPin(slot.next_pin(about, step.tries_left))
        slot.say(about)
        step = card.authorise(verification)
    return step, pin, about


def last_word(card: DebitCredit, response_code: str | None, chip: bytes) -> Approved | Declined | None:
    """What the card says to the issuer's answer; None when it is gone, or says nothing that makes sense.

    Args:
        response_code: None: nobody has answered.
        chip: bit 55 of the answer.
    """
    try:
        if response_code is None:
            return card.complete(UnableToGoOnline())
        objects = tlv.parse(chip)
        return card.complete(
            IssuerResponse(
                response_code.encode("ascii"),
                next((one.value for one in objects if one.tag == ISSUER_AUTHENTICATION), b""),
                tuple(one.value for one in objects if one.tag == SCRIPTS_BEFORE),
                tuple(one.value for one in objects if one.tag == SCRIPTS_AFTER),
            )
        )
    except (CardRemoved, StatusError, ProtocolError) as error:
        log.warning("the card has no last word: %r", error)
        return None


def counted(
    memory: Memory, card: DebitCredit, pin: Pin | None, response_code: str | None, reason: str | None
) -> str | None:
    """The reason of an issuer's answer; where the next try of the PIN may be the last one, PIN_REFUSED_LAST.

    Args:
        pin: what it was sent; None: no PIN, so its answer says nothing of one.
        response_code: None: nobody has answered.
    """
    if pin is None or response_code is None:
        return reason
    name = name_of(card, memory)
    if reason != PIN_REFUSED:
        memory.pin_accepted(name)
    elif memory.pin_refused(name) >= LAST_TRY_AFTER:
        return PIN_REFUSED_LAST
    return reason


def until_answered(waits: Waits, send: Callable[[], T]) -> T:
    """Sends the same again while nobody answers. Raises Problem."""
    until = waits.monotonic() + TELLING_S
    while True:
        try:
            return send()
        except Problem as problem:
            # A refusal after which nothing has left is told at once: another way to pay may do.
            again = problem.unanswered or (problem.retryable and problem.money == "unknown")
            if not again or waits.monotonic() + RETRY_S > until:
                raise
            waits.pause(RETRY_S, threading.Event())
