"""What can go wrong, as RFC 9457 problem details with stable codes.

Problem              every refusal that reaches a caller; ``code`` is one of ``CODES``
└── (no subclasses: a code, not a class, tells them apart)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

Money = Literal["not-taken", "taken", "unknown", "returned"]
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table of codes."""

    status: int
    title: str
    retryable: bool = False
    money: Money = "not-taken"


CODES: dict[str, Code] = {
    "bad-request": Code(422, "The body or a header is not as described"),
    "body-too-large": Code(413, "The body is longer than any request here needs"),
    "not-found": Code(404, "There is no such thing here"),
    "method-not-allowed": Code(405, "This address does not take that method"),
    "not-enrolled": Code(401, "The signature's key is not that of an enrolled box"),
    "signature-missing": Code(401, "The request is not signed"),
    "signature-invalid": Code(401, "The signature is not as described, or not this request's"),
    "signature-replayed": Code(401, "The same signed request came before"),
    "clock-skew": Code(401, "The signature's time is too far from the server's", retryable=True),
    "key-replaced": Code(403, "The box has been enrolled with another key since"),
    "key-revoked": Code(403, "The operator has withdrawn the enrolment"),
    "key-copied": Code(403, "The key has been used from two places"),
    "too-many-requests": Code(429, "Too many requests in a short time", retryable=True),
    "box-unknown": Code(403, "The operator does not know this box"),
    "box-suspended": Code(403, "The operator has suspended this box"),
    "box-stolen": Code(403, "The box has been reported stolen"),
    "activation-code-wrong": Code(403, "Smart card or activation code do not fit the box"),
    "idempotency-key-reused": Code(409, "This idempotency key came with another body before"),
    "already-subscribed": Code(409, "The service is active and cannot be extended now"),
    "term-not-sold": Code(409, "The service is not sold for this term"),
    "subscriber-in-arrears": Code(409, "The subscriber has unpaid bills"),
    "service-withdrawn": Code(409, "The service is no longer sold"),
    "order-clash": Code(409, "The order clashes with what the subscriber has"),
    "order-expired": Code(409, "The quote has expired"),
    "order-closed": Code(409, "The order is closed"),
    "order-outdated": Code(409, "What the subscriber has is not what it was at the quote"),
    "payment-in-progress": Code(409, "A payment for this is under way", money="unknown"),
    "already-paid": Code(409, "An earlier payment for this service was made", money="taken"),
    "payment-not-cancellable": Code(409, "The payment can no longer be cancelled"),
    "method-not-offered": Code(409, "This way to pay is not offered"),
    "wrong-state": Code(409, "The payment is not in a state that allows this"),
    "card-issuer-unknown": Code(409, "The issuer of the card is not known"),
    "card-expired": Code(409, "The card has expired"),
    "card-not-yet-valid": Code(409, "The card is not valid yet"),
    "card-no-purse": Code(409, "The card has no electronic purse"),
    "card-listed": Code(409, "The card is on the issuer's list of refused cards"),
    "card-unsettled": Code(409, "The card has yet to tell another box what became of a payment there"),
    "balance-too-low": Code(409, "The balance of the card is lower than the amount"),
    "psam-none-free": Code(503, "No PSAM is free", retryable=True),
    "psam-none-for-issuer": Code(503, "No PSAM serves the issuer of the card"),
    "lease-lost": Code(409, "The PSAM was given to somebody else"),
    "psam-refused": Code(409, "The PSAM refused the transaction"),
    "mac2-refused": Code(409, "The PSAM did not accept the proof of the card", money="unknown"),
    "evidence-contradicts": Code(409, "The evidence does not show that nothing was debited", money="unknown"),
    "wallet-unreachable": Code(503, "The wallet does not answer", retryable=True),
    "boss-unreachable": Code(503, "The operator's business system does not answer", retryable=True),
    "ppp-unreachable": Code(503, "UnionPay does not answer", retryable=True),
    "amount-differs": Code(409, "The amount paid is not the amount of the order", money="taken"),
    "partner-unknown": Code(401, "The caller is not a known partner system"),
    "notice-refused": Code(401, "The notice's signature or time is not right"),
    "stopping": Code(
        503, "The server stops and could not bring this to its end", retryable=True, money="unknown"
    ),
    "internal": Code(500, "A fault of the server", retryable=True, money="unknown"),
}


REFUSALS = tuple(name for name, code in CODES.items() if code.status == 403)
"""What a box or its key may be refused for, and a key can have ended as."""


class ProblemBody(BaseModel):
    """RFC 9457 problem details, with a code, what became of the money, and whether to try again."""

    type: str
    title: str
    status: int
    code: str
    money: Money
    retryable: bool
    facts: dict[str, Any]


class Problem(Exception):
    """A refusal with a stable code.

    Args:
        code: a key of ``CODES``.
        money: what became of the money, where it differs from the code's usual answer.
        facts: figures and ids that the caller may show; nothing secret.
    """

    def __init__(self, code: str, *, money: Money | None = None, **facts: Any) -> None:
        row = CODES[code]
        super().__init__(f"{code}: {row.title}")
        self.code = code
        self.status = row.status
        self.body = ProblemBody(
            type=f"urn:stb-pay:problem:{code}",
            title=row.title,
            status=row.status,
            code=code,
            money=money or row.money,
            retryable=row.retryable,
            facts=facts,
        )


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` for the OpenAPI entry of an operation that can answer problems with these statuses."""
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {
            "description": "; ".join(sorted(code for code, row in CODES.items() if row.status == status)),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
