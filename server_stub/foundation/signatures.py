"""Signed requests and answers: our profile of RFC 9421 HTTP Message Signatures, with RFC 9530 digests.

SignatureRefused     the text says what is wrong, for the log; whoever asked is told a code
└── SignatureMissing   there is none with our label

What every client here sends is the one serialisation that RFC 9651 calls canonical, and is read by two regular
expressions: a general parser costs more than the signature's own arithmetic. Whatever else the standard allows (other
orders of whitespace, further signatures, further components) goes through the library.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

REQUEST_LABEL, REQUEST_TAG = "stb", "stb-request"
ANSWER_LABEL, ANSWER_TAG = "tsp", "stb-answer"
ALGORITHM = "ed25519"
REQUIRED = frozenset({"@method", "@authority", "@path", "@query", "content-digest", "stb-number"})
CHANGING = frozenset({"idempotency-key"})
"""Covered besides, wherever the method is POST."""
IF_THERE = frozenset({"correlation-id"})
"""Covered besides, wherever it is sent: what stands in our books under a box's name comes from that box."""
ANSWER_COMPONENTS = f'"@status" "content-digest" "signature";req;key="{REQUEST_LABEL}"'

_INPUT = re.compile(
    r'stb=(\(((?:"(?:@method|@authority|@path|@query|[a-z-]+)" ?)+)\)((?:;[a-z]+=(?:[0-9]{1,15}|"[ !#-\[\]-~]*"))+))'
)
_PARAMETER = re.compile(r';([a-z]+)=(?:([0-9]+)|"([^"]*)")')
_SIGNATURE = re.compile(r"stb=(:([A-Za-z0-9+/]{86}==):)")
_OUR_MEMBER = re.compile(r"(?:^|,)[ \t]*stb=(:[A-Za-z0-9+/=]*:)")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


class SignatureRefused(Exception):
    """A signature is not as the profile wants it."""


