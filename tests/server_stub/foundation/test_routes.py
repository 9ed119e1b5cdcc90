"""Routes that cost little answer what the framework's own would answer."""

from __future__ import annotations

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

from server_stub.foundation import http
from server_stub.foundation.routes import Route

pytestmark = pytest.mark.anyio
SIGNATURE = APIKeyHeader(name="Signature", auto_error=False)


class Order(BaseModel):
    service: str = Field(min_length=2)
    price_fen: int = Field(alias="from")


async def box(
    request: Request,
    number: Annotated[str, Header(alias="STB-Number", pattern="^[0-9]+$")],
    signature: Annotated[str | None, Security(SIGNATURE)] = None,
) -> str:
    return f"{request.method} {number}"


def routes(kind: type[APIRoute]) -> APIRouter:
    made = APIRouter(route_class=kind)

    @made.post("/orders/{order}", status_code=201)
    async def create(
        order: Annotated[str, Path(pattern="^[a-z]+$")],
        body: Order,
        who: Annotated[str, Depends(box)],
        kept: Annotated[str, Header()] = "nothing",
    ) -> Order:
        return Order.model_validate(
            {"service": f"{order} {body.service} {who} {kept}", "from": body.price_fen}
        )

    @made.get("/orders/{order}")
    async def one(order: str) -> Response:
        return Response(order, 202)

    @made.get("/orders")
    async def some(after: Annotated[int, Query(ge=0)] = 3) -> list[int]:
        return [after]

    return made


JSON = {"content-type": "application/json", "stb-number": "5"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "/orders/a", JSON, b'{"service": "kids", "from": 5}'),
        ("POST", "/orders/a", {**JSON, "kept": "this"}, b'{"service": "kids", "from": 5}'),
        ("POST", "/orders/a", {**JSON, "content-type": "Application/X+JSON; a=b"}, b'{"service": "kids", "from": 5}'),
        ("POST", "/orders/A", JSON, b'{"service": "kids", "from": 5}'),
        ("POST", "/orders/a", JSON, b'{"service": "k", "from": 5}'),
        ("POST", "/orders/a", JSON, b'{"service": "kids"}'),
        ("POST", "/orders/a", JSON, b'{"service": '),
        ("POST", "/orders/a", JSON, b"[1]"),
        ("POST", "/orders/a", JSON, b'"\xff"'),
        ("POST", "/orders/a", JSON, b"[" * 100_000),
        ("POST", "/orders/a", JSON, b""),
        ("POST", "/orders/a", JSON, b"null"),
        ("POST", "/orders/a", {"stb-number": "5"}, b'{"service": "kids", "from": 5}'),
        ("POST", "/orders/a", {"content-type": "application/json"}, b'{"service": "k", "from": 5}'),
        ("POST", "/orders/a", {**JSON, "stb-number": "x"}, b'{"service": "k", "from": 5}'),
        ("GET", "/orders/x%20y", {}, b""),
        ("GET", "/orders?after=7", {}, b""),
        ("GET", "/orders?after=-7", {}, b""),
        ("PUT", "/orders/a", {}, b""),
        ("GET", "/other", {}, b""),
    ],
)  # fmt: skip
async def test_the_same_answers(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    answers = []
    for kind in (Route, APIRoute):
        app = FastAPI()
        http.install(app)
        app.router.routes.extend(routes(kind).routes)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://own") as client:
            answer = await client.request(method, path, headers=headers, content=body)
        answers.append((answer.status_code, answer.headers.get("content-type"), answer.content))
    assert answers[0] == answers[1]


def test_the_same_description() -> None:
    described = []
    for kind in (Route, APIRoute):
        app = FastAPI()
        app.router.routes.extend(routes(kind).routes)
        described.append(app.openapi())
    assert described[0] == described[1]
