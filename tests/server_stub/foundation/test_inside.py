"""Asking a role of the same process: as over the network, without the network."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from server_stub.foundation.inside import Inside

pytestmark = pytest.mark.anyio


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/rows/{row}")
    async def keep(row: str, request: Request) -> JSONResponse:
        seen = {"row": row, "query": request.url.query, "body": await request.json()}
        return JSONResponse(seen, 201, {"Kept": request.headers["key"]})

    @app.get("/never")
    async def never() -> None:
        await asyncio.Event().wait()

    return app


async def test_a_request_and_its_answer_are_what_they_would_be_over_the_network() -> None:
    app = application()
    inside = Inside(10)
    inside.app = app
    answers = []
    for way in (inside, httpx.ASGITransport(app)):
        async with httpx.AsyncClient(transport=way) as client:
            answer = await client.post("http://own/rows/a%20b?x=1", json={"fen": 5}, headers={"Key": "k"})
        answers.append((answer.status_code, answer.headers["kept"], answer.json()))
    assert answers[0] == answers[1] == (201, "k", {"row": "a b", "query": "x=1", "body": {"fen": 5}})


async def test_nobody_is_waited_for_for_ever() -> None:
    inside = Inside(0.01)
    async with httpx.AsyncClient(transport=inside) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://own/never")
        inside.app = application()
        with pytest.raises(httpx.ReadTimeout):
            await client.get("http://own/never")
