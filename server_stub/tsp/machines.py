"""The legal moves of orders and payments, and what of their states the interface shows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from server_stub.foundation.problems import Money
from server_stub.foundation.states import Machine
from server_stub.tsp import tables
from server_stub.tsp.models import LoadState, OrderState, PaymentState


def _moves(**targets: str) -> Mapping[str, frozenset[str]]:
    return MappingProxyType(
        {origin.replace("_", "-"): frozenset(names.split()) for origin, names in targets.items()}
    )


ORDER = Machine(
    "order",
    tables.orders,
    _moves(
        quoted="paying expired",
        # Back to quoted only when the wallet made no code: nothing could have been paid.
        paying="completed closed quoted",
        # A proof was accepted after the payment had failed.
        closed="paying",
        # BOSS has taken the service back: so goes the money.
        completed="closed",
    ),
    tables.moves,
)

CARD_PAYMENT = Machine(
    "card payment",
    tables.payments,
    _moves(
        created="card-checked cancelled expired authorising cash-begun",
        # A debit or credit card, online: from here on PPP may have booked the sale.
        authorising="authorised failed reversing",
        # Approved; the card has the last word.
        authorised="paid reversing",
        # A reversal is repeated until PPP acknowledges it.
        reversing="failed written-off",
        # Electronic cash: from here on the card may have taken it out of itself. A person may have the service opened without
        # its certificate.
        cash_begun="presenting failed certificate-lost written-off paid",
        # The card's certificate is here; PPP is told of it until it has answered.
        presenting="paid certificate-refused",
        # PPP does not pay for it: a person finds out, and may have it told once more.
        certificate_refused="presenting written-off paid",
        # The card has taken the money out of itself, and its certificate is gone.
        certificate_lost="presenting written-off paid",
        card_checked="card-checked mac1-issued failed cancelled expired",
        # From here on the card may have been debited: only its own proof leads on.
        mac1_issued="paid failed mac2-refused proof-kept written-off",
        # The PSAM is asked once: what it has called wrong is for a person.
        mac2_refused="paid written-off",
        # No PSAM can check the proof any more: it is kept, and a person completes the payment.
        proof_kept="paid written-off",
        # A proof of a debit after evidence that there was none: nobody knows, a person finds out.
        failed="contradicted",
        contradicted="paid written-off",
        # A person has said that nothing was debited; a card's certificate says otherwise.
        written_off="contradicted presenting",
        # A proof where no MAC1 is known of, as after a restore: the card knows better.
        cancelled="contradicted",
        expired="contradicted",
        paid="opened service-refused",
        # A person has it tried once more, or has paid the money back by hand.
        service_refused="opened paid refunded",
        # BOSS has taken the service back, and a person has paid the money back by hand.
        opened="refunded",
    ),
    tables.moves,
)

WALLET_PAYMENT = Machine(
    "wallet payment",
    tables.payments,
    _moves(
        code_wanted="code-shown paid failed cancelled expired wallet-silent amount-differs",
        code_shown="code-opened paid failed cancelled expired wallet-silent amount-differs",
        code_opened="paid failed cancelled expired wallet-silent amount-differs",
        wallet_silent="paid failed expired amount-differs written-off",
        # Some money is in: only the wallet's own word that it is all of it leads on without a person, who sends it back.
        amount_differs="paid refunding",
        paid="opened refunding",
        # BOSS has taken the service back.
        opened="refunding",
        failed="refunding",
        cancelled="refunding",
        expired="refunding",
        written_off="refunding",
        refunding="refunded",
    ),
    tables.moves,
)


LOAD = Machine(
    "load",
    tables.loads,
    _moves(
        # Given up before PPP was asked; or its card knows of a beginning that is lost here, as after a restore.
        created="authorising failed disputed",
        # From here on PPP may have booked it.
        authorising="authorised failed reversing disputed",
        # Approved, and the card has been told how: only the card knows whether it did.
        authorised="loaded reversing",
        # A reversal is repeated until PPP acknowledges it.
        reversing="failed disputed",
        # The card has the money, says its box, and so has the account: a person finds out.
        failed="disputed",
        # A person has said whether the account was charged after all. What the card tells once more changes nothing.
        disputed="loaded written-off",
    ),
    tables.moves,
)
"""Electronic cash from an account onto its card. The money is the bank's and the subscriber's all the time: nothing of it
stands in our books."""


class Shown(NamedTuple):
    """A payment's state at the interface, and what became of the money."""

    state: PaymentState
    money: Money


