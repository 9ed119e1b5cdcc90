"""The box's side of the signatures: what it sends, which answers it believes, and what becomes of the money meanwhile."""

from __future__ import annotations

import itertools
import json
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests import PreparedRequest
from requests.exceptions import SSLError

from cardreader.secret import SecretText
from server_stub.foundation import signatures
from server_stub.foundation.signatures import AnswerKey, Message
from stb_app.tsp import tls
from stb_app.tsp.client import TspClient
from stb_app.tsp.problem import UNANSWERED, Problem
from stb_app.tsp.signing import Identity, rotation_proof

URL = "http://tsp.example:8780"
NOW = 1_782_000_000.0
SERVER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
BOX = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
Answer = tuple[int, dict[str, str], str]


def pinned(*keys: Ed25519PrivateKey) -> dict[str, bytes]:
    public = [key.public_key().public_bytes_raw() for key in keys]
    return {signatures.key_id(one): one for one in public}


class Tsp:
    """A platform that signs with some keys, or not, or wrongly; it checks the signature of every request."""

    def __init__(self) -> None:
        self.keys = [SERVER]
        self.told: dict[str, tuple[int, Any]] = {}
        self.seen: list[signatures.Signed] = []
        self.clock = NOW
        self.change: Callable[[Answer], Answer] = lambda answer: answer

    def __call__(self, request: PreparedRequest) -> Answer:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        path, _, query = request.path_url.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        message = Message(str(request.method), "tsp.example:8780", path, query, headers)
        signed = signatures.read(message, body)
        signatures.verify(signed, BOX.public_key())
        self.seen.append(signed)
        status, value = self.told.get(path.removeprefix("/stb/v1"), (404, {"code": "not-found"}))
        if abs(signed.created - self.clock) > 60:
            time = datetime.fromtimestamp(self.clock).astimezone().isoformat()
            status, value = 401, {"code": "clock-skew", "retryable": True, "facts": {"time": time}}
        text = json.dumps(value)
        keys = [AnswerKey.of(key) for key in (self.keys if path.endswith("/server-keys") else self.keys[:1])]
        member = signatures.member(headers["signature"])
        assert member is not None
        fields = signatures.sign_answer(keys, status, text.encode(), member, int(self.clock))
        return self.change((status, {name.decode(): field.decode() for name, field in fields}, text))


@pytest.fixture
def tsp() -> Iterator[Tsp]:
    one = Tsp()
    one.told["/services"] = (200, {"services": []})
    one.told["/payments/p/debit"] = (409, {"code": "mac2-refused", "money": "unknown"})
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST"):
            mock.add_callback(method, re.compile(f"{re.escape(URL)}/stb/v1/.*"), callback=one)
        yield one


@pytest.fixture
def client() -> TspClient:
    counter = itertools.count(1)
    identity = Identity("85312047", BOX, lambda: next(counter), lambda size: bytes(size), pinned(SERVER))
    return TspClient(URL, identity, now=lambda: NOW)


def refused(ask: Callable[[], Any]) -> Problem:
    with pytest.raises(Problem) as problem:
        ask()
    return problem.value


def debit(client: TspClient) -> Problem:
    return refused(lambda: client.debited("p", bytes(4), bytes(4), None, "key-0001"))


def test_what_is_sent_is_signed_each_time_anew(tsp: Tsp, client: TspClient) -> None:
    assert client.services() == client.services() == ()
    first, second = tsp.seen
    assert first.nonce.startswith("1-")
    assert second.nonce.startswith("2-")
    assert (first.created, first.expires) == (int(NOW), int(NOW) + 60)
    assert "85312047" in first.base.decode()
    assert "hidden" not in repr(client.identity)
    assert BOX.private_bytes_raw().hex() not in repr(client.identity)


def test_a_refusal_that_is_signed_is_believed(tsp: Tsp, client: TspClient) -> None:
    problem = debit(client)
    assert (problem.code, problem.money, problem.unanswered) == ("mac2-refused", "unknown", False)


def unsigned(answer: Answer) -> Answer:
    return answer[0], {}, answer[2]


def other_body(answer: Answer) -> Answer:
    return answer[0], answer[1], answer[2].replace("unknown", "not-taken") + " "


def cut(answer: Answer) -> Answer:
    return answer[0], answer[1], answer[2][:-1]


def other_status(answer: Answer) -> Answer:
    return 200, answer[1], answer[2]


