"""The back office as an application of its own below ``/backoffice``: who is let in, and what every answer carries."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import assets
from server_stub.backoffice import staff, typed
from server_stub.backoffice.errors import Forged, NotAllowed, Refused, Unknown
from server_stub.backoffice.office import Office
from server_stub.backoffice.pages import PAGES
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Page
from server_stub.backoffice.signin import Session, form_token
from server_stub.backoffice.visit import PREFIX, SESSION, Form, Visit
from server_stub.backoffice.words import N_
from server_stub.foundation import correlation, measures
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.database import outage

Current = Callable[[], Office]
"""The back office that answers at this moment; asked for with every request."""
STATIC = Path(str(resources.files("server_stub.backoffice"))) / "static"
FONTS = ("NotoSansSC-Regular.ttf", "NotoSansSC-Bold.ttf")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
log = structlog.get_logger(__name__)


class Named(NamedTuple):
    """A route as metrics and log name it."""

    path: str


def mount(current: Current) -> Mount:
    """All of the back office."""
    app = Starlette(
        routes=[
            Route("/static/fonts/{name}", _font),
            Route("/static/{name}", _static),
            *(_route(page, current) for page in PAGES),
        ],
        exception_handlers={HTTPException: _handler(current)},
    )
    return Mount(PREFIX, app=SafeHeaders(app))


class SafeHeaders:
    """Every answer says what a browser may do with it, and that nobody keeps it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


def _route(page: Page, current: Current) -> Route:
    async def answer(request: Request) -> Response:
        request.scope["route"] = Named(PREFIX + page.path)
        return await _answer(page, current(), request)

    return Route(page.path, answer, methods=[page.method])


async def _answer(page: Page, office: Office, request: Request) -> Response:
    """Lets somebody in or not, has the page made, and turns what went wrong into a page of its own."""
    visit = None
    try:
        session = await _session(office, request, used=not page.live)
        body = await request.body() if page.method != "GET" else b""
        people = await office.database.look(staff.full_names) if session is not None else {}
        if session is not None:
            await office.look_at_settings()
        visit = Visit(
            office, request, session, Form(parse_qsl(body.decode("utf-8", "replace"), True)), people
        )
        if page.right is not Right.OPEN and session is None:
            return _to_sign_in(visit, page)
        if page.method != "GET":
            _expect_ours(visit)
        if not visit.may(page.right):
            if visit.person.once:
                return visit.go("/password")
            raise NotAllowed
        response = await page.answer(visit)
        return response if session is None else _filled_in(visit, response)
    except Refused as refused:
        assert visit is not None
        measures.refuse(request.scope, refused.code)
        log.info("page-refused", why=type(refused).__name__, route=PREFIX + page.path)
        return refusal(visit, refused)
    except Exception as error:
        if (told := outage(error)) is None:
            log.exception("fault", method=page.method, route=PREFIX + page.path)
        else:
            log.error("database-away", error=told, route=PREFIX + page.path)
        shown = visit or Visit(office, request, None, Form(()))
        facts = {"title": shown.t(N_("Something went wrong here")), "correlation": correlation.current()}
        facts |= _written(shown)
        text = shown.t(N_("The fault is in the log. Tell whoever runs the server this number:"))
        return shown.page("error.html", 500, **facts, text=text, number=500)


async def _session(office: Office, request: Request, *, used: bool) -> Session | None:
    token = request.cookies.get(SESSION, "")
    return await office.sign_in.session(token, used=used) if token else None


def _to_sign_in(visit: Visit, page: Page) -> Response:
    """To the sign-in, and from there back: to the page, or to the one on which the form stands that was sent."""
    had = "session-over" if SESSION in visit.request.cookies else ""
    wanted = visit.here if page.method == "GET" and not visit.live else ""
    kept = ""
    if page.method != "GET" and _was_ours(visit):
        wanted = PREFIX + visit.back()
        path, _, query = wanted.partition("?")
        stands = f"{path}?{urlencode({**dict(parse_qsl(query)), 'done': 'typed'})}"
        kept = typed.written(typed.typed(stands, visit.here, visit.form.pairs))
        wanted = stands if kept else wanted
    to = f"?{urlencode({'to': wanted})}" if wanted not in ("", PREFIX + "/") else ""
    response = visit.go("/sign-in" + to, had)
    if kept:
        visit.set_cookie(response, typed.COOKIE, kept, typed.SECONDS)
    return response


def _was_ours(visit: Visit) -> bool:
    """Whether a form comes from a page of the session that has ended: another site puts no words into anybody's mouth."""
    secret = visit.request.cookies.get(SESSION, "")
    sent = visit.form.get("csrf", "").encode("utf-8", "replace")
    return (
        secret != ""
        and _from_here(visit.request.headers)
        and hmac.compare_digest(sent, form_token(secret).encode())
    )


def _filled_in(visit: Visit, response: Response) -> Response:
    """The page of a form that was sent after its session had ended, with what was typed; once."""
    kept = typed.read(visit.request.cookies.get(typed.COOKIE, ""))
    if kept is None or kept.page != visit.here or not isinstance(response, HTMLResponse):
        return response
    response.body = typed.filled(bytes(response.body).decode(), kept).encode()
    response.headers["content-length"] = str(len(response.body))
    visit.set_cookie(response, typed.COOKIE, "")
    return response


def _expect_ours(visit: Visit) -> None:
    """Raises Forged for a request that another site may have made."""
    headers = visit.request.headers
    token = headers.get("x-csrf-token") or visit.form.get("csrf", "")
    if not _from_here(headers):
        raise Forged(N_("Nothing was changed. The form did not come from this back office."))
    if not hmac.compare_digest(token.encode("utf-8", "replace"), visit.form_token.encode()):
        raise Forged


def _from_here(headers: Headers) -> bool:
    """Whether a browser says that one of our pages has sent it; or says nothing."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None or origin is None:
        return site in ("same-origin", "none", None)
    # Over plain HTTP, or from an old browser. Schemes are not compared: a proxy may have taken the TLS away.
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


_NOTHING_WRITTEN = {"back": "/", "typed": ""}
"""Another site puts no words into anybody's mouth."""


def _written(visit: Visit) -> dict[str, str]:
    """The way back to a form that came to nothing, and the words that were typed there."""
    words = visit.form.text("reason", 500) or visit.form.text("note", 500)
    return {"back": visit.back(), "typed": hidden(words)}


def refusal(visit: Visit, refused: Refused) -> Response:
    """The page of something that was refused: with the way back to its form, and the words that were typed there."""
    facts: dict[str, Any] = {"title": visit.t(refused.title), "text": visit.worded(refused.said)}
    facts |= _NOTHING_WRITTEN if isinstance(refused, Forged) else _written(visit)
    return visit.page("error.html", refused.status, **facts, number=refused.status, correlation=None)


def _handler(current: Current) -> Callable[[Request, Exception], Any]:
    async def no_page(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        session = await _session(current(), request, used=True)
        refused = Unknown()
        refused.status = error.status_code
        return refusal(Visit(current(), request, session, Form(())), refused)

    return no_page


async def _static(request: Request) -> Response:
    return _file(request.path_params["name"], STATIC, (one.name for one in STATIC.iterdir()))


async def _font(request: Request) -> Response:
    return _file(request.path_params["name"], assets.path("fonts"), FONTS)


def _file(name: str, folder: Path, known: Iterable[str]) -> Response:
    if name not in known:
        raise HTTPException(404)
    return FileResponse(folder / name, headers={"cache-control": "max-age=3600"})
