"""Signing what the box sends and checking what it hears: RFC 9421 HTTP Message Signatures with Ed25519.

The profile is that of docs/tsp-api.md, Signatures. Imported with the first request only: the library takes its time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

COVERED = ("@method", "@authority", "@path", "@query", "content-digest", "stb-number")
ANSWER_COVERED = ("@status", "content-digest", '"signature";req;key="stb"')
WINDOW = timedelta(seconds=60)
_LABELS = re.compile(r'(tsp[0-9]*)=\([^)]*\)[^,]*;keyid="([A-Za-z0-9_-]{43})"')


class NotTrusted(Exception):
    """An answer is not signed by the platform that the box was enrolled with; nothing in it may be believed."""


class UnknownKey(NotTrusted):
    """It is signed with a key that the box does not know (yet)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a box signs with, and whose answers it believes.

    Attributes:
        count: the next number of this key, greater than every one before, also before a power cut. Raises OSError.
        random: bytes for nonces.
        server_keys: public key (32 bytes) by key id. Empty until the box is enrolled: then answers are taken as they come.
    """

    box_number: str
    private: Ed25519PrivateKey
    count: Callable[[], int]
    random: Callable[[int], bytes]
    server_keys: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Identity({self.box_number!r}, {self.key_id})"

    @property
    def public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        return key_id(self.public_key)

    def believing(self, server_keys: Mapping[str, bytes]) -> Identity:
        """The same, with these keys of the platform's."""
        return replace(self, server_keys=dict(server_keys))


def key_id(public_key: bytes) -> str:
    """A key's name: its JWK thumbprint (RFC 7638, RFC 8037 appendix A.3).

    >>> key_id(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'
    """
    members = json.dumps(
        {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public_key)}, separators=(",", ":"), sort_keys=True
    )
    return _base64url(hashlib.sha256(members.encode("ascii")).digest())


def rotation_proof(old_key: str, new: Ed25519PrivateKey) -> str:
    """What shows that the box has the key it goes over to, in upper-case hex."""
    named = key_id(new.public_key().public_bytes_raw())
    return new.sign(f"stb-pay key rotation\n{old_key}\n{named}\n".encode("ascii")).hex().upper()


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey | None:
        known = self._identity.server_keys.get(key_id)
        return None if known is None else Ed25519PublicKey.from_public_bytes(known)


class _Verifier(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        """An answer is fresh because it is bound to a request that was made just now; the box's clock may be wrong."""


def sign(request: Any, identity: Identity, now: float) -> None:
    """Puts Content-Digest, STB-Number, Signature-Input and Signature into a prepared request.

    Args:
        request: of the requests library; its body is bytes or None.
        now: seconds since 1970 by the platform's clock, as far as the box knows it.

    Raises:
        OSError: the counter cannot be kept; nothing may be signed.
    """
    body = request.body or b""
    body = body.encode("utf-8") if isinstance(body, str) else body
    request.headers["STB-Number"] = identity.box_number
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    request.headers["Content-Digest"] = f"sha-256=:{digest}:"
    created = datetime.fromtimestamp(int(now), UTC)
    covered = (*COVERED, "idempotency-key") if request.method == "POST" else COVERED
    if "Correlation-Id" in request.headers:
        covered = (*covered, "correlation-id")
    # Not the library's own ``sign``: it would build everything once more, for who signs elsewhere and takes his time.
    prepared = HTTPMessageSigner(signature_algorithm=algorithms.ED25519).prepare(
        request,
        key_id=identity.key_id,
        created=created,
        expires=created + WINDOW,
        nonce=f"{identity.count()}-{_base64url(identity.random(16))}",
        tag="stb-request",
        label="stb",
        covered_component_ids=covered,
        use_existing_digest=True,
    )
    value = base64.b64encode(identity.private.sign(prepared.signature_base)).decode("ascii")
    request.headers["Signature-Input"] = f"{prepared.label}={prepared.signature_params}"
    request.headers["Signature"] = f"{prepared.label}=:{value}:"


def check(answer: Any, identity: Identity) -> None:
    """Raises NotTrusted unless the platform has signed this answer, to this very request.

    Args:
        answer: of the requests library, with its request.
    """
    labels = dict(_LABELS.findall(answer.headers.get("Signature-Input", "")))
    known = [label for label, key in labels.items() if key in identity.server_keys]
    if not known:
        raise UnknownKey("no known key") if labels else NotTrusted("not signed")
    verifier = _Verifier(signature_algorithm=algorithms.ED25519, key_resolver=_Keys(identity))
    try:
        verifier.verify(
            answer,
            max_age=None,
            expect_tag="stb-answer",
            expect_label=known[0],
            require_components=ANSWER_COVERED,
            body=answer.content,
        )
    except (InvalidSignature, HTTPMessageSignaturesException) as error:
        raise NotTrusted(str(error)) from error


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode("ascii").rstrip("=")
