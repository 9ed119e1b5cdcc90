"""What all roles' HTTP has in common: request ids, problems instead of error texts, idempotent answers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server_stub.foundation import correlation, measures
from server_stub.foundation.database import outage
from server_stub.foundation.idempotency import Answer
from server_stub.foundation.problems import MEDIA_TYPE, Problem

log = structlog.get_logger(__name__)

LONGEST_BODY_BYTES = 64 * 1024
"""Many times what the longest request here needs."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""What changes nothing is not told in the log: televisions ask all the time."""
STATUS_CODES = {404: "not-found", 405: "method-not-allowed"}


def problem_response(problem: Problem) -> Response:
    """A problem as it goes over the wire."""
    wait = problem.body.facts.get("retry_after_seconds")
    headers = None if wait is None else {"Retry-After": str(wait)}
    return Response(problem.body.model_dump_json(), problem.status, headers, media_type=MEDIA_TYPE)


def response_of(answer: Answer) -> Response:
    """A kept answer as it goes over the wire."""
    return Response(answer.body, answer.status, media_type=answer.media_type)


def answer_of(model: BaseModel, status: int = 200) -> Answer:
    """A model as an answer that can be kept."""
    return Answer(status, model.model_dump_json(by_alias=True))


class BodyLimit:
    """Takes in bodies up to a size and refuses longer ones, before anything is read into memory or parsed.

    A body that ends nowhere (chunks, a wrong length) is refused as soon as it is too long.
    """

    def __init__(self, app: ASGIApp, longest_bytes: int = LONGEST_BODY_BYTES) -> None:
        self._app = app
        self._longest_bytes = longest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"]:
            # PostgreSQL takes no text with it. Nothing has the other name either, and each role says so in its way.
            scope["path"] = scope["path"].replace("\0", "\ufffd")
        length = Headers(scope=scope).get("content-length", "0")
        long = length.isdecimal() and int(length) > self._longest_bytes
        taken: list[Message] = []
        size_bytes = 0
        while not long and (not taken or taken[-1].get("more_body", False)):
            taken.append(await receive())
            size_bytes += len(taken[-1].get("body", b""))
            long = size_bytes > self._longest_bytes
        if long:
            response = problem_response(Problem("body-too-large", longest_bytes=self._longest_bytes))
            await response(scope, receive, send)
            return

        async def again() -> Message:
            return taken.pop(0) if taken else await receive()

        await self._app(scope, again, send)


class UnderWay:
    """The requests that are being answered, so that a stop can break off what takes too long."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._over = False

    def break_off(self) -> int:
        """Whoever still waits is told that the server stops. Returns how many they were."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        return len(self._tasks)

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Has a request answered. What one role asks another one inside of it is a part of it."""
        task = asyncio.current_task()
        if task is None or task in self._tasks:
            await app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        self._tasks.add(task)
        try:
            await app(scope, receive, noting)
        except asyncio.CancelledError:
            if not self._over or started:
                raise
            task.uncancel()
            measures.refuse(scope, "stopping")
            log.warning("refused", code="stopping", route=measures.route_of(scope))
            await problem_response(Problem("stopping"))(scope, receive, send)
        finally:
            self._tasks.discard(task)


class Breakable:
    """Lets a stop break requests off."""

    def __init__(self, app: ASGIApp, under_way: Callable[[], UnderWay]) -> None:
        self._app = app
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._under_way().answer(self._app, scope, receive, send)


class RequestIds:
    """Gives every request an id, in the log and in ``X-Request-Id``, and turns a fault into ``internal``.

    Whatever is done for it belongs to the correlation id that it carries.

    The fault's text stays in the log; whoever asked gets the id under which it stands there.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        named = correlation.given(Headers(scope=scope))
        started = False
        status = 500
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                message.setdefault("headers", []).extend(
                    ((b"x-request-id", request_id.encode()), (b"correlation-id", named.encode()))
                )
            await send(message)

        with correlation.under(named), structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                where = {"method": scope["method"], "route": measures.route_of(scope)}
                if (said := outage(error)) is None:
                    log.exception("fault", **where)
                else:
                    log.error("database-away", error=said, **where)
                if started:
                    raise
                response = problem_response(Problem("internal", request=request_id))
                await response(scope, receive, send_with_id)
            if scope["method"] not in SAFE:
                milliseconds = round(1000 * (time.perf_counter() - began), 1)
                # Not the path itself: a code that can be paid may stand in it.
                route = measures.route_of(scope)
                log.info("answered", method=scope["method"], route=route, status=status, ms=milliseconds)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    measures.refuse(request.scope, error.code)
    log.info("refused", code=error.code, route=measures.route_of(request.scope), facts=error.body.facts)
    return problem_response(error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Only where and what kind: the value itself may be card data.
    first = error.errors()[0]
    # For text that is not JSON the place is an offset, which is no field.
    where = first["loc"][:1] if first["type"] == "json_invalid" else first["loc"]
    field = ".".join(str(part) for part in where)
    return problem_response(Problem("bad-request", field=field, kind=first["type"]))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = STATUS_CODES.get(error.status_code)
    if code is None:
        # The framework's word for a body it cannot take apart: not UTF-8, or nested too deeply.
        return problem_response(Problem("bad-request", field="body", kind="unreadable"))
    return problem_response(Problem(code))


def install(app: FastAPI, under_way: Callable[[], UnderWay]) -> None:
    """Puts the middleware and the problem handlers into an application.

    Args:
        under_way: where its requests are kept while they are answered; asked for with every one.
    """
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        Problem: _on_problem,
        RequestValidationError: _on_invalid,
        HTTPException: _on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(BodyLimit)
    app.add_middleware(Breakable, under_way=under_way)
    app.add_middleware(RequestIds)