class SignatureMissing(SignatureRefused):
    """There is no signature with our label."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request as its signature sees it.

    Attributes:
        authority: the Host field, lower case, without the scheme's usual port.
        path: as it came, percent-encoded. ``query``: without its question mark.
        headers: by lower-case name; several lines of one name joined by a comma and a space.
        scheme: ``http`` or ``https``; only the library needs it.
    """

    method: str
    authority: str
    path: str
    query: str
    headers: Mapping[str, str]
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that has been read, and nothing yet believed of it.

    Attributes:
        base: what was signed (RFC 9421, 2.5).
        created, expires: seconds since 1970.
    """

    key_id: str
    nonce: str
    created: int
    expires: int
    signature: bytes
    base: bytes


def key_id(public_key: bytes) -> str:
    """A key's name: its JWK thumbprint (RFC 7638, RFC 8037 appendix A.3), so that a name stands for one key for ever.

    Args:
        public_key: 32 bytes.

    >>> key_id(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'
    """
    x = base64.urlsafe_b64encode(public_key).decode("ascii").rstrip("=")
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"), sort_keys=True)
    thumbprint = hashlib.sha256(members.encode("ascii")).digest()
    return base64.urlsafe_b64encode(thumbprint).decode("ascii").rstrip("=")


def content_digest(body: bytes) -> str:
    """The Content-Digest field (RFC 9530) of a body.

    >>> content_digest(b'{"hello": "world"}')
    'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:'
    """
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def read(message: Message, body: bytes) -> Signed:
    """Reads a request's signature and checks everything about it that needs no key, no clock and no memory.

    Raises:
        SignatureMissing: no signature of ours.
        SignatureRefused: a component or parameter is missing, or is another; the body is not the digest's.
    """
    given, signature = message.headers.get("signature-input"), message.headers.get("signature")
    if given is None or signature is None:
        raise SignatureMissing("no Signature-Input and Signature")
    right, ours = _INPUT.fullmatch(given), _SIGNATURE.fullmatch(signature)
    signed = _quick(message, right, ours) if right is not None and ours is not None else _slow(message)
    components, parameters, value, base = signed
    wanted = REQUIRED | CHANGING if message.method == "POST" else REQUIRED
    wanted |= IF_THERE & message.headers.keys()
    if not wanted <= components:
        raise SignatureRefused(f"not covered: {', '.join(sorted(wanted - components))}")
    if parameters.get("alg") != ALGORITHM or parameters.get("tag") != REQUEST_TAG:
        raise SignatureRefused(f"alg must be {ALGORITHM}, tag must be {REQUEST_TAG}")
    _check_digest(message.headers.get("content-digest", ""), body)
    key, nonce = parameters.get("keyid"), parameters.get("nonce")
    created, expires = parameters.get("created"), parameters.get("expires")
    if not (isinstance(key, str) and isinstance(nonce, str)):
        raise SignatureRefused("keyid or nonce is missing")
    if not (isinstance(created, int) and isinstance(expires, int)):
        raise SignatureRefused("created or expires is missing")
    return Signed(key, nonce, created, expires, value, base)


Parts = tuple[frozenset[str], Mapping[str, int | str], bytes, bytes]
"""Covered components, parameters, signature, signature base."""


def _quick(message: Message, given: re.Match[str], signature: re.Match[str]) -> Parts:
    names = given[2].replace('"', "").split()
    components = frozenset(names)
    if len(components) != len(names):
        raise SignatureRefused("a component is named twice")
    parameters: dict[str, int | str] = {}
    for name, number, text in _PARAMETER.findall(given[3]):
        if name in parameters:
            raise SignatureRefused(f"{name} is given twice")
        parameters[name] = int(number) if number else text
    lines = [f'"{name}": {_value(message, name)}' for name in names]
    lines.append(f'"@signature-params": {given[1]}')
    text = "\n".join(lines)
    if not text.isascii():
        raise SignatureRefused("a covered field is not ASCII")
    return components, parameters, base64.b64decode(signature[2]), text.encode("ascii")


def _value(message: Message, name: str) -> str:
    match name:
        case "@method":
            return message.method
        case "@authority":
            return message.authority
        case "@path":
            return message.path
        case "@query":
            return f"?{message.query}"
    value = message.headers.get(name)
    if value is None:
        raise SignatureRefused(f"covered but not there: {name}")
    if not value.replace("\t", " ").isprintable():
        raise SignatureRefused(f"{name} has control characters")
    return value


class _Seen:
    """A request as the library wants to see it."""

    def __init__(self, message: Message) -> None:
        self.method = message.method
        query = f"?{message.query}" if message.query else ""
        self.url = f"{message.scheme}://{message.authority}{message.path}{query}"
        self.headers = dict(message.headers)


def _slow(message: Message) -> Parts:
    # A tenth of a second to import, and most servers never meet a request that needs it.
    from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
    from http_message_signatures.exceptions import HTTPMessageSignaturesException

    found: list[bytes] = []

    class Recorder(algorithms.ED25519):
        """Keeps the signature base: the key is looked up, and asked, by whoever called."""

        def __init__(self, public_key: object = None) -> None:
            """Takes no key."""

        def verify(self, signature: bytes, message: bytes) -> None:
            found[:] = [signature, message]

    class AnyKey(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> bytes:
            return b"anybody's"

    class Timeless(HTTPMessageVerifier):
        def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
            """Times are judged by the server's own clock, which is handed in."""

    verifier = Timeless(signature_algorithm=Recorder, key_resolver=AnyKey())
    try:
        (result,) = verifier.verify(
            _Seen(message), max_age=None, expect_tag=REQUEST_TAG, expect_label=REQUEST_LABEL
        )
    except (HTTPMessageSignaturesException, ValueError) as error:
        raise SignatureRefused(str(error)) from error
    names = frozenset(name.strip('"') for name in result.covered_components)
    return names, result.parameters, found[0], found[1]


def _check_digest(field: str, body: bytes) -> None:
    found = _DIGEST.search(field)
    if found is None:
        raise SignatureRefused("Content-Digest has no sha-256")
    try:
        right = base64.b64decode(found[1], validate=True) == hashlib.sha256(body).digest()
    except binascii.Error:
        right = False
    if not right:
        raise SignatureRefused("the body is not the one of Content-Digest")


def verify(signed: Signed, public_key: Ed25519PublicKey) -> None:
    """Raises SignatureRefused unless the key made the signature."""
    try:
        public_key.verify(signed.signature, signed.base)
    except InvalidSignature:
        raise SignatureRefused("the signature is not this key's") from None


def member(signature_field: str) -> str | None:
    """Our member of a Signature field, as its answer's signature covers it; None without one."""
    found = _OUR_MEMBER.search(signature_field)
    return None if found is None else found[1]


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """A key that answers are signed with."""

    key_id: str
    sign: Callable[[bytes], bytes]

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> AnswerKey:
        return cls(key_id(private.public_key().public_bytes_raw()), private.sign)


def sign_answer(
    keys: Sequence[AnswerKey], status: int, body: bytes, request_signature: str, created: int
) -> list[tuple[bytes, bytes]]:
    """The fields that make an answer one to this request and no other.

    Args:
        keys: the first signs with our label, further ones with that label and a number.
        request_signature: as ``member`` returns it.
        created: seconds since 1970.
    """
    digest = content_digest(body)
    inputs, signatures = [], []
    for place, key in enumerate(keys):
        label = f"{ANSWER_LABEL}{place or ''}"
        parameters = f'({ANSWER_COMPONENTS});created={created};keyid="{key.key_id}";alg="{ALGORITHM}";tag="{ANSWER_TAG}"'
        base = (
            f'"@status": {status}\n"content-digest": {digest}\n'
            f'"signature";req;key="{REQUEST_LABEL}": {request_signature}\n"@signature-params": {parameters}'
        )
        inputs.append(f"{label}={parameters}")
        value = base64.b64encode(key.sign(base.encode("ascii"))).decode("ascii")
        signatures.append(f"{label}=:{value}:")
    return [
        (b"content-digest", digest.encode("ascii")),
        (b"signature-input", ", ".join(inputs).encode("ascii")),
        (b"signature", ", ".join(signatures).encode("ascii")),
    ]
