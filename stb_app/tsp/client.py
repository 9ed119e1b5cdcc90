"""The TSP's interface as verbs. Every call blocks at most its time-out; run it off the drawing thread.

A changing call takes the idempotency key that the caller made and kept (payments.md, rule 1), so that it can be sent again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardreader.secret import SecretText
from stb_app.tsp.card_verbs import PAYING_S, CardVerbs, hexadecimal
from stb_app.tsp.model import (
    Fields,
    Hello,
    Home,
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

    from stb_app.tsp.signing import Identity

log = logging.getLogger(__name__)
CONNECT_S = 3.0
ANSWER_S = 10.0
LONG_POLL_S = 20
AFTER_MAC1 = frozenset({"init", "debit", "not-debited", "offline", "certificate", "no-certificate", "cancel"})
"""What an earlier one of these has done to the money is not told by one that was not answered."""

ANEW = frozenset({"clock-skew", "signature-replayed"})
"""The same call is signed anew, once: by the TSP's clock; or because something on the way has sent it twice and the other
was first: what that has done, or does, is told under the same idempotency key."""


class TspClient(CardVerbs):
    """Speaks to one TSP.

    Args:
        base_url: ``http://host:port``; may be given later through ``connect`` when the server is still starting.
        identity: None until the box is enrolled.
        now: seconds since 1970 by the box's clock.
        authority: file of the certificate authority that the TSP's certificate is from; None: those of the system.
        session: carries the requests; None: one is made with the first request.

    Attributes:
        not_enrolled_because: why the box could not be enrolled; said in place of ``not-enrolled``.
        ahead_s: how much the TSP's clock is ahead of the box's, as the TSP has said under its signature.
        keep_server_keys: told when the TSP signs with other keys than before.
        came_back: told when the TSP answers for the first time after a silence; on whatever thread.
    """

    def __init__(
        self,
        base_url: str | None = None,
        identity: Identity | None = None,
        now: Callable[[], float] = time.time,
        authority: Path | None = None,
        session: requests.Session | None = None,
    ) -> None:
        self._base_url = base_url
        self.identity = identity
        self.not_enrolled_because: Problem | None = None
        self.ahead_s = 0.0
        self.keep_server_keys: Callable[[Identity], None] = lambda identity: None
        self.came_back: Callable[[], None] = lambda: None
        self._silent = False
        self._now = now
        self.authority = authority
        self._session = session

    def connect(self, base_url: str, identity: Identity | None = None) -> None:
        """Points the client at a server; keeps the identity unless a new one is given."""
        self._base_url = base_url
        self.identity = identity or self.identity

    @property
    def correlation(self) -> str:
        """The id under which this client asks; empty: the TSP makes one for each request."""
        return ""

    def under(self, correlation: str) -> TspClient:
        """The same client for one journey: whatever it asks carries the journey's correlation id."""
        return _Under(self, correlation)

    def hello(self) -> Hello:
        return Hello.read(self._call("GET", "/hello"))

    def enrol(
        self, identity: Identity, smart_card_number: str, activation_code: SecretText, key: str
    ) -> Subscriber:
        """Makes this box known under its subscriber's name, by its key. Raises Problem.

        From then on the client is that box and believes the keys that the TSP has named.
        """
        body = {
            "box_number": identity.box_number,
            "smart_card_number": smart_card_number,
            "activation_code": activation_code.reveal(),
            "public_key": identity.public_key.hex().upper(),
        }
        answer = self._call("POST", "/enrolments", body, key, identity=identity.believing({}))
        self.identity = identity.believing(_server_keys(answer))
        return answer.one("subscriber", Subscriber.read)

    def rotate(self, new: Identity, key: str) -> None:
        """Goes over to a new key. Raises Problem; then the old one is still in use."""
        from stb_app.tsp.signing import rotation_proof

        old = self.identity
        if old is None:
            raise Problem("not-enrolled")
        body = {
            "public_key": new.public_key.hex().upper(),
            "proof": rotation_proof(old.key_id, new.private),
        }
        self._call("POST", "/keys", body, key)
        self.identity = new.believing((self.identity or old).server_keys)

    def refresh_server_keys(self) -> None:
        """Learns the keys that the TSP signs with now. Raises Problem."""
        identity = self.identity
        if identity is None:
            return
        answer = self._call("GET", "/server-keys")
        self.identity = identity.believing(_server_keys(answer))
        self.keep_server_keys(self.identity)

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

    def cancel(self, payment: str, key: str, reason: str | None = None) -> Payment:
        """``reason``: what has ended a payment by card that nobody has cancelled."""
        body = {} if reason is None else {"reason": reason}
        return Payment.read(self._call("POST", f"/payments/{payment}/cancel", body, key))

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        answer_s: float = ANSWER_S,
        identity: Identity | None = None,
        correlation: str = "",
    ) -> Fields:
        identity = identity or self.identity
        try:
            try:
                answer = self._ask(method, path, body, key, answer_s, identity, correlation)
            except Problem as problem:
                if not (_hung_up(method, problem) or (problem.code in ANEW and identity is not None)):
                    raise
                if problem.code == "clock-skew":
                    self._set_clock(problem)
                answer = self._ask(method, path, body, key, answer_s, identity, correlation)
        except Problem as problem:
            self._heard(not problem.unanswered)
            if problem.code == "signature-missing" and identity is None:
                # Whoever has no key has not been enrolled.
                raise self.not_enrolled_because or Problem("not-enrolled") from problem
            if problem.code == "not-enrolled" and self.not_enrolled_because is not None:
                raise self.not_enrolled_because from problem
            raise
        self._heard(True)
        return answer

    def _heard(self, answered: bool) -> None:
        came_back = answered and self._silent
        self._silent = not answered
        if came_back:
            self.came_back()

    def _set_clock(self, problem: Problem) -> None:
        """The TSP has said, under its signature, what time it is."""
        try:
            told = datetime.fromisoformat(str(problem.facts.get("time")))
        except ValueError:
            raise problem from None
        self.ahead_s = told.timestamp() - self._now()
        log.warning("this box's clock is wrong by %.0f s", -self.ahead_s)

    def _ask(
        self,
        method: str,
        path: str,
        body: Any,
        key: str | None,
        answer_s: float,
        identity: Identity | None,
        correlation: str,
    ) -> Fields:
        import requests  # a tenth of a second to import: not before the first picture

        from stb_app.tsp.session import new_session

        if self._base_url is None:
            raise Problem("tsp-unreachable", retryable=True)
        if self._session is None:
            self._session = new_session(self.authority)
        headers = {"Accept": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if correlation:
            headers["Correlation-Id"] = correlation
        began = time.monotonic()
        said: dict[str, Any] = {"event": "asked", "correlation": correlation, "method": method, "path": path}
        money: Money = "unknown" if path.rpartition("/")[2] in AFTER_MAC1 else "not-taken"
        try:
            request = self._session.prepare_request(
                requests.Request(method, f"{self._base_url}/stb/v1{path}", json=body, headers=headers)
            )
            if identity is not None:
                self._sign(request, identity, money)
            answer = self._session.send(request, timeout=(CONNECT_S, answer_s), allow_redirects=False)
        except requests.RequestException as error:
            from stb_app.tsp.tls import code_of

            log.info("%s %s: no answer", method, path, extra=said)
            raise Problem(code_of(error) or "tsp-unreachable", retryable=True) from error
        said |= {"status": answer.status_code, "ms": round(1000 * (time.monotonic() - began))}
        log.info("%s %s: %d", method, path, answer.status_code, extra=said)
        if identity is not None and identity.server_keys:
            self._check(answer, identity, path, money)
        return _read(answer, path)

    def _sign(self, request: requests.PreparedRequest, identity: Identity, money: Money) -> None:
        from stb_app.tsp import signing

        try:
            signing.sign(request, identity, self._now() + self.ahead_s)
        except OSError as error:
            raise Problem("box-storage", money=money, retryable=True) from error

    def _check(self, answer: requests.Response, identity: Identity, path: str, money: Money) -> None:
        """An answer that cannot be believed says nothing, also not that nothing was done."""
        from stb_app.tsp import signing

        try:
            try:
                signing.check(answer, identity)
            except signing.UnknownKey:
                if path == "/server-keys":
                    raise
                self.refresh_server_keys()
                signing.check(answer, self.identity or identity)
        except signing.NotTrusted as error:
            log.info("%s: the answer cannot be believed: %s", path, error)
            # A gateway on the way that cannot reach the TSP does not sign.
            code = "tsp-unreachable" if answer.status_code >= 500 else "tsp-not-trusted"
            raise Problem(code, money=money, retryable=True) from error


class _Under(TspClient):
    """A client seen from one journey; everything but the id is the whole one's."""

    def __init__(self, client: TspClient, correlation: str) -> None:
        super().__init__()
        self._client = client
        self._correlation = correlation

    @property
    def correlation(self) -> str:
        return self._correlation

    def under(self, correlation: str) -> TspClient:
        return self._client.under(correlation)

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        answer_s: float = ANSWER_S,
        identity: Identity | None = None,
        correlation: str = "",
    ) -> Fields:
        return self._client._call(method, path, body, key, answer_s, identity, self._correlation)


def _hung_up(method: str, problem: Problem) -> bool:
    """Whether a question that changes nothing has met the end of its kept connection: it is asked once more, on a new one."""
    if method != "GET" or problem.__cause__ is None:
        return False
    import requests

    from stb_app.tsp.session import was_hung_up

    return isinstance(problem.__cause__, requests.ConnectionError) and was_hung_up(problem.__cause__)


def _server_keys(answer: Fields) -> dict[str, bytes]:
    found = answer.many("server_keys", lambda one: (one.text("key_id"), hexadecimal(one, "public_key", 32)))
    if not found:
        raise Problem("tsp-answer-bad", facts={"where": "server_keys", "expected": "keys"})
    return dict(found)


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