def other_signature(answer: Answer) -> Answer:
    return answer[0], {**answer[1], "signature": f"tsp=:{'A' * 86}==:"}, answer[2]


def nonsense(answer: Answer) -> Answer:
    return answer[0], {**answer[1], "signature-input": "((("}, answer[2]


@pytest.mark.parametrize("change", [unsigned, other_body, cut, other_status, other_signature, nonsense])
def test_an_answer_that_cannot_be_believed_says_nothing_of_the_money(
    tsp: Tsp, client: TspClient, change: Callable[[Answer], Answer]
) -> None:
    tsp.change = change
    problem = debit(client)
    assert (problem.code, problem.money) == ("tsp-not-trusted", "unknown")
    assert (problem.unanswered, problem.retryable) == (True, True)


def test_an_answer_to_another_request_is_not_believed(tsp: Tsp, client: TspClient) -> None:
    kept: list[Answer] = []
    tsp.change = lambda answer: kept.append(answer) or answer
    client.services()
    tsp.change = lambda answer: kept[0]
    assert refused(client.services).code == "tsp-not-trusted"


def test_a_gateway_that_cannot_reach_the_tsp_is_no_answer(tsp: Tsp, client: TspClient) -> None:
    tsp.change = lambda answer: (502, {}, "<html>Bad gateway</html>")
    problem = debit(client)
    assert (problem.code, problem.money, problem.unanswered) == ("tsp-unreachable", "unknown", True)


def test_the_first_answer_after_a_silence_is_told_whoever_asked(tsp: Tsp, client: TspClient) -> None:
    told: list[str] = []
    client.came_back = lambda: told.append("back")
    client.services()
    assert told == []
    tsp.change = lambda answer: (502, {}, "<html>Bad gateway</html>")
    refused(client.services)
    debit(client)
    assert told == []
    tsp.change = lambda answer: answer
    # A refusal is an answer, too.
    assert refused(lambda: client.under("0" * 32).payment("p")).code == "not-found"
    client.services()
    assert told == ["back"]


def test_another_platform_is_not_believed(tsp: Tsp, client: TspClient) -> None:
    tsp.keys = [NEXT]
    assert refused(client.services).code == "tsp-not-trusted"


def test_a_new_key_of_the_platform_is_learnt_from_the_one_before(tsp: Tsp, client: TspClient) -> None:
    tsp.keys = [NEXT, SERVER]
    keys = [{"key_id": name, "public_key": key.hex().upper()} for name, key in pinned(NEXT, SERVER).items()]
    tsp.told["/server-keys"] = (200, {"server_keys": keys})
    kept: list[Identity] = []
    client.keep_server_keys = kept.append
    assert client.services() == ()
    assert client.services() == ()
    assert [one.server_keys for one in kept] == [pinned(NEXT, SERVER)]
    assert len(tsp.seen) == 3


def test_the_platform_says_what_time_it_is_and_the_box_signs_by_that(tsp: Tsp, client: TspClient) -> None:
    tsp.clock = NOW + 86_400
    assert client.services() == ()
    assert client.ahead_s == 86_400
    client.services()
    assert [one.created - int(NOW) for one in tsp.seen] == [0, 86_400, 86_400]


def test_a_call_that_was_doubled_on_the_way_is_signed_anew_under_its_key(tsp: Tsp, client: TspClient) -> None:
    replayed = (401, {"code": "signature-replayed"})
    accepted = tsp.told["/payments/p/debit"]
    tsp.told["/payments/p/debit"] = replayed

    def once(answer: Answer) -> Answer:
        tsp.told["/payments/p/debit"] = accepted
        return answer

    tsp.change = once
    assert debit(client).code == "mac2-refused"
    first, second = tsp.seen
    assert (first.nonce.startswith("1-"), second.nonce.startswith("2-")) == (True, True)
    assert all('"idempotency-key": key-0001' in one.base.decode() for one in tsp.seen)
    tsp.told["/payments/p/debit"], tsp.change = replayed, lambda answer: answer
    assert debit(client).code == "signature-replayed"


def test_a_clock_that_cannot_be_set_right_is_told(tsp: Tsp, client: TspClient) -> None:
    def wrong(answer: Answer) -> Answer:
        tsp.clock += 1000
        return answer

    tsp.clock, tsp.change = NOW + 1000, wrong
    problem = refused(client.services)
    assert (problem.code, problem.unanswered) == ("clock-skew", False)


