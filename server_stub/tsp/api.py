"""The TSP's HTTP interface for boxes (docs/tsp-api.md), and the door for wallets' notices."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Security
from fastapi.responses import Response
from fastapi.security import APIKeyHeader

from server_stub.foundation import idempotency, wire
from server_stub.foundation.http import response_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.problems import Problem, responses
from server_stub.foundation.signatures import Signed
from server_stub.tsp import models
from server_stub.tsp.service import TspService

API = 1
Key = Annotated[str, Header(alias="Idempotency-Key", pattern=idempotency.PATTERN)]
LONGEST_WAIT_S = 25
BOX_NUMBER = "STB-Number"
SIGNATURE = APIKeyHeader(
    name="Signature",
    scheme_name="BoxSignature",
    description="HTTP Message Signatures (RFC 9421) with the box's Ed25519 key, as docs/tsp-api.md profiles them: "
    f"Signature-Input, Signature and Content-Digest, over the box number in {BOX_NUMBER} among others.",
    # A missing signature is refused at the door, in our own words.
    auto_error=False,
)

READ = responses(401, 403, 422, 429, 503)
FIND = responses(401, 403, 404, 422, 429)
CHANGE = responses(401, 403, 404, 409, 413, 422, 429, 503)


Current = Callable[[], TspService]
"""The TSP that answers at this moment; asked for with every request."""


def routers(services: Current, name: str, version: str) -> list[APIRouter]:
    """All routes of the role: the boxes' interface, and the door for notices."""
    stb = APIRouter(prefix="/stb/v1", tags=["Set-top boxes"])
    _before(stb, services, _hello(services, name, version))
    _look(stb, services)
    _order(stb, services)
    _pay(stb, services)
    _card(stb, services)
    _online_card(stb, services)
    _electronic_cash(stb, services)
    _loads(stb, services)
    _accounts(stb, services)
    notices = APIRouter(prefix="/notices/wallets", tags=["Wallets"])
    _notices(notices, services)
    return [stb, notices]


def describe(document: dict[str, Any]) -> None:
    """Completes the description: the box number is required, though its absence is told at the door."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if (parameter["in"], parameter["name"]) == ("header", BOX_NUMBER):
                    parameter["required"] = True
                    parameter["schema"].pop("default", None)


def _hello(services: Current, name: str, version: str) -> Callable[[], models.Hello]:
    """Who answers here, at the present time."""

    def hello() -> models.Hello:
        core = services().core
        return models.Hello(
            name=name,
            version=version,
            api=API,
            test_mode=services().test_mode,
            time=core.clock.now(),
            hotline=core.settings.hotline,
        )

    return hello


async def box(
    request: Request,
    signature: Annotated[str | None, Security(SIGNATURE)] = None,
    number: Annotated[str, Header(alias=BOX_NUMBER)] = "",
) -> str:
    """The box that signed: the door has seen to it. A coroutine: a function would cost every request a thread."""
    known: str = request.state.box
    return known


Box = Annotated[str, Depends(box)]
Why = Annotated[models.Cancellation, Body(default_factory=models.Cancellation)]


async def _use(request: Request, services: Current, scope: str, key: str) -> KeyUse:
    hash = idempotency.request_hash(request.method, request.url.path, await request.body())
    admit = getattr(request.state, "admit", None)  # an enrolment has no nonce to be kept
    return services().core.idempotency.use(scope, key, hash, admit)


async def _once(services: Current, use: KeyUse, work: Callable[[], Awaitable[Answer]]) -> Response:
    return response_of(await services().core.idempotency.run(use, work))


def _before(routes: APIRouter, services: Current, hello: Callable[[], models.Hello]) -> None:
    @routes.get("/hello")
    async def say_hello() -> models.Hello:
        """Who answers here."""
        return hello()

    @routes.post(
        "/enrolments",
        status_code=201,
        response_model=models.Enrolment,
        responses=responses(401, 403, 409, 413, 422, 429, 503),
        dependencies=[Security(SIGNATURE)],
    )
    async def enrol(
        request: Request,
        body: models.EnrolmentRequest,
        key: Key,
        number: Annotated[str, Header(alias=BOX_NUMBER)] = "",
    ) -> Response:
        """Makes a box known by its key."""
        if number != body.box_number:
            raise Problem("signature-invalid")
        signed: Signed = request.state.signed
        services().boxes.check_new(body, signed)
        address = request.client.host if request.client else ""
        # Keys are each key's own: a box that makes itself a new one begins anew.
        use = await _use(request, services, f"enrolment:{body.box_number}:{signed.key_id}", key)
        return await _once(services, use, lambda: services().boxes.enrol(body, address, use))

    @routes.get("/server-keys", responses=FIND)
    async def server_keys(box: Box) -> models.ServerKeys:
        """The keys that answers are signed with; signed with each of them."""
        return models.ServerKeys(server_keys=list((await services().boxes.server_keys.fresh()).told))

    @routes.get("/card-keys", responses=FIND)
    async def card_keys(box: Box) -> models.CardKeys:
        """The keys that card data and PINs are sealed for."""
        return models.CardKeys(card_keys=await services().card_keys.told())

    @routes.post("/keys", response_model=models.Rotated, responses=CHANGE)
    async def rotate(request: Request, box: Box, body: models.Rotation, key: Key) -> Response:
        """Goes over to a new key; the old one holds for a while."""
        use = await _use(request, services, f"box:{box}", key)
        signed: Signed = request.state.signed
        return await _once(services, use, lambda: services().boxes.rotate(box, signed.key_id, body, use))


def _look(routes: APIRouter, services: Current) -> None:
    @routes.get("/home", responses=READ)
    async def home(box: Box) -> wire.Home:
        """What the home page shows."""
        return await services().orders.home(box)

    @routes.get("/services", responses=READ)
    async def all_services(box: Box) -> wire.Services:
        """All services in the order to show."""
        return await services().orders.services(box)

    @routes.get("/services/{service}", responses={**READ, **FIND})
    async def one_service(box: Box, service: str) -> models.ServiceDetail:
        """One service with introduction, terms and past subscriptions."""
        return await services().orders.service(box, service)

    @routes.get("/records", responses=FIND)
    async def records(box: Box) -> models.Records:
        """The last payments and loads of electronic cash, newest first."""
        return await services().orders.records(box)

    @routes.post("/inquiries", status_code=201, response_model=models.Inquiry, responses=CHANGE)
    async def inquire(request: Request, box: Box, body: models.InquiryRequest, key: Key) -> Response:
        """Looks at a card; moves no money."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().orders.inquire(box, body, use))


