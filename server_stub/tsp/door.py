"""The door of the boxes' interface: who is let in, and the signature under every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server_stub.foundation import measures, signatures
from server_stub.foundation.http import problem_response
from server_stub.foundation.idempotency import NotAdmitted
from server_stub.foundation.problems import Money, Problem
from server_stub.foundation.signatures import SignatureMissing, SignatureRefused
from server_stub.tsp.service import TspService

PREFIX = "/stb/v1/"
OPEN = frozenset({"/stb/v1/hello"})
ENROLMENTS = "/stb/v1/enrolments"
SERVER_KEYS = "/stb/v1/server-keys"
BOX_NUMBER = "stb-number"
USUAL_PORTS = {"http": ":80", "https": ":443"}
AFTER_MAC1 = frozenset({"init", "debit", "not-debited", "offline", "certificate", "no-certificate", "cancel"})
"""Steps of a payment whose first answer may have been lost: a refusal at the door says nothing of the money."""
LETTING = frozenset({"init", "offline"})
"""After these the card can be debited."""
EVIDENCE = frozenset({"debit", "not-debited", "certificate", "no-certificate"})

log = structlog.get_logger(__name__)
Current = Callable[[], TspService]


class Door:
    """Lets in who has signed; stands inside the limit on bodies, so that a body is there at once."""

    def __init__(self, app: ASGIApp, services: Current) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX) or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        try:
            await self._enter(scope, body)
        except Problem as problem:
            measures.refuse(scope, problem.code)
            log.info("refused", code=problem.code)
            await refusal(problem, scope["path"])(scope, receive, send)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            await self._app(scope, again, send)
        except NotAdmitted:
            why = await self._services().boxes.why(scope["state"]["entry"])
            log.info("refused", code=why.code, route=measures.route_of(scope))
            await refusal(why, scope["path"])(scope, receive, send)

    async def _enter(self, scope: Scope, body: bytes) -> None:
        message = _message(scope)
        try:
            signed = signatures.read(message, body)
        except SignatureMissing as missing:
            raise Problem("signature-missing") from missing
        except SignatureRefused as refused:
            log.info("signature", why=str(refused))
            raise Problem("signature-invalid") from refused
        state = scope.setdefault("state", {})
        state["signed"] = signed
        if scope["path"] != ENROLMENTS:
            # Whoever enrols is checked with the key in the body, which has to be understood first.
            number = message.headers.get(BOX_NUMBER, "")
            boxes = self._services().boxes
            entry = await boxes.authenticate(number, signed)
            try:
                # A stolen box gets no MAC1, not even for the seconds that a word holds otherwise.
                await boxes.ask_standing(entry, afresh=_step(scope) in LETTING)
            except Problem as problem:
                if problem.code not in ("box-suspended", "box-stolen") or _step(scope) not in EVIDENCE:
                    raise
                # What a card has done is true whoever tells it, and gives the teller nothing.
            state.update(box=number, entry=entry, admit=partial(boxes.keep, entry=entry))


class AnswerSigner:
    """Signs every answer to a signed request, refusals and faults too; stands outside of everything."""

    def __init__(self, app: ASGIApp, services: Current) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        member = None
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            member = signatures.member(_headers(scope).get("signature", ""))
        if member is None:
            await self._app(scope, receive, send)
            return
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._sign(scope["path"], member, start, b"".join(parts))
                await send(start)
                await send({"type": "http.response.body", "body": b"".join(parts)})

        await self._app(scope, receive, collect)

    async def _sign(self, path: str, member: str, start: Message, body: bytes) -> None:
        services = self._services()
        keys = (await services.boxes.server_keys.fresh()).signing
        # Every answer has one key's signature; the list of keys has those of all that are good.
        signing = keys if path == SERVER_KEYS else keys[:1]
        now = int(services.core.clock.now().timestamp())
        start["headers"] = [
            *start.get("headers", ()),
            *signatures.sign_answer(signing, start["status"], body, member, now),
        ]


def refusal(problem: Problem, path: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """A refusal at the door. What a payment has become by an earlier request is not known there."""
    parts = path.split("/")
    if "payments" in parts and parts[-1] in AFTER_MAC1:
        unknown: Money = "unknown"
        problem.body.money = unknown
    return problem_response(problem)


def _step(scope: Scope) -> str:
    """The last part of the path of one payment's; nothing of any other one's."""
    return scope["path"].rpartition("/")[2] if "/payments/" in scope["path"] else ""


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name; several lines of one name are one value, as they are signed (RFC 9421, 2.1)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _message(scope: Scope) -> signatures.Message:
    headers = _headers(scope)
    scheme = scope.get("scheme", "http")
    authority = headers.get("host", "").lower().removesuffix(USUAL_PORTS.get(scheme, ""))
    raw_path = scope.get("raw_path") or scope["path"].encode()
    path = raw_path.partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return signatures.Message(scope["method"], authority, path, query, headers, scheme)
