"""BOSS's HTTP interface for partner systems (docs/boss-api.md)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from server_stub.boss import models
from server_stub.boss.service import BossService
from server_stub.foundation import idempotency, wire
from server_stub.foundation.http import response_of
from server_stub.foundation.problems import Problem, responses

LONGEST_LIST = 50
BoxNumber = Annotated[str, Path(pattern=r"^[0-9]{6,16}$")]
Unheard = Annotated[Sequence[Annotated[str, Field(pattern=models.REFERENCE)]], Query(max_length=LONGEST_LIST)]
"""Payments of which the partner has not heard yet that they opened something."""
Key = Annotated[str, Header(alias="Idempotency-Key", pattern=idempotency.PATTERN)]


def router(service: Callable[[], BossService]) -> APIRouter:
    """The routes, for callers that carry the partner key; the service is asked for with every request."""

    async def partner(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(
            authorization.encode(), f"Bearer {service().partner_key.reveal()}".encode()
        ):
            raise Problem("partner-unknown")

    routes = APIRouter(prefix="/boss/v1/boxes/{box_number}", tags=["BOSS"], dependencies=[Depends(partner)])

    @routes.post("/keys", status_code=201, responses=responses(401, 403, 413, 422))
    async def register_key(box_number: BoxNumber, claim: models.KeyClaim) -> models.RegisteredKey:
        """Ties a key to the box, for one that knows its smart card and activation code."""
        return await service().register_key(box_number, claim)

    @routes.get("/keys/{key_id}", responses=responses(401, 403, 404, 422))
    async def key_standing(box_number: BoxNumber, key_id: str) -> models.RegisteredKey:
        """Whether the box and this key of it may be served."""
        return await service().key_standing(box_number, key_id)

    @routes.post("/keys/{key_id}/successor", status_code=201, responses=responses(401, 403, 404, 413, 422))
    async def succeed_key(
        box_number: BoxNumber, key_id: str, successor: models.KeySuccessor
    ) -> models.RegisteredKey:
        """The box goes over to another key; the old one holds until the instant that is named."""
        return await service().succeed_key(box_number, key_id, successor)

    @routes.post("/keys/{key_id}/end", responses=responses(401, 413, 422))
    async def end_key(box_number: BoxNumber, key_id: str, end: models.KeyEnd) -> models.EndedKey:
        """The key must not be believed any more."""
        await service().end_key(box_number, key_id, end.reason)
        return models.EndedKey(key_id=key_id, ended=end.reason)

    @routes.get("/home", responses=responses(401, 403, 422))
    async def home(box_number: BoxNumber, payment: Unheard = ()) -> models.Home:
        """What the home page shows, and which of these payments it counts."""
        return await service().home(box_number, payment)

    @routes.get("/services", responses=responses(401, 403, 422))
    async def services(box_number: BoxNumber) -> wire.Services:
        """All services in the order to show."""
        return await service().services(box_number)

    @routes.get("/services/{name}", responses=responses(401, 403, 404, 422))
    async def one_service(box_number: BoxNumber, name: str) -> models.ServiceDetail:
        """One service with its terms and what the subscriber has had."""
        return await service().service(box_number, name)

    @routes.get("/services/{name}/terms/{term}", responses=responses(401, 403, 404, 422))
    async def sale(box_number: BoxNumber, name: str, term: str) -> models.Sale:
        """Whether a service may be sold for a term now, and which boxes have the service then."""
        return await service().sale(box_number, name, term)

    @routes.get("/earlier", responses=responses(401, 403, 422))
    async def earlier(box_number: BoxNumber) -> models.AllEarlier:
        """What the subscriber paid otherwise than with an order of this box."""
        return await service().earlier(box_number)

    @routes.post(
        "/orders",
        status_code=201,
        response_model=models.Order,
        responses=responses(401, 403, 404, 409, 413, 422),
    )
    async def order(request: Request, box_number: BoxNumber, body: models.OrderRequest, key: Key) -> Response:
        """Pre-check and fee; no money moves."""
        use = await _use(request, box_number, key)
        return response_of(
            await service().idempotency.run(use, lambda: service().order(box_number, body, use))
        )

    @routes.post(
        "/orders/{order_id}/opening",
        response_model=models.Opened,
        responses=responses(401, 403, 404, 409, 413, 422),
    )
    async def opening(
        request: Request, box_number: BoxNumber, order_id: str, body: models.Opening, key: Key
    ) -> Response:
        """Opens what was paid."""
        use = await _use(request, box_number, key)
        return response_of(
            await service().idempotency.run(
                use, lambda: service().open_service(box_number, order_id, body, use)
            )
        )

    async def _use(request: Request, box_number: str, key: str) -> idempotency.KeyUse:
        hash = idempotency.request_hash(request.method, request.url.path, await request.body())
        return service().idempotency.use(box_number, key, hash)

    return routes
