"""The way from a role to another one in the same process: its published interface, without the network."""

from __future__ import annotations

import asyncio
import json as json_text
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx
from starlette.types import ASGIApp, Message

from server_stub.foundation import correlation


class Client(httpx.AsyncClient):
    """Asks roles: those of this process by calling their application, others over the network.

    What goes over is what would go over the network: two roles that run together know no more of each other than
    two that do not. Requests carry the correlation id of what is being done, as ``correlation.hand_on`` has it.

    Args:
        own_url: where this process answers.
        seconds: after so long nobody waits any more.
        more: of the client that asks over the network.

    Attributes:
        app: who answers at ``own_url``; None while nobody does.
    """

    def __init__(self, own_url: str, seconds: float, **more: Any) -> None:
        super().__init__(timeout=seconds, **more)
        self.app: ASGIApp | None = None
        self._own = f"{own_url}/"
        self._seconds = seconds

    async def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """As the network's client. Raises httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError."""
        if not url.startswith(self._own):
            return await super().request(method, url, headers=headers, json=json, content=content)
        sent = {"host": self._own.split("/")[2]}
        named = correlation.current()
        if named is not None:
            sent[correlation.HEADER] = named
        if json is not None:
            content = json_text.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            sent["content-type"] = "application/json"
        body = content or b""
        sent |= {"content-length": str(len(body)), **(headers or {})}
        return await self._inside(method, url, sent, body)

    async def _inside(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        request = httpx.Request(method, url)
        if self.app is None:
            raise httpx.ConnectError("nobody answers here yet", request=request)
        path, _, query = url[len(self._own) - 1 :].partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": self._own.partition(":")[0],
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "server": None,
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
        return httpx.Response(
            start["status"], headers=start["headers"], content=b"".join(parts), request=request
        )
