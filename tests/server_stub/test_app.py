"""The application as a whole: its description, its pages, its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server_stub.foundation.problems import CODES, Problem
from tests.server_stub.system import OWN, System, running

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
    assert len(operations) == 16
    for path, _, operation in operations:
        good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        (content,) = good[0]["content"].values()
        assert content["schema"]["$ref"].rpartition("/")[2] in schemas, path
        if not path.endswith("/hello"):
            assert any(
                "application/problem+json" in one.get("content", {})
                for one in operation["responses"].values()
            )


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


async def test_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    async with running(tmp_path / "data"):
        for name in ("partners.key", "tsp.key"):
            assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600


def test_every_code_makes_a_problem() -> None:
    for code, row in CODES.items():
        body = Problem(code).body
        assert (body.code, body.status, body.money) == (code, row.status, row.money)
