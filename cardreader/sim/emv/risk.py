"""Card risk management and the CVR (cards.md, D5; VIS 1.4 and JR/T 0025.5, card action analysis). No I/O.

At the first GENERATE AC the terminal proposes, and the card may only ask for more: TC, then ARQC, then AAC. At the
second one there are TC and AAC. What happened in the last transaction is carried into the next one's CVR.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from cardreader.emv.bits import Ac, Cvr, Tvr

Y3, Z3 = b"Y3", b"Z3"
"""Authorisation response codes that the terminal makes when it could not go online."""


class Ada(IntFlag):
    """Application default action, 9F52, two bytes."""

    ONLINE_AFTER_ISSUER_AUTHENTICATION_FAILED = 0x8000
    DECLINE_ISSUER_AUTHENTICATION_FAILED = 0x4000
    DECLINE_WITHOUT_MANDATORY_ARPC = 0x2000
    NEW_CARD_ONLINE = 0x0200
    NEW_CARD_DECLINE_OFFLINE = 0x0100
    PIN_TRIES_BLOCK = 0x0080
    LAST_PIN_TRIES_DECLINE = 0x0040
    LAST_PIN_TRIES_ONLINE = 0x0020
    LAST_PIN_TRIES_DECLINE_OFFLINE = 0x0010
    SCRIPT_FAILED_ONLINE = 0x0008
    LAST_PIN_TRIES_BLOCK = 0x0004


@dataclass(frozen=True, slots=True)
class Limits:
    """What the issuer allows offline; None is no limit.

    Attributes:
        lower_count, upper_count: 9F58 and 9F59, consecutive offline transactions before the card wants online,
            and before it declines when there is no online.
        lower_total_fen, upper_total_fen: 9F54 and 9F5C, the same for the sum of their amounts.
    """

    lower_count: int | None
    upper_count: int | None
    lower_total_fen: int | None
    upper_total_fen: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision is made from.

    Attributes:
        ada: 9F52.
        limits: see there.
        blocked: the application is blocked.
        new_card: never was online.
        offline_count, offline_total_fen: approved offline so far.
        amount_fen: of this transaction, when it is in the card's currency, else 0.
        carried: from the transaction before.
        pin_tries_left: 9F17.
        pin_seen, pin_failed: VERIFY in this transaction, and how its last one ended.
        dda_performed: INTERNAL AUTHENTICATE, or a combined signature, in this transaction.
        electronic_cash: this transaction is one.
        balance_fen: 9F79.
        reset_threshold_fen: 9F6D; below it the card wants online.
    """

    ada: Ada
    limits: Limits
    blocked: bool
    new_card: bool
    offline_count: int
    offline_total_fen: int
    amount_fen: int
    carried: Cvr
    pin_tries_left: int
    pin_seen: bool
    pin_failed: bool
    dda_performed: bool
    electronic_cash: bool
    balance_fen: int
    reset_threshold_fen: int


def first(requested: Ac, facts: Facts) -> tuple[Ac, Cvr, bool]:
    """Answers the first GENERATE AC.

    Returns:
        The cryptogram's type, the CVR, and whether the card blocks the application.
    """
    cvr = facts.carried | Cvr.SECOND_NOT_REQUESTED
    no_tries = facts.pin_tries_left == 0
    cvr |= Cvr.OFFLINE_PIN_PERFORMED if facts.pin_seen else Cvr(0)
    cvr |= Cvr.OFFLINE_PIN_FAILED if facts.pin_seen and facts.pin_failed else Cvr(0)
    cvr |= Cvr.PIN_TRY_LIMIT_EXCEEDED if no_tries else Cvr(0)
    cvr |= Cvr.NEW_CARD if facts.new_card else Cvr(0)
    cvr |= Cvr.DDA_PERFORMED if facts.dda_performed else Cvr(0)
    if _velocity(facts):
        cvr |= Cvr.VELOCITY_EXCEEDED
    tries_ended_before = no_tries and not facts.pin_seen
    blocks = not facts.electronic_cash and bool(
        (no_tries and facts.pin_seen and facts.ada & Ada.PIN_TRIES_BLOCK)
        or (tries_ended_before and facts.ada & Ada.LAST_PIN_TRIES_BLOCK)
    )
    cvr |= Cvr.BLOCKED_BY_PIN_TRIES if blocks and not facts.blocked else Cvr(0)
    if facts.electronic_cash:
        # Balance and threshold alone decide: a card that was once pulled while online still pays offline.
        declines = facts.blocked or (requested is Ac.TC and facts.amount_fen > facts.balance_fen)
        goes_online = bool(cvr & Cvr.VELOCITY_EXCEEDED)
    else:
        declines = (
            facts.blocked or blocks or bool(tries_ended_before and facts.ada & Ada.LAST_PIN_TRIES_DECLINE)
        )
        goes_online = _wants_online(cvr, facts.ada, tries_ended_before)
    if requested is Ac.AAC or declines:
        answer = Ac.AAC
    elif requested is Ac.ARQC or goes_online:
        answer = Ac.ARQC
    else:
        answer = Ac.TC
    cvr |= {Ac.AAC: Cvr(0), Ac.TC: Cvr.FIRST_TC, Ac.ARQC: Cvr.FIRST_ARQC}[answer]
    return answer, cvr, blocks and not facts.blocked