def _order(routes: APIRouter, services: Current) -> None:
    @routes.post("/orders", status_code=201, response_model=models.Order, responses=CHANGE)
    async def create(request: Request, box: Box, body: models.OrderRequest, key: Key) -> Response:
        """Pre-check and fee; moves no money."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().orders.create(box, body, use))

    @routes.get("/orders/{order}", responses=FIND)
    async def one_order(box: Box, order: str) -> models.Order:
        """An order again."""
        return await services().orders.order(box, order)


def _pay(routes: APIRouter, services: Current) -> None:
    @routes.post("/orders/{order}/payments", status_code=201, response_model=models.Payment, responses=CHANGE)
    async def begin(
        request: Request, box: Box, order: str, body: models.PaymentRequest, key: Key
    ) -> Response:
        """Begins to pay."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().payments.begin(box, order, body.method, use))

    @routes.get("/payments/{payment}", responses=FIND)
    async def watch(
        box: Box,
        payment: str,
        after: Annotated[int, Query(ge=-1)] = -1,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)] = 0,
    ) -> models.Payment:
        """A payment, at once or when it changes."""
        return await services().payments.watch(box, payment, after, wait)

    @routes.post("/payments/{payment}/cancel", response_model=models.Payment, responses=CHANGE)
    async def cancel(request: Request, box: Box, payment: str, body: Why, key: Key) -> Response:
        """Cancels what is not paid."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().payments.cancel(box, payment, body.reason, use))


def _card(routes: APIRouter, services: Current) -> None:
    @routes.post("/payments/{payment}/card", response_model=models.Leased, responses=CHANGE)
    async def card(
        request: Request,
        box: Box,
        payment: str,
        body: models.CardData,
        key: Key,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)] = 0,
    ) -> Response:
        """Card check, balance check, lease of a PSAM; waits in the queue for one."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().cards.check(box, payment, body, use, wait))

    @routes.post("/payments/{payment}/init", response_model=models.Authorised, responses=CHANGE)
    async def init(request: Request, box: Box, payment: str, body: models.PurchaseInit, key: Key) -> Response:
        """MAC1; the payment is unknown from here on."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().cards.authorise(box, payment, body, use))

    @routes.post("/payments/{payment}/debit", response_model=models.Payment, responses=CHANGE)
    async def debit(request: Request, box: Box, payment: str, body: models.DebitProof, key: Key) -> Response:
        """The card's proof of its debit."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().proofs.debited(box, payment, body, use))

    @routes.post("/payments/{payment}/not-debited", response_model=models.Payment, responses=CHANGE)
    async def not_debited(
        request: Request, box: Box, payment: str, body: models.NotDebited, key: Key
    ) -> Response:
        """The card's proof that it did not debit."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().proofs.not_debited(box, payment, body, use))


def _online_card(routes: APIRouter, services: Current) -> None:
    @routes.post("/payments/{payment}/authorisation", response_model=models.Authorisation, responses=CHANGE)
    async def authorise(
        request: Request, box: Box, payment: str, body: models.AuthorisationRequest, key: Key
    ) -> Response:
        """Asks the issuer of a debit or credit card; the payment is unknown from here on."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().online_cards.authorise(box, payment, body, use))

    @routes.post("/payments/{payment}/completion", response_model=models.Payment, responses=CHANGE)
    async def complete(
        request: Request, box: Box, payment: str, body: models.Completion, key: Key
    ) -> Response:
        """The card's last word."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().online_cards.complete(box, payment, body, use))


def _accounts(routes: APIRouter, services: Current) -> None:
    @routes.post(
        "/account-inquiries", status_code=201, response_model=models.AccountBalance, responses=CHANGE
    )
    async def account(request: Request, box: Box, body: models.AuthorisationRequest, key: Key) -> Response:
        """Asks a card's issuer what is in its account; moves no money."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().account_inquiries.ask(box, body, use))


