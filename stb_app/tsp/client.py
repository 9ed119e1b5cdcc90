"""The TSP's interface as verbs. Every call blocks at most its time-out; run it off the drawing thread.

A changing call takes the idempotency key that the caller made and kept (payments.md, rule 1), so that it can be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stb_app.tsp.model import (
    CardStanding,
    Fields,
    Hello,
    Home,
    Lease,
    Mac1,
    Order,
    Payment,
    Records,
    Service,
    ServicePage,
    Subscriber,
)  # fmt: skip
from stb_app.tsp.problem import MONEY, Money, Problem

if TYPE_CHECKING:
    import requests


CONNECT_S = 3.0
ANSWER_S = 10.0
PAYING_S = 6.0
"""For an answer that somebody waits for at the card slot: silence is said soon, and the same is sent again.

Longer than the TSP itself waits for BOSS."""
LONG_POLL_S = 20


@dataclass(frozen=True, slots=True)
class Credentials:
    """What enrolment gave this box."""

    box_number: str
    token: str

    def __repr__(self) -> str:
        return f"Credentials({self.box_number!r}, token hidden)"


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the TSP must know of a purse card: EF 0015 and its balance."""

    issuer_id: bytes
    application_serial: bytes
    application_type: int
    start_date: str
    expiry_date: str
    balance_fen: int


