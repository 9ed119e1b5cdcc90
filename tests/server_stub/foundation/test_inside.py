"""Asking a role of the same process: as over the network, without the network."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from server_stub.foundation import correlation
from server_stub.foundation.inside import Client

pytestmark = pytest.mark.anyio


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/rows/{row}")
    async def keep(row: str, request: Request) -> JSONResponse:
        seen = {"row": row, "query": request.url.query, "body": await request.json()}
        seen |= {"host": request.headers["host"], "correlation": request.headers["correlation-id"]}
        return JSONResponse(seen, 201, {"Kept": request.headers["key"]})

    @app.get("/never")
    async def never() -> None:
        await asyncio.Event().wait()

    return app


async def test_a_request_and_its_answer_are_what_they_would_be_over_the_network() -> None:
    app = application()
    inside = Client("http://own:1", 10)
    inside.app = app
    answers = []
    network = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), event_hooks={"request": [correlation.hand_on]}
    )
    for way in (inside, network):
        async with way as client:
            with correlation.under("c" * 32):
                answer = await client.request(
                    "POST", "http://own:1/rows/a%20b?x=1", json={"名": 5}, headers={"Key": "k"}
                )
        answers.append((answer.status_code, answer.headers["kept"], answer.json()))
    seen = {"row": "a b", "query": "x=1", "body": {"名": 5}, "host": "own:1", "correlation": "c" * 32}
    assert answers[0] == answers[1] == (201, "k", seen)


async def test_what_answers_elsewhere_is_asked_over_the_network() -> None:
    there = httpx.MockTransport(lambda request: httpx.Response(200, json=str(request.url)))
    async with Client("http://own:1", 10, transport=there) as client:
        client.app = application()
        assert (await client.request("GET", "http://own:12/rows")).json() == "http://own:12/rows"


async def test_nobody_is_waited_for_for_ever() -> None:
    async with Client("http://own", 0.01) as client:
        with pytest.raises(httpx.ConnectError):
            await client.request("GET", "http://own/never")
        client.app = application()
        with pytest.raises(httpx.ReadTimeout):
            await client.request("GET", "http://own/never")