def test_a_box_that_cannot_count_sends_nothing(tsp: Tsp, client: TspClient) -> None:
    def full() -> int:
        raise OSError("no space left")

    client.identity = Identity("85312047", BOX, full, lambda size: bytes(size), pinned(SERVER))
    problem = debit(client)
    assert (problem.code, problem.money, problem.retryable) == ("box-storage", "unknown", True)
    assert tsp.seen == []


def test_enrolling_pins_the_platform_s_keys_and_rotating_keeps_them(tsp: Tsp, client: TspClient) -> None:
    subscriber = {"name": {"zh": "张女士", "en": "Ms Zhang"}, "number": "8531 2047"}
    keys = [{"key_id": name, "public_key": key.hex()} for name, key in pinned(SERVER).items()]
    tsp.told["/enrolments"] = (201, {"subscriber": subscriber, "server_keys": keys})
    identity, client.identity = client.identity, None
    assert identity is not None
    client.enrol(identity.believing({}), "8310220477550019", SecretText("246810"), "key-0001")
    assert client.identity is not None
    assert client.identity.server_keys == pinned(SERVER)
    tsp.told["/keys"] = (200, {"key_id": "x"})
    new = Identity("85312047", NEXT, identity.count, identity.random, {})
    client.rotate(new, "key-0002")
    assert (client.identity.key_id, client.identity.server_keys) == (new.key_id, pinned(SERVER))
    tsp.told["/enrolments"] = (201, {"subscriber": subscriber, "server_keys": []})
    assert refused(lambda: client.enrol(identity, "8", SecretText("2"), "key-0003")).code == "tsp-answer-bad"
    # RFC 8032 signatures are the same every time.
    assert rotation_proof("old", NEXT) == rotation_proof("old", NEXT)


@pytest.mark.parametrize(
    ("verify_code", "code"),
    [
        (10, "tls-expired"),
        (9, "tls-not-yet-valid"),
        (20, "tls-authority-unknown"),
        (62, "tls-wrong-name"),
        (7, "tls-failed"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_found_among_the_causes(verify_code: int, code: str) -> None:
    inner = ssl.SSLCertVerificationError("no")
    inner.verify_code = verify_code
    assert tls.code_of(SSLError(RuntimeError("outer", inner))) == code
    assert code in UNANSWERED


def test_other_failures_are_no_matter_of_certificates() -> None:
    assert tls.code_of(requests.ConnectionError("refused")) is None
    assert tls.code_of(SSLError(ssl.SSLError("handshake"))) == "tls-failed"
    with responses.RequestsMock() as mock:
        mock.get(f"{URL}/stb/v1/hello", body=SSLError(ssl.SSLError("handshake")))
        assert refused(TspClient(URL).hello).code == "tls-failed"


def test_the_authority_is_the_one_that_was_named(tmp_path: Path) -> None:
    client = TspClient(URL, authority=tmp_path / "ca.pem")
    with responses.RequestsMock() as mock:
        mock.get(f"{URL}/stb/v1/hello", status=500)
        refused(client.hello)
        assert mock.calls[0].request.req_kwargs["verify"] == str(tmp_path / "ca.pem")  # type: ignore[attr-defined]


def test_a_box_without_a_key_is_told_that_it_is_not_enrolled_or_why() -> None:
    client = TspClient(URL)
    with responses.RequestsMock() as mock:
        mock.get(f"{URL}/stb/v1/home", status=401, json={"code": "signature-missing"})
        assert refused(client.home).code == "not-enrolled"
        client.not_enrolled_because = Problem("box-suspended")
        assert refused(client.home).code == "box-suspended"


def test_the_card_key_is_the_present_one(tsp: Tsp, client: TspClient) -> None:
    keys = [rsa.generate_private_key(65537, 2048).public_key() for _ in range(2)]
    told = [
        {
            "key_id": name,
            "public_key": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
        }
        for name, key in zip(("new", "old"), keys, strict=True)
    ]
    tsp.told["/card-keys"] = (200, {"card_keys": told})
    key = client.card_key()
    assert (key.key_id, key.public_key.public_numbers()) == ("new", keys[0].public_numbers())
    tsp.told["/card-keys"] = (200, {"card_keys": []})
    assert refused(client.card_key).code == "tsp-answer-bad"
