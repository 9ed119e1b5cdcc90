"""The wire between box and TSP, as docs/tsp-api.md describes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from server_stub.foundation.problems import Money
from server_stub.foundation.secret import ActivationCode, Serial
from server_stub.foundation.text import Text
from server_stub.foundation.wire import Service, Subscriber, Subscription, SubscriptionStatus, Term, TermName

PaymentState = Literal[
    "preparing", "waiting", "scanned", "unknown", "paid", "done", "failed", "cancelled", "expired", "late"
]
LoadState = Literal["preparing", "unknown", "loaded", "failed"]
OrderState = Literal["quoted", "paying", "completed", "closed"]


def _hex(size: int) -> Any:
    return Field(pattern=rf"^[0-9A-F]{{{2 * size}}}$")


Hex1 = Annotated[str, _hex(1)]
Hex4 = Annotated[str, _hex(4)]
Hex8 = Annotated[str, _hex(8)]
Hex32 = Annotated[str, _hex(32)]
Hex16 = Annotated[str, _hex(16)]
Hex64 = Annotated[str, _hex(64)]


def _is_date(text: str) -> str:
    """Raises ValueError for eight digits that are no day of the calendar."""
    date(int(text[:4]), int(text[4:6]), int(text[6:]))
    return text


CompactDate = Annotated[str, Field(pattern=r"^[0-9]{8}$"), AfterValidator(_is_date)]
Byte = Annotated[int, Field(ge=0, le=0xFF)]
Fen = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
OfflineNumber = Annotated[int, Field(ge=0, le=0xFFFF)]


class Hello(BaseModel):
    name: str
    version: str
    api: int
    test_mode: bool
    time: datetime
    hotline: str


class EnrolmentRequest(BaseModel):
    """A box with its key: the request is signed with it."""

    box_number: str = Field(pattern=r"^[0-9]{6,16}$")
    smart_card_number: str = Field(pattern=r"^[0-9]{16,20}$")
    activation_code: ActivationCode
    public_key: Hex32


class ServerKey(BaseModel):
    """A key of the platform's, with which it signs answers."""

    key_id: str
    public_key: str


class Enrolment(BaseModel):
    """Who the box is now, and whose answers it may believe."""

    box_number: str
    key_id: str
    subscriber: Subscriber
    server_keys: list[ServerKey]


class ServerKeys(BaseModel):
    """All keys whose answers a box may believe."""

    server_keys: list[ServerKey]


class CardKey(BaseModel):
    """A public key of the platform's security module."""

    key_id: str
    public_key: str


class CardKeys(BaseModel):
    """All keys that a box may seal card data and PINs for, the present one first."""

    card_keys: list[CardKey]


class CardEnvelope(BaseModel):
    """A bank card's data, and its PIN, sealed by a box for the security module."""

    key_id: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$")
    wrapped_key: Annotated[str, _hex(256)]
    pin_block: Hex16 | None
    card: str = Field(pattern=r"^(?:[0-9A-F]{2}){29,71}$")


class Rotation(BaseModel):
    """The key that a box goes over to, and the proof that it has it."""

    public_key: Hex32
    proof: Hex64


class Rotated(BaseModel):
    """The box's new key, and how long the old one still holds."""

    key_id: str
    old_valid_until: datetime


class ServiceDetail(Service):
    introduction: Text
    terms: list[Term]
    subscriptions: list[Subscription]
    clashes_with: Text | None = None
    renews: bool
    hotline: str


class Cancellation(BaseModel):
    """Why a payment comes to nothing: somebody has cancelled it, or what stood in its way, as the box has told it."""

    reason: str = Field("cancelled", pattern=r"^[a-z][a-z0-9-]{1,31}$")


class OrderRequest(BaseModel):
    service: str = Field(min_length=1, max_length=32)
    term: TermName


class Method(BaseModel):
    key: str
    name: Text
    summary: Text
    enabled: bool
    refusal: str | None


class Order(BaseModel):
    order: str
    number: str
    service: Service
    term: TermName
    list_fen: int
    reduction_fen: int
    reduction_reason: Text | None
    amount_fen: int
    valid_from: datetime
    valid_until: datetime
    renews: bool
    hotline: str
    expires_at: datetime
    seconds_left: int
    state: OrderState
    methods: list[Method]


class PaymentRequest(BaseModel):
    method: str = Field(pattern=r"^(card|wallet:[a-z0-9-]{1,32})$")


CardKind = Literal["purse", "debit", "credit", "electronic-cash"]


class CardSummary(BaseModel):
    kind: CardKind | None  # null: the card has not told
    number: str
    balance_before_fen: int | None
    balance_after_fen: int | None


