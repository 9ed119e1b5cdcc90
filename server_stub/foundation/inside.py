"""The way from a role to another one in the same process: its published interface, without the network."""

from __future__ import annotations

import asyncio

import httpx
from starlette.types import ASGIApp, Message


class Inside(httpx.AsyncBaseTransport):
    """Answers requests with an application of this process.

    What goes over is what would go over the network: two roles that run together know no more of each other than
    two that do not.

    Args:
        seconds: after so long nobody waits any more.

    Attributes:
        app: who answers; None while nobody does.
    """

    def __init__(self, seconds: float) -> None:
        self.app: ASGIApp | None = None
        self._seconds = seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError."""
        if self.app is None:
            raise httpx.ConnectError("nobody answers here yet", request=request)
        body = await request.aread()
        raw_path, _, query = request.url.raw_path.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": raw_path,
            "root_path": "",
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port),
            "client": ("inside", 0),
        }
        given = False
        start: Message | None = None
        parts: list[bytes] = []

        async def receive() -> Message:
            nonlocal given
            if given:
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                parts.append(message.get("body", b""))

        try:
            async with asyncio.timeout(self._seconds):
                await self.app(scope, receive, send)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time", request=request) from error
        if start is None:
            raise httpx.ReadError("no answer", request=request)
        return httpx.Response(start["status"], headers=start["headers"], content=b"".join(parts))
