"""Routes of which a server answers hundreds a second.

They are declared, described and checked as the framework's own, whose machinery for what none of them has (forms, files,
streams, dependencies that must be closed) costs each request more than its checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

Errors = list[Any]


class Route(APIRoute):
    """A route whose parameters are the request, parts of its path, headers, a JSON body, and coroutines of the same kind.

    The endpoint is a coroutine that returns a response, or a model as it is to be answered. One that takes parameters
    from the query is left to the framework.
    """

    def __init__(self, *declared: Any, **more: Any) -> None:
        super().__init__(*declared, **more)
        self._begins = self.path_format.partition("{")[0]
        if not self.dependant.query_params:
            self.app = self._answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Most routes are told apart by how their paths begin."""
        if scope["type"] == "http" and not scope["path"].startswith(self._begins):
            return Match.NONE, {}
        return super().matches(scope)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await _json(request) if self.dependant.body_params else PydanticUndefined
        errors: Errors = []
        values = await _values(self.dependant, request, errors)
        for field in self.dependant.body_params:
            if body is PydanticUndefined:
                errors.append({"type": "missing", "loc": ("body",), "msg": "Field required", "input": None})
                continue
            values[field.name], wrong = field.validate(body, loc=("body",))
            errors += wrong
        if errors:
            raise RequestValidationError(errors)
        answer = await self.endpoint(**values)
        if isinstance(answer, BaseModel):
            text, status = answer.model_dump_json(by_alias=True), self.status_code or 200
            answer = Response(text, status, media_type="application/json")
        await answer(scope, receive, send)


async def _json(request: Request) -> Any:
    """A request's body: as JSON where it says that it is, as bytes where not; PydanticUndefined without one."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body or not (
        kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    ):
        return body or PydanticUndefined
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        wrong = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([wrong]) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or nested too deeply
        raise HTTPException(400) from error


async def _values(dependant: Dependant, request: Request, errors: Errors) -> dict[str, Any]:
    """What an endpoint, or what it depends on, is called with; what is wrong is added to the errors."""
    values: dict[str, Any] = {}
    for one in dependant.dependencies:
        assert one.call is not None
        # A way to sign is only described: whoever gets here has been let in.
        if not isinstance(one.call, SecurityBase):
            wrong: Errors = []
            given = await _values(one, request, wrong)
            found = None if wrong else await one.call(**given)
            errors += wrong
        else:
            found = None
        if one.name is not None:
            values[one.name] = found
    path, headers = request.path_params, request.headers
    for field in dependant.path_params:
        _check(field, path, "path", values, errors)
    for field in dependant.header_params:
        _check(field, headers, "header", values, errors)
    if dependant.request_param_name is not None:
        values[dependant.request_param_name] = request
    return values


def _check(field: Any, given: Mapping[str, str], where: str, values: dict[str, Any], errors: Errors) -> None:
    text = given.get(field.alias)
    if text is not None:
        values[field.name], wrong = field.validate(text, loc=(where, field.alias))
        errors += wrong
    elif field.field_info.is_required():
        errors.append(
            {"type": "missing", "loc": (where, field.alias), "msg": "Field required", "input": None}
        )
    else:
        values[field.name] = field.default