def _wants_online(cvr: Cvr, ada: Ada, tries_ended_before: bool) -> bool:
    return bool(
        cvr & (Cvr.LAST_ONLINE_NOT_COMPLETED | Cvr.VELOCITY_EXCEEDED)
        or (
            cvr & Cvr.LAST_ISSUER_AUTHENTICATION_FAILED
            and ada & Ada.ONLINE_AFTER_ISSUER_AUTHENTICATION_FAILED
        )
        or (cvr & Cvr.NEW_CARD and ada & Ada.NEW_CARD_ONLINE)
        or (cvr & Cvr.SCRIPT_FAILED and ada & Ada.SCRIPT_FAILED_ONLINE)
        or (tries_ended_before and ada & Ada.LAST_PIN_TRIES_ONLINE)
    )


def _velocity(facts: Facts) -> bool:
    """Electronic cash has its balance and threshold instead of the counters (cards.md, D2 and D3)."""
    if facts.electronic_cash:
        return facts.balance_fen - facts.amount_fen < facts.reset_threshold_fen
    limits = facts.limits
    return (limits.lower_count is not None and facts.offline_count + 1 > limits.lower_count) or (
        limits.lower_total_fen is not None
        and facts.offline_total_fen + facts.amount_fen > limits.lower_total_fen
    )


@dataclass(frozen=True, slots=True)
class Online:
    """How the way online ended.

    Attributes:
        reached: False when the terminal's answer is Y3 or Z3.
        authenticated: the issuer: right, wrong, or None when there was no EXTERNAL AUTHENTICATE.
        supported: the AIP offers issuer authentication.
        mandatory: 9F56 says that there must be one.
    """

    reached: bool
    authenticated: bool | None
    supported: bool
    mandatory: bool


def second(requested: Ac, cvr: Cvr, facts: Facts, online: Online) -> tuple[Ac, Cvr]:
    """Answers the second GENERATE AC; ``cvr`` is the first one's. Returns the cryptogram's type and the CVR."""
    cvr &= ~Cvr.SECOND_NOT_REQUESTED
    if not online.reached:
        cvr |= Cvr.UNABLE_TO_GO_ONLINE
        approves = not _offline_is_too_much(cvr, facts)
    else:
        if online.authenticated is False:
            cvr |= Cvr.ISSUER_AUTHENTICATION_FAILED
        elif online.authenticated is None and online.supported:
            cvr |= Cvr.ISSUER_AUTHENTICATION_NOT_PERFORMED
        approves = not (
            (online.authenticated is False and facts.ada & Ada.DECLINE_ISSUER_AUTHENTICATION_FAILED)
            or (
                online.authenticated is None
                and online.supported
                and online.mandatory
                and facts.ada & Ada.DECLINE_WITHOUT_MANDATORY_ARPC
            )
        )
    if requested is Ac.TC and approves and not facts.blocked:
        return Ac.TC, cvr | Cvr.SECOND_TC
    return Ac.AAC, cvr


def _offline_is_too_much(cvr: Cvr, facts: Facts) -> bool:
    limits = facts.limits
    if facts.electronic_cash:
        return facts.amount_fen > facts.balance_fen
    return bool(
        (limits.upper_count is not None and facts.offline_count + 1 > limits.upper_count)
        or (
            limits.upper_total_fen is not None
            and facts.offline_total_fen + facts.amount_fen > limits.upper_total_fen
        )
        or (cvr & Cvr.NEW_CARD and facts.ada & Ada.NEW_CARD_DECLINE_OFFLINE)
        or (
            cvr & Cvr.PIN_TRY_LIMIT_EXCEEDED
            and not facts.pin_seen
            and facts.ada & Ada.LAST_PIN_TRIES_DECLINE_OFFLINE
        )
    )


def issuer_accepted(online: Online) -> bool:
    """Whether the issuer has proved itself, or need not: then the offline counters begin anew."""
    if online.authenticated is None:
        return not (online.supported and online.mandatory)
    return online.authenticated


def carried_online(cvr: Cvr, online: Online) -> Cvr:
    """What the next CVR tells after the issuer was reached, besides scripts."""
    if issuer_accepted(online):
        return Cvr(0)
    carried = cvr & (Cvr.LAST_SDA_FAILED | Cvr.LAST_DDA_FAILED)
    return carried | Cvr.LAST_ONLINE_NOT_COMPLETED | Cvr.LAST_ISSUER_AUTHENTICATION_FAILED


def carried_declined(carried: Cvr, results: Tvr) -> Cvr:
    """What the next CVR tells after an offline decline: the terminal's TVR says which authentication failed."""
    if results & Tvr.SDA_FAILED:
        carried |= Cvr.LAST_SDA_FAILED
    if results & (Tvr.DDA_FAILED | Tvr.CDA_FAILED):
        carried |= Cvr.LAST_DDA_FAILED
    return carried