def _loads(routes: APIRouter, services: Current) -> None:
    @routes.post("/card-loads", status_code=201, response_model=models.Load, responses=CHANGE)
    async def begin_load(request: Request, box: Box, body: models.LoadRequest, key: Key) -> Response:
        """A load of electronic cash; moves no money yet."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().card_loads.begin(box, body.amount_fen, use))

    @routes.get("/card-loads/{load}", responses=FIND)
    async def one_load(box: Box, load: str) -> models.Load:
        """A load as it stands."""
        return await services().card_loads.look(box, load)

    @routes.post(
        "/card-loads/{load}/authorisation", response_model=models.LoadAuthorisation, responses=CHANGE
    )
    async def authorise_load(
        request: Request, box: Box, load: str, body: models.LoadAuthorisationRequest, key: Key
    ) -> Response:
        """Asks the issuer; the load is unknown from here on."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().card_loads.authorise(box, load, body, use))

    @routes.post("/card-loads/{load}/completion", response_model=models.Load, responses=CHANGE)
    async def complete_load(
        request: Request, box: Box, load: str, body: models.LoadCompletion, key: Key
    ) -> Response:
        """What the card has done."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().card_loads.complete(box, load, body, use))


def _electronic_cash(routes: APIRouter, services: Current) -> None:
    @routes.post("/payments/{payment}/offline", response_model=models.Payment, responses=CHANGE)
    async def begin_cash(
        request: Request, box: Box, payment: str, body: models.CashBegin, key: Key
    ) -> Response:
        """A card is to pay with its electronic cash; the payment is unknown from here on."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(services, use, lambda: services().electronic_cash.begin(box, payment, body, use))

    @routes.post("/payments/{payment}/certificate", response_model=models.Payment, responses=CHANGE)
    async def certified(
        request: Request, box: Box, payment: str, body: models.Certificate, key: Key
    ) -> Response:
        """The card's certificate (TC): it has paid."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(
            services, use, lambda: services().electronic_cash.certified(box, payment, body, use)
        )

    @routes.post("/payments/{payment}/no-certificate", response_model=models.Payment, responses=CHANGE)
    async def not_certified(
        request: Request, box: Box, payment: str, body: models.NoCertificate, key: Key
    ) -> Response:
        """Where a card stands that has given none, or whose certificate was lost on its way."""
        use = await _use(request, services, f"box:{box}", key)
        return await _once(
            services, use, lambda: services().electronic_cash.not_certified(box, payment, body, use)
        )


def _notices(routes: APIRouter, services: Current) -> None:
    @routes.post("/{wallet}", status_code=204, responses=responses(401, 404, 413, 503))
    async def notice(request: Request, wallet: str) -> Response:
        """A wallet's notice; signed as that wallet signs."""
        await services().wallets.notice(wallet, request.headers, await request.body())
        return Response(status_code=204)
