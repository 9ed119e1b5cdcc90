"""The sandbox's HTTP: the wallet's gateway for merchants, the page behind a code, the fault switch."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from sqlalchemy import Row

import assets
from server_stub.foundation.problems import Problem, responses
from server_stub.sandbox import page
from server_stub.sandbox.service import Closing, CodeStatus, Faults, NewCode, Refund, SandboxService

VERBS = {"pay": SandboxService.pay, "decline": SandboxService.decline, "pay-late": SandboxService.pay_late}
"""What a phone may do to a code."""
NO_PAGE: dict[int | str, dict[str, Any]] = {
    404: {"description": "a page that says so", "content": {"text/html": {}}}
}
Current = Callable[[], SandboxService]
"""The sandbox that answers at this moment; asked for with every request."""


def routers(service: Current) -> list[APIRouter]:
    """All routes of the role: the gateway, and the page behind a code."""
    return [_gateway(service), phone_page(service, faults=True)]


def _gateway(service: Current) -> APIRouter:
    async def merchant(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {service().secret.reveal()}".encode()):
            raise Problem("partner-unknown")
        if service().faults.gateway_silent:
            raise Problem("wallet-unreachable")

    routes = APIRouter(prefix="/sandbox", tags=["Sandbox"])
    guarded = [Depends(merchant)]

    @routes.post(
        "/wallet/v1/codes", status_code=201, dependencies=guarded, responses=responses(401, 413, 422, 503)
    )
    async def make(wish: NewCode) -> CodeStatus:
        """Makes a code that a phone can open."""
        return await service().make(wish)

    @routes.get("/wallet/v1/codes/{reference}", dependencies=guarded, responses=responses(401, 404, 503))
    async def status(reference: str) -> CodeStatus:
        """How far a code is."""
        return await service().status(reference)

    @routes.post(
        "/wallet/v1/codes/{reference}/close",
        dependencies=guarded,
        responses=responses(401, 404, 413, 422, 503),
    )
    async def close(reference: str, body: Closing) -> CodeStatus:
        """Closes a code; one that was paid stays paid."""
        return await service().close(reference, body)

    @routes.post(
        "/wallet/v1/codes/{reference}/refund",
        dependencies=guarded,
        responses=responses(401, 404, 409, 413, 422, 503),
    )
    async def refund(reference: str, body: Refund) -> CodeStatus:
        """Sends the money back."""
        return await service().refund(reference, body)

    @routes.get("/faults")
    async def faults() -> Faults:
        """What the sandbox does wrong at present."""
        return service().faults

    @routes.put("/faults", responses=responses(413, 422))
    async def set_faults(wanted: Faults) -> Faults:
        """For testers: ``gateway_silent`` makes the wallet not answer."""
        service().faults = wanted
        return service().faults

    return routes


def phone_page(service: Current, *, faults: bool) -> APIRouter:
    """The page behind a code.

    Args:
        faults: whether it has the switch that makes the whole wallet silent.
    """
    routes = APIRouter(prefix="/w", tags=["Sandbox phone page"], default_response_class=HTMLResponse)

    def shown(request: Request, row: Row[Any] | None) -> Response:
        language = page.language(request.query_params.get("lang"), request.headers.get("accept-language"))
        overdue = row is not None and service().overdue(row)
        switch = ("speak" if service().faults.gateway_silent else "silence") if faults else None
        code = request.path_params["code"]
        html = page.render(row, language, code=code, overdue=overdue, switch=switch)
        return HTMLResponse(html, 404 if row is None else 200, headers={"Cache-Control": "no-store"})

    @routes.get("/font.ttf", response_class=FileResponse, responses={200: {"content": {"font/ttf": {}}}})
    def font() -> FileResponse:
        """Chinese letters for a browser that has none."""
        return FileResponse(
            assets.path("fonts", "NotoSansSC-Regular.ttf"),
            media_type="font/ttf",
            headers={"Cache-Control": "max-age=86400"},
        )

    @routes.get("/{code}", responses=NO_PAGE)
    async def look(request: Request, code: str) -> Response:
        """The page behind a code; opening it marks the code scanned."""
        try:
            return shown(request, await service().look(code))
        except Problem:
            return shown(request, None)

    @routes.post(
        "/{code}/{verb}", status_code=303, response_class=RedirectResponse, responses=NO_PAGE | responses(413)
    )
    async def act(request: Request, code: str, verb: str) -> Response:
        """``pay``, ``decline``, ``pay-late``, ``silence``; then back to the page: reloading is harmless."""
        try:
            if verb == "silence" and faults:
                service().faults = Faults(gateway_silent=not service().faults.gateway_silent)
            elif verb in VERBS:
                await VERBS[verb](service(), code)
            else:
                return shown(request, None)
        except Problem:
            return shown(request, None)
        language = page.language(request.query_params.get("lang"), request.headers.get("accept-language"))
        return RedirectResponse(f"/w/{code}?lang={language}", 303)

    return routes
