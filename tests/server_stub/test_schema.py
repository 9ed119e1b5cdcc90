"""Our own description against the running server: no fault, and no answer that the description does not have.

Schemathesis makes the requests out of the description, right ones and wrong ones; each goes signed and unsigned.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server_stub.app import ROLES, application
from tests.server_stub.signing import RemoteBox
from tests.server_stub.test_process import started

BOX = "85312048"
PARTNER_KEY = "a-partner-key-of-this-test"
EXAMPLES = 5
"""Of each operation."""
CONFORMANCE: list[CheckFunction] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MANY = "1000000"


class Server(NamedTuple):
    """A running server, and what there is on it to be asked about.

    Attributes:
        ids: values for parameters in paths that name something.
    """

    url: str
    box: RemoteBox
    ids: dict[str, Iterator[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("schema")
    limits = {
        "STB_SERVER_BOX_REQUESTS_PER_MINUTE": MANY,
        "STB_SERVER_CARD_ATTEMPTS_PER_HOUR": MANY,
        "STB_SERVER_ENROLMENT_FAILURES_PER_HOUR": MANY,
        "STB_SERVER_PARTNER_KEY": PARTNER_KEY,
    }
    with started(data, **limits) as (_, url):
        box = RemoteBox(url, BOX)
        box.enrol()
        orders, payments, codes = [], [], []
        for service, method in (("sports", "card"), ("kids", "wallet:demo"), ("music", None)):
            order = box.post("/orders", service=service, term="monthly")
            orders.append(order["order"])
            if method is not None:
                payment = box.post(f"/orders/{order['order']}/payments", method=method)
                payments.append(payment["payment"])
                if payment["qr"] is not None:
                    codes.append(payment["qr"]["payload"].rpartition("/")[2])
        known = {
            "order": orders,
            "order_id": orders,
            "payment": payments,
            "code": codes,
            "verb": ["pay", "decline", "silence"],
            "reference": payments[1:],
            "service": ["sports"],
            "name": ["sports"],
            "box_number": [BOX],
            "key_id": [box.key.key_id],
            "wallet": ["demo"],
        }
        yield Server(url, box, {name: itertools.cycle([*values, None]) for name, values in known.items()})


def document() -> dict[str, Any]:
    """The description; a running server gives the same one."""

    def nobody() -> Any:
        raise AssertionError("nobody is asked for a description")

    return application(ROLES, nobody).openapi()


def operations() -> list[Any]:
    described = schemathesis.openapi.from_dict(document())
    return [result.ok() for result in described.get_all_operations()]


def test_the_server_gives_this_description(server: Server) -> None:
    assert httpx.get(f"{server.url}/openapi.json", trust_env=False).json() == document()


@pytest.mark.parametrize("operation", operations(), ids=lambda one: one.label)
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda one: one.value
)
def test_every_answer_is_described(operation: Any, mode: GenerationMode, server: Server) -> None:
    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any) -> None:
        for name in case.path_parameters or {}:
            real = next(server.ids[name]) if name in server.ids else None
            if real is not None:
                case.path_parameters[name] = real
        for signed in (True, False):
            answer = send(server, case, signed=signed)
            assert answer.status_code != 500, f"{answer.request.method} {answer.request.url}: {answer.text}"
            case.validate_response(answer, checks=CONFORMANCE)

    with contextlib.suppress(
        Unsatisfiable
    ):  # there may be nothing wrong to say to an operation without parameters
        holds()


def send(server: Server, case: Any, *, signed: bool) -> httpx.Response:
    """Sends a case, by the box or by a partner as its address says, or by nobody in particular."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url=server.url)).prepare()
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    assert prepared.url is not None
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    request = httpx.Request(prepared.method or "", prepared.url, headers=headers, content=body)
    if signed and request.url.path.startswith("/stb/"):
        without = [] if "idempotency-key" in request.headers else ["idempotency-key"]
        server.box.key.sign(request, BOX, datetime.now(UTC), leave_out=without)
    elif signed:
        request.headers["Authorization"] = f"Bearer {PARTNER_KEY}"
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.send(request)
