"""Signatures: the vectors of RFC 9421, RFC 7638 and RFC 9530, and our reader against the library's."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation import signatures
from server_stub.foundation.signatures import AnswerKey, Message, SignatureMissing, SignatureRefused
from tests.server_stub.signing import BoxKey

# RFC 9421 appendix B.1.4, test-key-ed25519
PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""
# RFC 9421 appendix B.2.6
BASE = b'''"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"'''
SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
NOW = datetime(2026, 6, 21, 2, tzinfo=UTC)
KEY = load_pem_private_key(PRIVATE, None)


def test_the_vector_of_rfc_9421_b_2_6() -> None:
    assert isinstance(KEY, Ed25519PrivateKey)
    public = load_pem_public_key(PUBLIC)
    assert KEY.public_key() == public
    assert base64.b64encode(KEY.sign(BASE)).decode() == SIGNATURE
    one = signatures.Signed("", "", 0, 0, base64.b64decode(SIGNATURE), BASE)
    signatures.verify(one, KEY.public_key())
    with pytest.raises(SignatureRefused):
        signatures.verify(replace(one, base=BASE + b" "), KEY.public_key())


def test_the_base_of_that_vector_is_made_from_its_message() -> None:
    headers = {
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-length": "18",
        "signature-input": "stb=" + BASE.decode().rpartition('"@signature-params": ')[2],
        "signature": f"stb=:{SIGNATURE}:",
    }
    message = Message("POST", "example.com", "/foo", "param=Value&Pet=dog", headers)
    given_, ours = (
        signatures._INPUT.fullmatch(headers["signature-input"]),
        signatures._SIGNATURE.fullmatch(headers["signature"]),
    )
    assert given_ is not None
    assert ours is not None
    assert signatures._quick(message, given_, ours)[2:] == (base64.b64decode(SIGNATURE), BASE)


def message_of(
    body: bytes = b"{}", method: str = "POST", path: str = "/stb/v1/orders", query: str = ""
) -> tuple[Message, BoxKey]:
    """A message that the library has signed."""
    import httpx

    key = BoxKey(KEY)  # type: ignore[arg-type]
    url = f"http://tsp.example{path}{'?' + query if query else ''}"
    request = httpx.Request(method, url, content=body, headers={"Idempotency-Key": "key-0001"})
    key.sign(request, "85312047", NOW)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Message(
        method, "tsp.example", request.url.raw_path.decode().partition("?")[0], query, headers
    ), key


@given(
    st.binary(max_size=200),
    st.sampled_from(["GET", "POST"]),
    st.text("abc-_.~%41/", max_size=20).map(lambda text: "/stb/" + text.replace("%", "%25")),
    st.text("abc=&%20+", max_size=20).map(lambda text: text.replace("%", "%25")),
)
def test_what_the_library_signs_is_read_and_verified_both_ways(
    body: bytes, method: str, path: str, query: str
) -> None:
    message, key = message_of(body, method, path, query)
    quick = signatures.read(message, body)
    signatures.verify(quick, key.private.public_key())
    assert (quick.key_id, quick.created) == (key.key_id, int(NOW.timestamp()))
    components, parameters, value, base = signatures._slow(message)
    assert (base, value) == (quick.base, quick.signature)
    assert components >= signatures.REQUIRED
    assert parameters["nonce"] == quick.nonce


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text.replace('" "', '"  "'),
        lambda text: f'other=("@method");created=1;keyid="x", {text}',
        lambda text: text.replace('"@method"', '"@method" "@target-uri"'),
    ],
    ids=["spaces", "two signatures", "more components"],
)
def test_other_spellings_that_the_standard_allows_go_through_the_library(spelling: object) -> None:
    message, key = message_of()
    assert callable(spelling)
    text = spelling(message.headers["signature-input"])
    headers = {**message.headers, "signature-input": text}
    if text.startswith("other"):
        headers["signature"] = f"other=:AAAA:, {headers['signature']}"
    read = signatures.read(replace(message, headers=headers), b"{}")
    if "@target-uri" not in text:
        signatures.verify(read, key.private.public_key())
        return
    # Read as the standard wants it; but nobody has signed this with this key.
    assert b'"@target-uri": http://tsp.example/stb/v1/orders\n' in read.base
    with pytest.raises(SignatureRefused):
        signatures.verify(read, key.private.public_key())


@given(st.text(max_size=80), st.text(max_size=80))
def test_nonsense_is_refused_and_nothing_else(given_: str, signature: str) -> None:
    message, _ = message_of()
    headers = {**message.headers, "signature-input": given_, "signature": signature}
    with pytest.raises(SignatureRefused):
        signatures.read(replace(message, headers=headers), b"{}")


@pytest.mark.parametrize(
    "parameters",
    [
        'stb=("@method" "@method");created=1;keyid="x"',
        'stb=("@method");created=1;created=2;keyid="x"',
        'stb=("not-there");created=1;keyid="x"',
    ],
)
def test_what_is_named_twice_or_not_there_is_refused(parameters: str) -> None:
    message, _ = message_of()
    with pytest.raises(SignatureRefused):
        signatures.read(replace(message, headers={**message.headers, "signature-input": parameters}), b"{}")


def test_no_signature_is_a_case_of_its_own() -> None:
    message, _ = message_of()
    for name in ("signature", "signature-input"):
        headers = {key: value for key, value in message.headers.items() if key != name}
        with pytest.raises(SignatureMissing):
            signatures.read(replace(message, headers=headers), b"{}")


def test_our_member_is_found_among_others() -> None:
    assert signatures.member("a=:AAAA:, stb=:BBBB:") == ":BBBB:"
    assert signatures.member("stb=:BBBB:") == ":BBBB:"
    assert signatures.member("astb=:BBBB:") is None
    assert signatures.member("") is None


def test_an_answer_s_fields() -> None:
    key = AnswerKey.of(KEY)  # type: ignore[arg-type]
    fields = dict(signatures.sign_answer([key, key], 200, b"{}", ":AAAA:", 7))
    assert fields[b"content-digest"] == b"sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"
    assert fields[b"signature-input"].count(b'("@status" "content-digest" "signature";req;key="stb")') == 2
    assert b"tsp1=" in fields[b"signature"]


def test_the_example_of_the_interface_s_description_is_right() -> None:
    page = (Path(__file__).parents[3] / "docs" / "tsp-api.md").read_text("utf-8")
    example = page[page.index("An example, with `test-key-ed25519`") : page.index("### Limits")]
    base, request, answer = (block.strip("\n") for block in example.split("```")[1::2])
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in request.splitlines())}
    body = b'{"service":"sports","term":"monthly"}'
    message = Message("POST", "tsp.example", "/stb/v1/orders", "", headers)
    read = signatures.read(message, body)
    assert read.base.decode() == base
    assert isinstance(KEY, Ed25519PrivateKey)
    assert KEY.sign(read.base) == read.signature
    assert read.key_id == signatures.key_id(KEY.public_key().public_bytes_raw())
    member = signatures.member(headers["signature"])
    assert member is not None
    fields = signatures.sign_answer([AnswerKey.of(KEY)], 404, b"{}", member, read.created)
    assert answer.lower() == "\n".join(f"{name.decode()}: {value.decode()}" for name, value in fields).lower()