class Qr(BaseModel):
    payload: str
    seconds_left: int


class Payment(BaseModel):
    payment: str
    order: str
    number: str
    service: Service
    term: TermName
    method: str
    amount_fen: int
    time: datetime
    state: PaymentState
    money: Money
    reason: str | None
    facts: dict[str, Any]
    valid_until: datetime | None
    card: CardSummary | None
    qr: Qr | None
    version: int


class Earlier(BaseModel):
    service: Service
    term: TermName
    date: date
    amount_fen: int
    status: SubscriptionStatus


class CardData(BaseModel):
    """EF 0015 and GET BALANCE of a purse card."""

    issuer_id: Hex8
    application_serial: Serial
    application_type: Hex1
    start_date: CompactDate
    expiry_date: CompactDate
    balance_fen: Fen


class Leased(BaseModel):
    terminal_number: str
    key_index: int
    seconds_left: int


class PurchaseInit(BaseModel):
    """The card's answer to INITIALIZE FOR PURCHASE."""

    balance_fen: Fen
    offline_number: OfflineNumber
    overdraft_limit_fen: Annotated[int, Field(ge=0, le=0xFFFFFF)]
    key_version: Byte
    algorithm_id: Byte
    random: Hex4


class Authorised(BaseModel):
    """What the card wants for DEBIT FOR PURCHASE."""

    terminal_transaction_number: str
    mac1: str
    date: str
    time: str


class DebitProof(BaseModel):
    """The card's answer to DEBIT FOR PURCHASE or GET TRANSACTION PROVE."""

    tac: Hex4
    mac2: Hex4
    balance_after_fen: Fen | None = None


class NotDebited(BaseModel):
    """What shows that a card did not debit."""

    status_word: Annotated[str, _hex(2)]
    offline_number: OfflineNumber
    balance_fen: Fen


Chip = Annotated[str, Field(pattern=r"^(?:[0-9A-F]{2}){1,255}$")]
"""Data objects of a debit or credit card, as in bit 55 of ISO 8583."""


class AuthorisationRequest(BaseModel):
    """A card's ARQC with all that it covers, and its data and PIN, sealed."""

    envelope: CardEnvelope
    chip: Chip


class Authorisation(BaseModel):
    """What the issuer has said, for the card."""

    payment: Payment
    response_code: str | None
    chip: str | None


class Completion(BaseModel):
    """What the card has said at its second GENERATE AC; null: nothing, it has left or makes no sense."""

    chip: Chip | None


class CashBegin(BaseModel):
    """A card that is to pay with its electronic cash, and where it stands before."""

    envelope: CardEnvelope
    balance_before_fen: Fen
    atc: OfflineNumber


class Certificate(BaseModel):
    """What the card has said at GENERATE AC, with its TC."""

    chip: Chip
    balance_after_fen: Fen | None = None


class NoCertificate(BaseModel):
    """Where a card stands that has given no TC, or whose TC was lost on its way.

    ``logged``: its own log has the transaction. ``declined``: it has answered, and it was no TC.
    """

    balance_fen: Fen
    atc: OfflineNumber
    logged: bool
    declined: bool


class LoadRequest(BaseModel):
    """Electronic cash that is to come onto a card, out of its account."""

    amount_fen: Annotated[int, Field(gt=0, le=100_000)]


class Load(BaseModel):
    load: str
    number: str
    amount_fen: int
    time: datetime
    state: LoadState
    money: Money
    reason: str | None
    card: CardSummary | None
    version: int


class Records(BaseModel):
    """What a box has paid, what its subscriber has paid otherwise, and what it has loaded onto cards; newest first."""

    records: list[Payment]
    earlier: list[Earlier] | None
    loads: list[Load]


class LoadAuthorisationRequest(AuthorisationRequest):
    """A card's ARQC for a load, and where its electronic cash stands before."""

    balance_before_fen: Fen


class LoadAuthorisation(BaseModel):
    """What the issuer has said, for the card."""

    load: Load
    response_code: str | None
    chip: str | None


class LoadCompletion(BaseModel):
    """What has become of a load on its card.

    ``chip``: the card's last word, with DF31; null where it was lost. ``balance_fen``: where its electronic cash stands.
    ``logged``: its own log has the load.
    """

    chip: Chip | None
    balance_fen: Fen
    logged: bool


class AccountBalance(BaseModel):
    """What an issuer says of an account: what can be spent, or why it does not say."""

    response_code: str
    balance_fen: int | None
    refusal: str | None
    chip: str | None


class InquiryRequest(CardData):
    """A question about a card that moves no money (ONL-10)."""

    kind: Literal["card"]


class Inquiry(BaseModel):
    issuer: Text | None
    usable: bool
    refusal: str | None
