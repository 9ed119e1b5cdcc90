"""A box's side of the signatures, made with the library and not with the code under test."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)

from server_stub.foundation.signatures import key_id

WINDOW = timedelta(seconds=60)
ACTIVATION = "246810"
SMART_CARDS = {
    "85312047": "8310220477550019",
    "85312048": "8310220477550027",
    "85312049": "8310220477550035",
    "85312050": "8310220477550043",
    "85312051": "8310220477550050",
}
COVERED = ("@method", "@authority", "@path", "@query", "content-digest", "stb-number")


@dataclass
class _Seen:
    """A request as the library sees it."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass
class _Answer:
    status_code: int
    headers: dict[str, str]
    request: _Seen


@dataclass
class BoxKey(HTTPSignatureKeyResolver):
    """A box's key, with the counter that its nonces begin with."""

    private: Ed25519PrivateKey
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    server_keys: dict[str, Ed25519PublicKey] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: str) -> BoxKey:
        return cls(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))

    @property
    def public(self) -> str:
        return self.private.public_key().public_bytes_raw().hex().upper()

    @property
    def key_id(self) -> str:
        return key_id(self.private.public_key().public_bytes_raw())

    def resolve_public_key(self, key_id: str) -> Any:
        return self.server_keys.get(key_id)

    def nonce(self) -> str:
        count = next(self.counter)
        return (
            f"{count}-{base64.urlsafe_b64encode(hashlib.sha256(str(count).encode()).digest()[:15]).decode()}"
        )

    def sign(
        self,
        request: httpx.Request,
        number: str,
        now: datetime,
        *,
        nonce: str | None = None,
        leave_out: Sequence[str] = (),
        covered: Sequence[str] = (),
        **other: Any,
    ) -> httpx.Request:
        """Puts the fields of a signature into a request.

        Args:
            leave_out: components that are not covered. ``covered``: in place of the usual ones. ``other``: parameters of the library's ``sign``.
        """
        body = request.read()
        request.headers["STB-Number"] = number
        request.headers["Content-Digest"] = (
            f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        )
        covered = covered or [*COVERED, *(["idempotency-key"] if request.method == "POST" else [])]
        seen = _Seen(request.method, str(request.url), dict(request.headers))
        given = {
            "created": now,
            "expires": now + WINDOW,
            "tag": "stb-request",
            "label": "stb",
            "key_id": self.key_id,
        }
        prepared = HTTPMessageSigner(signature_algorithm=algorithms.ED25519).prepare(
            seen,
            covered_component_ids=[name for name in covered if name not in leave_out],
            nonce=nonce or self.nonce(),
            use_existing_digest=True,
            **{**given, **other},
        )
        value = base64.b64encode(self.private.sign(prepared.signature_base)).decode()
        request.headers["Signature-Input"] = f"{prepared.label}={prepared.signature_params}"
        request.headers["Signature"] = f"{prepared.label}=:{value}:"
        return request

    def trust(self, keys: Sequence[Mapping[str, str]]) -> None:
        """Believes answers that these keys of the platform's have signed."""
        self.server_keys = {
            one["key_id"]: Ed25519PublicKey.from_public_bytes(bytes.fromhex(one["public_key"]))
            for one in keys
        }

    def check(self, answer: httpx.Response) -> None:
        """Raises InvalidSignature unless the platform has signed this answer to its request."""
        request = answer.request
        seen = _Seen(request.method, str(request.url), dict(request.headers))
        verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=self)
        # The simulated clock is not the library's.
        verifier.validate_created_and_expires = lambda sig_input, max_age=None: None  # type: ignore[method-assign]
        verifier.verify(
            _Answer(answer.status_code, dict(answer.headers), seen),
            max_age=None,
            expect_tag="stb-answer",
            expect_label="tsp",
            require_components=("@status", "content-digest", '"signature";req;key="stb"'),
            body=answer.content,
        )


class RemoteBox:
    """An enrolled box at a server in another process."""

    def __init__(self, url: str, number: str, believed: ssl.SSLContext | bool = True) -> None:
        self.number = number
        self.key = BoxKey(Ed25519PrivateKey.generate())
        self._url = url
        self._client = httpx.Client(trust_env=False, verify=believed)

    def at(self, url: str) -> RemoteBox:
        """The same box, at a server that was started anew elsewhere."""
        self._url = url
        return self

    def on_sent(self, tell: Callable[[], None]) -> None:
        """Tells whenever a request is about to leave."""
        self._client.event_hooks = {"request": [lambda _: tell()]}

    def enrol(self) -> None:
        papers = {"smart_card_number": SMART_CARDS[self.number], "activation_code": ACTIVATION}
        told = self.post("/enrolments", box_number=self.number, public_key=self.key.public, **papers)
        self.key.trust(told["server_keys"])

    def send(
        self, method: str, path: str, body: Any = None, *, key: str = "", timeout: float = 10, **query: Any
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key or secrets.token_urlsafe(12)} if method == "POST" else {}
        request = self._client.build_request(
            method, f"{self._url}/stb/v1{path}", json=body, headers=headers, params=query, timeout=timeout
        )
        answer = self._client.send(self.key.sign(request, self.number, datetime.now(UTC)))
        if self.key.server_keys:
            self.key.check(answer)
        return answer

    def get(self, path: str, **query: Any) -> Any:
        return self.send("GET", path, timeout=30, **query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.send("POST", path, body)
        assert answer.is_success, answer.text
        return answer.json()