PAYMENT_SHOWN: Mapping[str, Shown] = MappingProxyType(
    {
        "created": Shown("preparing", "not-taken"),
        "card-checked": Shown("preparing", "not-taken"),
        "authorising": Shown("unknown", "unknown"),
        "authorised": Shown("unknown", "unknown"),
        "reversing": Shown("unknown", "unknown"),
        "cash-begun": Shown("unknown", "unknown"),
        "presenting": Shown("paid", "taken"),
        "certificate-refused": Shown("unknown", "unknown"),
        "certificate-lost": Shown("unknown", "unknown"),
        "mac1-issued": Shown("unknown", "unknown"),
        "mac2-refused": Shown("unknown", "unknown"),
        "proof-kept": Shown("unknown", "unknown"),
        "contradicted": Shown("unknown", "unknown"),
        "code-wanted": Shown("waiting", "not-taken"),
        "code-shown": Shown("waiting", "not-taken"),
        "code-opened": Shown("scanned", "not-taken"),
        "wallet-silent": Shown("unknown", "unknown"),
        "amount-differs": Shown("unknown", "unknown"),
        "paid": Shown("paid", "taken"),
        "service-refused": Shown("paid", "taken"),
        "opened": Shown("done", "taken"),
        "failed": Shown("failed", "not-taken"),
        "cancelled": Shown("cancelled", "not-taken"),
        "expired": Shown("expired", "not-taken"),
        "written-off": Shown("failed", "not-taken"),
        "refunding": Shown("late", "taken"),
        "refunded": Shown("late", "returned"),
    }
)

LOAD_ASKED = frozenset({"authorising", "authorised", "reversing"})
"""States of a load that PPP was asked for."""
LOAD_SHOWN: Mapping[str, tuple[LoadState, Money]] = MappingProxyType(
    {
        "created": ("preparing", "not-taken"),
        "authorising": ("unknown", "unknown"),
        "authorised": ("unknown", "unknown"),
        "reversing": ("unknown", "unknown"),
        "disputed": ("unknown", "unknown"),
        "loaded": ("loaded", "taken"),
        "failed": ("failed", "not-taken"),
        "written-off": ("failed", "not-taken"),
    }
)

ORDER_SHOWN: Mapping[str, OrderState] = MappingProxyType(
    {
        "quoted": "quoted",
        "paying": "paying",
        "completed": "completed",
        "closed": "closed",
        "expired": "closed",
    }
)

LIVE = frozenset(
    {
        "created",
        "card-checked",
        "authorising",
        "authorised",
        "reversing",
        "cash-begun",
        "presenting",
        "certificate-refused",
        "certificate-lost",
        "mac1-issued",
        "mac2-refused",
        "proof-kept",
        "contradicted",
        "code-wanted",
        "code-shown",
        "code-opened",
        "wallet-silent",
        "amount-differs",
        "paid",
        "service-refused",
    }
)
"""States in which no other payment of the same order may begin."""
ENDED_WITHOUT_MONEY = frozenset({"failed", "cancelled", "expired", "written-off"})
CARD_PREPARING = ("created", "card-checked")
CODE_OUT = ("code-wanted", "code-shown", "code-opened")
"""A wallet may still be paid by itself, within its time."""
CARD_UNKNOWN = ("mac1-issued", "mac2-refused", "proof-kept", "contradicted")
"""A card may have debited, and what there is of it proves nothing yet."""
ONLINE_UNKNOWN = ("authorising", "authorised", "reversing")
"""A debit or credit card's account may have been debited; PPP or the card has the next word."""
CASH_UNKNOWN = ("cash-begun", "certificate-refused", "certificate-lost")
"""A card may have taken electronic cash out of itself, and nothing that is here brings it to us."""
PAID = ("paid", "opened", "service-refused", "refunded")
"""A card's payment counts as paid, whatever became of the service; ``refunded``: over the counter."""
WALLET_UNDECIDED = ("wallet-silent", "amount-differs")
"""What the wallet has said, or not said, decides nothing: it is asked again, with pauses."""

WATCHED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(CARD_UNKNOWN, "card-unknown"),
        **dict.fromkeys(ONLINE_UNKNOWN, "online-unknown"),
        **dict.fromkeys(CASH_UNKNOWN, "card-unknown"),
        "presenting": "certificate-unanswered",
        "wallet-silent": "wallet-unknown",
        "amount-differs": "amount-differs",
        "paid": "opening-overdue",
        "service-refused": "service-not-opened",
        "refunding": "refund-overdue",
    }
)
"""States in which somebody's money waits for something: what stays there after the schedule is a case of this kind."""
SETTLED_BY_END = frozenset(WATCHED.values()) - {"amount-differs"}
"""Kinds of cases that ask for nothing but the payment's end. Every other kind asks whether the money is right, which no
end answers: it stays until a person has."""
