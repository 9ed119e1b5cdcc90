"""PPP's HTTP, for those who test what is in front of it: the fault switch, and the cards as the issuer has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Connection, select

from server_stub.foundation import statements
from server_stub.foundation.problems import Problem, responses
from server_stub.ppp import books
from server_stub.ppp.faults import Faults
from server_stub.ppp.service import PppService
from server_stub.ppp.tables import accounts, audit

Current = Callable[[], PppService]
"""The PPP that answers at this moment; asked for with every request."""


class CardAccount(BaseModel):
    """A card as its issuer has it.

    Attributes:
        card: its number, masked.
        available_fen: what can be spent with it.
        cash_fen: electronic cash that was loaded and has not been collected.
        pin_failures: PINs that were wrong, one after another; with three the card pays nothing online.
        atc: of its last good cryptogram.
    """

    id: str
    card: str
    scheme: str
    state: str
    available_fen: int
    cash_fen: int
    pin_failures: int
    atc: int


class Change(BaseModel):
    """What a tester does to an account; what is not named stays. ``pin_failures`` can only be taken back."""

    state: Literal["active", "blocked", "lost", "stolen"] | None = None
    pin_failures: Literal[0] | None = None


def routers(service: Current) -> list[APIRouter]:
    """All routes of the role."""
    routes = APIRouter(prefix="/ppp", tags=["PPP"])

    @routes.get("/faults")
    async def faults() -> Faults:
        """What PPP does wrong at present."""
        return service().faults

    @routes.put("/faults", responses=responses(413, 422))
    async def set_faults(wanted: Faults) -> Faults:
        """For testers: answers that are dropped, late, under a wrong MAC, or refusals."""
        service().faults = wanted
        return service().faults

    @routes.get("/accounts")
    async def list_accounts() -> list[CardAccount]:
        """The issuer's cards."""
        return await service().database.read(_listed)

    @routes.patch("/accounts/{account}", responses=responses(404, 413, 422))
    async def change(account: str, wanted: Change) -> CardAccount:
        """For testers: a card is reported lost or stolen, blocked, made good again, gets its PIN tries back."""
        return await service().database.write(lambda conn: _change(conn, service(), account, wanted))

    return [routes]


def _listed(conn: Connection, name: str | None = None) -> list[CardAccount]:
    query = select(accounts).order_by(accounts.c.masked, accounts.c.id)
    if name is not None:
        query = query.where(accounts.c.id == name)
    return [
        CardAccount(
            id=row.id,
            card=row.masked,
            scheme=row.scheme,
            state=row.state,
            available_fen=books.available(conn, row.id, row.credit_fen),
            cash_fen=books.unspent(conn, row.id),
            pin_failures=row.pin_failures,
            atc=row.atc,
        )
        for row in conn.execute(query)
    ]


def _change(conn: Connection, service: PppService, name: str, wanted: Change) -> CardAccount:
    values = wanted.model_dump(exclude_none=True)
    if values and statements.change(conn, accounts, values, id=name):
        audit.append(conn, service.clock, "tester", "account-changed", name[:16], **values)
    found = _listed(conn, name)
    if not found:
        raise Problem("not-found")
    return found[0]
