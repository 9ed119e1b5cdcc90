"""ONL-11: signatures. Forged, replayed, cut, stale and foreign requests, and answers that are signed too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_message_signatures import InvalidSignature

from server_stub.foundation.database import NoConnection
from server_stub.tsp import server_keys, tables
from tests.server_stub.signing import COVERED, BoxKey
from tests.server_stub.system import Box, System, code, running, sent, signed

pytestmark = pytest.mark.anyio
ZEROS = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"


def other_method(request: httpx.Request) -> None:
    request.method = "PUT"


def other_path(request: httpx.Request) -> None:
    request.url = request.url.copy_with(path="/stb/v1/inquiries")


def other_query(request: httpx.Request) -> None:
    request.url = request.url.copy_with(query=b"a=1")


def other_authority(request: httpx.Request) -> None:
    request.headers["Host"] = "elsewhere"


def other_box(request: httpx.Request) -> None:
    request.headers["STB-Number"] = "85312047"


def other_idempotency(request: httpx.Request) -> None:
    request.headers["Idempotency-Key"] = "another-key-1"


def cut(request: httpx.Request) -> None:
    request.stream = httpx.ByteStream(request.content[:-1])
    request.headers["Content-Length"] = str(len(request.content) - 1)


def other_body(request: httpx.Request) -> None:
    request.stream = httpx.ByteStream(request.content.replace(b"monthly", b"per-use"))


def other_digest(request: httpx.Request) -> None:
    request.headers["Content-Digest"] = ZEROS


def later(request: httpx.Request) -> None:
    old = request.headers["Signature-Input"]
    request.headers["Signature-Input"] = old.replace("created=1", "created=2")


def other_signature(request: httpx.Request) -> None:
    request.headers["Signature"] = f"stb=:{'A' * 86}==:"


def no_base64(request: httpx.Request) -> None:
    request.headers["Signature"] = "stb=:%:"


def nonsense(request: httpx.Request) -> None:
    request.headers["Signature-Input"] = "((("


def two_lines(request: httpx.Request) -> None:
    request.headers["STB-Number"] = f"{request.headers['STB-Number']}, 85312047"


TAMPERED: tuple[Callable[[httpx.Request], None], ...] = (
    other_method,
    other_path,
    other_query,
    other_authority,
    other_idempotency,
    cut,
    other_body,
    other_digest,
    later,
    other_signature,
    no_base64,
    nonsense,
)


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: tamper.__name__)
async def test_what_was_changed_on_the_way_is_refused(
    system: System, tamper: Callable[[httpx.Request], None]
) -> None:
    box = await system.box()
    request = signed(box, system)
    tamper(request)
    assert await sent(system, request) == "signature-invalid"
    assert await system.rows(tables.orders) == []


@pytest.mark.parametrize("tamper", [other_box, two_lines])
async def test_the_box_number_is_the_key_s(system: System, tamper: Callable[[httpx.Request], None]) -> None:
    box = await system.box()
    await system.box("85312047")
    request = signed(box, system)
    tamper(request)
    assert await sent(system, request) == "not-enrolled"


@pytest.mark.parametrize("component", [*COVERED, "idempotency-key"])
async def test_every_component_has_to_be_covered(system: System, component: str) -> None:
    box = await system.box()
    request = signed(box, system, leave_out=[component])
    assert await sent(system, request) == "signature-invalid"


@pytest.mark.parametrize(
    "other",
    [{"expires": None}, {"include_alg": False}, {"tag": "other"}, {"nonce": "no-counter-in-it-at-all"}],
    ids=lambda other: next(iter(other)),
)
async def test_every_parameter_has_to_be_there(system: System, other: dict[str, Any]) -> None:
    box = await system.box()
    assert await sent(system, signed(box, system, **other)) == "signature-invalid"


async def test_without_a_signature_nothing_is_told(system: System) -> None:
    box = await system.box("85312047")
    for path in (
        "/home",
        "/services",
        "/services/sports",
        "/records",
        "/orders/x",
        "/payments/x",
        "/server-keys",
        "/card-keys",
    ):
        assert await sent(system, box.request("GET", path)) == "signature-missing", path
        stranger = Box(system, box.number)
        assert await code(await stranger.call("GET", path)) == "not-enrolled", path
        forged = BoxKey.of("a thief")
        request = forged.sign(box.request("GET", path), box.number, system.clock.now(), key_id=box.key.key_id)
        assert await sent(system, request) == "signature-invalid", path


async def test_the_same_request_once_more_is_a_replay_also_after_a_new_start(tmp_path: Path) -> None:
    async with running(tmp_path) as system:
        box = await system.box()
        request = signed(box, system)
        assert (await system.outside.send(request)).status_code == 201
        assert await sent(system, request) == "signature-replayed"
        clock = system.clock
    async with running(tmp_path, clock=clock) as system:
        assert await sent(system, request) == "signature-replayed"
        assert len(await system.rows(tables.orders)) == 1


async def test_of_the_same_request_many_times_at_once_one_is_let_in(system: System) -> None:
    box = await system.box()
    request = signed(box, system)
    answers = await asyncio.gather(*(system.outside.send(request) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * 19


@pytest.mark.parametrize(("seconds", "good"), [(-61, False), (-60, True), (60, True), (61, False)])
async def test_a_time_that_is_far_from_the_server_s_is_told_the_server_s(
    system: System, seconds: int, good: bool
) -> None:
    box = await system.box()
    now = system.clock.now() + timedelta(seconds=seconds)
    request = box.key.sign(box.request("GET", "/services"), box.number, now, expires=now + timedelta(hours=1))
    answer = await system.outside.send(request)
    box.key.check(answer)
    assert answer.is_success == good
    if not good:
        assert answer.json()["facts"] == {"time": "2026-06-21T10:00:00+08:00", "window_seconds": 60}
        assert (answer.json()["code"], answer.json()["retryable"]) == ("clock-skew", True)


async def test_what_has_expired_is_refused(system: System) -> None:
    box = await system.box()
    created = system.clock.now()
    request = box.key.sign(
        box.request("GET", "/home"), box.number, created, expires=created + timedelta(seconds=5)
    )
    system.clock.advance(10)
    assert await sent(system, request) == "clock-skew"


# Answers


async def test_every_answer_is_signed_to_its_request(system: System) -> None:
    box = await system.box()
    other = await box.call("GET", "/services")
    for answer in (
        await box.call("GET", "/hello"),
        await box.call("GET", "/home"),
        await box.call("GET", "/orders/nothing"),
        await box.call("GET", "/no-such-thing"),
        await box.call("POST", "/orders", {"service": 7}),
        await box.call("POST", "/orders", {"service": "x" * 70_000}),
    ):
        box.key.check(answer)
        mine = dict(answer.headers)
        for name, value in (
            ("signature", other.headers["signature"]),
            ("content-digest", other.headers["content-digest"]),
        ):
            answer.headers[name] = value
            with pytest.raises(InvalidSignature):
                box.key.check(answer)
            answer.headers[name] = mine[name]
        answer.status_code += 1
        with pytest.raises(InvalidSignature):
            box.key.check(answer)
        answer.status_code -= 1
        answer.request = other.request  # the same words, but an answer to something else
        with pytest.raises(InvalidSignature):
            box.key.check(answer)


async def test_a_fault_is_signed_too(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    box = await system.box()

    async def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(system.tsp.orders, "home", broken)
    answer = await box.call("GET", "/home")  # checks the signature
    assert answer.status_code == 500


async def test_an_unsigned_hello_gets_an_unsigned_answer(system: System) -> None:
    answer = await system.outside.get("http://server/stb/v1/hello")
    assert "signature" not in answer.headers


async def test_the_server_s_key_changes_and_boxes_learn_it_from_the_one_before(system: System) -> None:
    box = await system.box()
    before = dict(box.key.server_keys)
    core = system.tsp.core
    seed = bytes(range(32))
    new = await core.database.write(
        lambda conn: server_keys.rotate(conn, core.vault, seed, core.clock.now() + timedelta(seconds=1))
    )
    system.clock.advance(122)
    request = signed(box, system)
    answer = await system.outside.send(request)
    with pytest.raises(InvalidSignature):
        box.key.check(answer)
    keys = await system.outside.send(
        box.key.sign(box.request("GET", "/server-keys"), box.number, system.clock.now())
    )
    assert [one["key_id"] for one in keys.json()["server_keys"]] == [new, *before]
    assert {"tsp", "tsp1"} <= {part.split("=")[0] for part in keys.headers["signature-input"].split(", ")}
    box.key.trust(keys.json()["server_keys"])
    box.key.check(answer)
    stored = str([tuple(row) for row in await system.rows(tables.server_keys)])
    assert seed.hex() not in stored
    assert repr(seed) not in stored


async def test_a_new_key_signs_when_every_process_tells_it(system: System) -> None:
    """A box that one process makes ask for the keys may be answered by another."""
    core, here = system.tsp.core, system.tsp.boxes.server_keys
    old = (await here.fresh()).told[0].key_id
    system.clock.advance(180)
    await here.fresh()
    system.clock.advance(30)
    new = await core.database.write(
        lambda conn: server_keys.rotate(conn, core.vault, bytes(range(32)), core.clock.now())
    )
    there = server_keys.ServerKeys(core.database, core.vault, core.clock, lambda size: bytes(size))
    while (first := (await there.fresh()).signing[0].key_id) == old:
        assert (await here.fresh()).signing[0].key_id == old
        system.clock.advance(10)
    assert first == new
    assert [one.key_id for one in (await here.fresh()).told] == [new, old]


async def test_answers_are_signed_while_the_database_is_away(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(work: Any) -> Any:
        raise NoConnection("connection refused")

    keys = system.tsp.boxes.server_keys
    before = await keys.fresh()
    system.clock.advance(61)
    monkeypatch.setattr(system.tsp.core.database, "read", away)
    assert await keys.fresh() is before
