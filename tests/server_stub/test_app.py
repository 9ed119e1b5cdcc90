"""The application as a whole: its description, its pages, its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server_stub.foundation.http import LONGEST_BODY_BYTES
from server_stub.foundation.problems import CODES, Problem
from tests.server_stub.system import ORDER, OWN, System, running

pytestmark = pytest.mark.anyio


async def test_the_description_names_answers_and_problems_of_every_operation(system: System) -> None:
    document = (await system.outside.get(f"{OWN}/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert "ProblemBody" in schemas
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/stb/v1")
        for method, operation in methods.items()
    ]
    assert len(operations) == 29
    for path, _, operation in operations:
        good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        (content,) = good[0]["content"].values()
        assert content["schema"]["$ref"].rpartition("/")[2] in schemas, path
        if not path.endswith("/hello"):
            assert any(
                "application/problem+json" in one.get("content", {})
                for one in operation["responses"].values()
            )


async def test_the_description_says_who_must_say_who_they_are(system: System) -> None:
    document = (await system.outside.get(f"{OWN}/openapi.json")).json()
    scheme = document["components"]["securitySchemes"]["BoxSignature"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Signature")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            open_to_all = not path.startswith("/stb/v1") or path.endswith("/hello")
            assert operation.get("security") == (None if open_to_all else [{"BoxSignature": []}]), path
            required = {one["name"]: one["required"] for one in operation.get("parameters", ())}
            assert required.get("STB-Number") == (None if open_to_all else True), path


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"service": "\xff"}', {"field": "body", "kind": "unreadable"}),
        (b"[" * 60_000, {"field": "body", "kind": "unreadable"}),
        (b'{"service": ', {"field": "body", "kind": "json_invalid"}),
        (b'{"service": "sports"}', {"field": "body.term", "kind": "missing"}),
    ],
)
async def test_a_body_that_cannot_be_read_is_said_to_be_the_body(
    system: System, body: bytes, facts: dict[str, str]
) -> None:
    box = await system.box()
    headers = {"Idempotency-Key": "some-key-1", "Content-Type": "application/json"}
    request = system.outside.build_request("POST", f"{OWN}/stb/v1/orders", content=body, headers=headers)
    answer = await box.send(request)
    assert (answer.status_code, answer.json()["code"], answer.json()["facts"]) == (422, "bad-request", facts)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_long_is_refused_unread(system: System, chunked: bool) -> None:
    longest = b'"' + b"a" * (LONGEST_BODY_BYTES - 2) + b'"'

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    async def post(body: bytes) -> tuple[int, str]:
        answer = await system.outside.post(
            f"{OWN}/stb/v1/enrolments",
            content=chunks(body) if chunked else body,
            headers={"Idempotency-Key": "some-key-1", "Content-Type": "application/json"},
        )
        assert answer.headers["x-request-id"]
        return answer.status_code, answer.json()["code"]

    assert await post(longest) == (401, "signature-missing")
    assert await post(longest + b" ") == (413, "body-too-large")


async def test_the_description_says_of_all_that_take_a_body_that_it_may_be_too_long(system: System) -> None:
    document = (await system.outside.get(f"{OWN}/openapi.json")).json()
    silent = [
        f"{method} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("post", "put") and "413" not in operation["responses"]
    ]
    assert silent == []


async def test_the_docs_page_lists_the_operations_without_internet(system: System) -> None:
    page = (await system.outside.get(f"{OWN}/docs")).text
    assert "/stb/v1/payments/{payment}/not-debited" in page
    assert "://" not in page


async def test_a_fault_tells_its_number_and_nothing_else(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await system.box()

    async def broken(*_: Any) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(system.tsp.orders, "home", broken)
    answer = await box.call("GET", "/home")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["facts"] == {"request": answer.headers["x-request-id"]}
    assert "secret" not in answer.text


async def test_addresses_and_methods_that_are_not_there(system: System) -> None:
    missing = await system.outside.get(f"{OWN}/stb/v2/hello")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    wrong = await system.outside.delete(f"{OWN}/stb/v1/hello")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")


async def test_a_name_that_no_database_takes_is_not_there(system: System) -> None:
    box = await system.box()
    answer = await box.call("GET", "/payments/%00")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    async with running(tmp_path / "data"):
        for name in ("partners.key", "tsp.key"):
            assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600


def test_every_code_makes_a_problem() -> None:
    for code, row in CODES.items():
        body = Problem(code).body
        assert (body.code, body.status, body.money) == (code, row.status, row.money)


async def test_what_a_stop_breaks_off_is_told_so_under_the_platform_s_signature(system: System) -> None:
    box, hangs, ask = await system.box(), asyncio.Event(), system.tsp.core.boss.post

    async def silent(*_: Any, **__: Any) -> Any:
        hangs.set()
        await asyncio.Event().wait()

    system.tsp.core.boss.post = silent  # type: ignore[method-assign]
    asking = asyncio.ensure_future(box.call("POST", "/orders", ORDER, key="broken-off-1"))
    await hangs.wait()
    assert system.roles.break_off() == 1
    answer = await asking  # its signature is checked there
    assert answer.status_code == 503
    told = answer.json()
    assert (told["code"], told["money"], told["retryable"]) == ("stopping", "unknown", True)
    system.tsp.core.boss.post = ask  # type: ignore[method-assign]
    assert (await box.call("POST", "/orders", ORDER, key="broken-off-1")).status_code == 201