class TspClient:
    """Speaks to one TSP.

    Args:
        base_url: ``http://host:port``; may be given later through ``connect`` when the server is still starting.
        credentials: None until the box is enrolled.

    Attributes:
        not_enrolled_because: why the box could not be enrolled; said in place of ``not-enrolled``.
    """

    def __init__(self, base_url: str | None = None, credentials: Credentials | None = None) -> None:
        self._base_url = base_url
        self.credentials = credentials
        self.not_enrolled_because: Problem | None = None
        self._session: requests.Session | None = None

    def connect(self, base_url: str, credentials: Credentials | None = None) -> None:
        """Points the client at a server; keeps the credentials unless new ones are given."""
        self._base_url = base_url
        self.credentials = credentials or self.credentials

    def hello(self) -> Hello:
        return Hello.read(self._call("GET", "/hello"))

    def enrol(self, box_number: str, smart_card_number: str, activation_code: str, key: str) -> Subscriber:
        """Makes this box known under its subscriber's name and keeps the token it gets. Raises Problem."""
        body = {
            "box_number": box_number,
            "smart_card_number": smart_card_number,
            "activation_code": activation_code,
        }
        answer = self._call("POST", "/enrolments", body, key)
        self.credentials = Credentials(answer.text("box_number"), answer.text("token"))
        return answer.one("subscriber", Subscriber.read)

    def home(self) -> Home:
        return Home.read(self._call("GET", "/home"))

    def services(self) -> tuple[Service, ...]:
        return self._call("GET", "/services").many("services", Service.read)

    def service(self, service: str) -> ServicePage:
        return ServicePage.read(self._call("GET", f"/services/{service}"))

    def records(self) -> Records:
        return Records.read(self._call("GET", "/records"))

    def order(self, service: str, term: str, key: str) -> Order:
        return Order.read(self._call("POST", "/orders", {"service": service, "term": term}, key))

    def pay(self, order: str, method: str, key: str) -> Payment:
        body = {"method": method}
        return Payment.read(self._call("POST", f"/orders/{order}/payments", body, key, answer_s=PAYING_S))

    def payment(self, payment: str, after: int | None = None, wait: int = 0) -> Payment:
        """The payment as it stands, or, with ``wait`` seconds, as soon as its version is greater than ``after``."""
        query = f"?after={after}&wait={wait}" if after is not None else ""
        return Payment.read(
            self._call("GET", f"/payments/{payment}{query}", answer_s=ANSWER_S + wait if wait else PAYING_S)
        )

    def cancel(self, payment: str, key: str) -> Payment:
        return Payment.read(self._call("POST", f"/payments/{payment}/cancel", {}, key))

    def present_card(self, payment: str, card: CardFacts, key: str) -> Lease:
        answer = self._call("POST", f"/payments/{payment}/card", _card_body(card), key, answer_s=PAYING_S)
        return Lease(_hex(answer, "terminal_number", 6), answer.int("key_index"), answer.int("seconds_left"))

    def init(self, payment: str, init: Mapping[str, Any], key: str) -> Mac1:
        """Sends what INITIALIZE FOR PURCHASE answered. From the moment this is sent the payment may be ``unknown``."""
        answer = self._call("POST", f"/payments/{payment}/init", init, key, answer_s=PAYING_S)
        return Mac1(
            _hex(answer, "terminal_transaction_number", 4), _hex(answer, "mac1", 4),
            _hex(answer, "date", 4), _hex(answer, "time", 3),
        )  # fmt: skip

    def debited(
        self, payment: str, tac: bytes, mac2: bytes, balance_after_fen: int | None, key: str
    ) -> Payment:
        body = {"tac": tac.hex().upper(), "mac2": mac2.hex().upper(), "balance_after_fen": balance_after_fen}
        return Payment.read(self._call("POST", f"/payments/{payment}/debit", body, key, answer_s=PAYING_S))

    def not_debited(self, payment: str, sw: int, offline_number: int, balance_fen: int, key: str) -> Payment:
        body = {"status_word": f"{sw:04X}", "offline_number": offline_number, "balance_fen": balance_fen}
        return Payment.read(
            self._call("POST", f"/payments/{payment}/not-debited", body, key, answer_s=PAYING_S)
        )

    def inquire(self, card: CardFacts, key: str) -> CardStanding:
        """ONL-10: asks what the TSP thinks of a card; recorded there, moves no money."""
        return CardStanding.read(
            self._call("POST", "/inquiries", {"kind": "card", **_card_body(card)}, key, answer_s=PAYING_S)
        )

    def _call(
        self, method: str, path: str, body: Any = None, key: str | None = None, answer_s: float = ANSWER_S
    ) -> Fields:
        import requests  # a tenth of a second to import: not before the first picture

        if self._base_url is None:
            raise Problem("tsp-unreachable", retryable=True)
        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = False
        headers = {"Accept": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if self.credentials is not None:
            headers |= {
                "STB-Number": self.credentials.box_number,
                "Authorization": f"Bearer {self.credentials.token}",
            }
        try:
            answer = self._session.request(
                method, f"{self._base_url}/stb/v1{path}", json=body, headers=headers,
                timeout=(CONNECT_S, answer_s), allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            raise Problem("tsp-unreachable", retryable=True) from error
        try:
            return _read(answer, path)
        except Problem as problem:
            if problem.code == "not-enrolled" and self.not_enrolled_because is not None:
                raise self.not_enrolled_because from problem
            raise


def _read(answer: requests.Response, path: str) -> Fields:
    try:
        value = answer.json()
    except ValueError as error:
        raise Problem(
            "tsp-answer-bad" if answer.ok else "tsp-unreachable",
            retryable=True,
            facts={"status": answer.status_code},
        ) from error
    if answer.ok:
        return Fields(value, path)
    value = value if isinstance(value, dict) else {}
    money: Money = next((word for word in MONEY if word == value.get("money")), "not-taken")
    facts = value.get("facts")
    raise Problem(
        str(value.get("code") or "tsp-answer-bad"), money=money, retryable=bool(value.get("retryable")),
        facts=facts if isinstance(facts, dict) else {},
    )  # fmt: skip


def _card_body(card: CardFacts) -> dict[str, Any]:
    return {
        "issuer_id": card.issuer_id.hex().upper(),
        "application_serial": card.application_serial.hex().upper(),
        "application_type": f"{card.application_type:02X}",
        "start_date": card.start_date,
        "expiry_date": card.expiry_date,
        "balance_fen": card.balance_fen,
    }


def _hex(answer: Fields, name: str, length: int) -> bytes:
    try:
        value = bytes.fromhex(answer.text(name))
    except ValueError as error:
        raise Problem("tsp-answer-bad", facts={"where": name, "expected": "hex"}) from error
    if len(value) != length:
        raise Problem("tsp-answer-bad", facts={"where": name, "expected": f"{length} bytes"})
    return value
