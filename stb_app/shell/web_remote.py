"""The web remote: the picture, its machine-readable twin, and every key, over HTTP. For browsers and for
testers.

    GET  /                         a page with the live picture and a remote control
    GET  /screen.json              what is to be seen; ?after=VERSION&wait=SECONDS waits for something else;
                                   ?layout=1 adds {"layout": {"clipped": [TEXT ...],
                                   "overlapping": [[A, B] ...]}}: texts that do not fit where they belong, and
                                   pairs of texts, or of targets' keys, that lie over each other
    GET  /screen.png               the picture; header Screen-Version says which version of screen.json it
                                   shows
    GET  /card                     the simulated slot, the profiles it takes, its faults that are ordered and have happened
    POST /keys/KEY_OK              a key; ?state=press (default), down or up; 204 when it is handled and
                                   drawn; header Key-Used: 0 when nobody wanted it (a second OK within 300 ms,
                                   say)
    POST /clock/freeze, /thaw      stops clock, countdowns and animations; {"at": "2026-11-21T19:32:00+08:00"}
    POST /card/insert/PROFILE      puts a simulated card in
    POST /card/pull                pulls it out; ?when=before-debit or after-debit: at the next debit
    POST /card/faults              {"faults": ["pull@80AE", "delay@3:2000", ...]}: these are ordered now, and no others
                                   (stb-card fault --help says how they are written)
    POST /settings                 {"language": "en", "text_scale": 150, ...}

Another address is answered 404, another method 405 with what is allowed.

Nothing that is asked here is logged: keys may be digits of a PIN.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import socketserver
import threading
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from cardreader.errors import ProtocolError
from stb_app.shell.app import App, KeyState
from stb_app.shell.keys import KEYS
from stb_app.shell.loop import Events, Loop
from stb_app.shell.web_guard import refusal

if TYPE_CHECKING:
    import pygame

    from cardreader.reader import SimulatedSlot

T = TypeVar("T")
log = logging.getLogger(__name__)
LONGEST_WAIT_S = 25.0
ANSWER_WITHIN_S = 5.0
LARGEST_BODY = 64 * 1024
_STATES: dict[str, KeyState] = {"press": "press", "down": "down", "up": "up"}
PULL_WHEN = ("before-debit", "after-debit")
_PAGE = Path(__file__).with_name("web_remote.html")


class Refused(Exception):
    """A request that cannot be served: status, the body that says why, and the header ``Allow``, if any."""

    def __init__(self, status: int, error: str, *, allow: str | None = None, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **more}
        self.headers = {"Allow": allow} if allow else {}


class Bridge:
    """From HTTP threads to the drawing thread and back."""

    def __init__(self, loop: Loop, events: Events, surface: Callable[[], pygame.Surface]) -> None:
        self._loop = loop
        self._events = events
        self._surface = surface
        self._news = threading.Condition()
        self._version = loop.app.version
        loop.on_picture = self._publish

    def ask(
        self, act: Callable[[App], T], then: Callable[[App], Any] = lambda _: None, rest: bool = False
    ) -> tuple[T, Any]:
        """Has ``act`` made on the drawing thread, and ``then`` when its effect is in the picture.

        With ``rest`` only when the picture has come to rest.

        Returns what both gave. Raises what ``act`` raised, and Refused when the television does not answer.
        """
        done = threading.Event()
        answer: list[Any] = []
        failure: list[BaseException] = []

        def call() -> None:
            try:
                answer.append(act(self._loop.app))
            except Exception as error:  # noqa: BLE001 - it is raised again on the thread that asked
                failure.append(error)
                done.set()
            else:
                (self._loop.when_at_rest if rest else self._loop.after_drawing)(finish)

        def finish() -> None:
            try:
                answer.append(then(self._loop.app))
            except Exception as error:  # noqa: BLE001 - as above
                failure.append(error)
            done.set()

        self._events.post(call)
        if not done.wait(ANSWER_WITHIN_S):
            raise Refused(503, "the television does not answer")
        if failure:
            raise failure[0]
        return answer[0], answer[1]

    def snapshot(self, layout: bool = False) -> dict[str, Any]:
        """The body of screen.json."""
        snapshot: dict[str, Any] = self.ask(lambda _: None, lambda app: app.snapshot(layout))[1]
        return snapshot

    def picture(self, seen: str | None) -> tuple[str, int, pygame.Surface | None]:
        """(tag, version, copy of the picture); no copy when ``seen`` is its tag already."""

        def look(app: App) -> tuple[str, int, pygame.Surface | None]:
            tag = f'"{self._loop.frames}"'
            return tag, app.version, None if tag == seen else self._surface().copy()

        found: tuple[str, int, pygame.Surface | None] = self.ask(lambda _: None, look, rest=True)[1]
        return found

    def wait_for_news(self, after: int, seconds: float) -> None:
        """Returns when the version is greater than ``after``, at the latest after ``seconds``."""
        with self._news:
            self._news.wait_for(lambda: self._version > after, seconds)

    def _publish(self, version: int) -> None:
        with self._news:
            self._version = version
            self._news.notify_all()


class WebRemote:
    """The server; ``url`` is where it can be found."""

    def __init__(self, bridge: Bridge, host: str, port: int, font: Path | None = None) -> None:
        """Listens at once; port 0 takes a free one. Raises OSError when it cannot."""
        handler = type("Handler", (_Handler,), {"bridge": bridge, "bound_to": host, "font": font})
        self._server = _Server((host, port), handler)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}/"
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="web-remote", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Takes no more requests; those under way may end."""
        self._closing = True
        # The thread sleeps until somebody comes: come.
        with socket.socket(self._server.address_family) as caller:
            caller.settimeout(1.0)
            caller.connect_ex(self._server.server_address)
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        # Not serve_forever: that looks twice a second whether it has been closed.
        while not self._closing:
            self._server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Not HTTPServer's own: it asks the name service who we are, which can take seconds.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A browser that goes away in the middle of an answer is no event.
        log.debug("a connection of the web remote ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    bridge: ClassVar[Bridge]
    bound_to: ClassVar[str]
    font: ClassVar[Path | None]
    protocol_version = "HTTP/1.1"
    server_version = "stb-app"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        self._serve(self.command)

    do_POST = do_GET
    # Methods that there are, though nothing here takes them: 405 and not 501 (RFC 9110, 15.5.6 and 15.6.2).
    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def do_HEAD(self) -> None:
        self._serve("GET")  # all but the body

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a path may hold a digit of a PIN."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a method that there is not, a broken request line), in the form of all other answers."""
        self.close_connection = True
        self._json({"error": message or HTTPStatus(code).phrase}, code)

    def _serve(self, method: str) -> None:
        try:
            body = self._body()
            reason = refusal(method, dict(self.headers.items()), self.bound_to)
            if reason:
                raise Refused(403, reason)
            url = urlsplit(self.path)
            self._route(method, unquote(url.path), dict(parse_qsl(url.query)), body)
        except Refused as refused:
            self._json(refused.body, refused.status, refused.headers)
        except ConnectionError:
            raise
        except Exception:
            log.exception("the web remote failed")
            self._json({"error": "the television could not do that; its log says why"}, 500)

    def _route(self, method: str, path: str, query: dict[str, str], body: bytes) -> None:
        get = {
            "/": self._page,
            "/screen.json": self._screen,
            "/screen.png": self._png,
            "/card": self._card,
            "/font.ttf": self._font,
        }
        post = {
            "/clock/freeze": self._freeze,
            "/clock/thaw": self._thaw,
            "/card/pull": self._pull,
            "/card/faults": self._faults,
            "/settings": self._settings,
        }
        if path in get or path in post:
            wanted = "GET" if path in get else "POST"
            if method != wanted:
                raise Refused(405, f"{path} takes {wanted}", allow="GET, HEAD" if wanted == "GET" else wanted)
            (get[path](query) if path in get else post[path](query, body))
        elif path.startswith(("/keys/", "/card/insert/")):
            if method != "POST":
                raise Refused(405, f"{path.rsplit('/', 1)[0]} takes POST", allow="POST")
            name = path.rsplit("/", 1)[1]
            (self._key(name, query) if path.startswith("/keys/") else self._insert(name))
        else:
            raise Refused(404, f"there is no {path} here")

    # What can be seen

    def _page(self, query: dict[str, str]) -> None:
        self._send(200, "text/html; charset=utf-8", _PAGE.read_bytes())

    def _font(self, query: dict[str, str]) -> None:
        if self.font is None:
            raise Refused(404, "there is no font here")
        self._send(200, "font/ttf", self.font.read_bytes(), cache="max-age=86400")

    def _screen(self, query: dict[str, str]) -> None:
        if "after" in query:
            after, wait = _number(query, "after", -1), _number(query, "wait", LONGEST_WAIT_S)
            self.bridge.wait_for_news(int(after), max(0.0, min(wait, LONGEST_WAIT_S)))
        self._json(self.bridge.snapshot(query.get("layout") == "1"))

    def _png(self, query: dict[str, str]) -> None:
        import pygame

        tag, version, copy = self.bridge.picture(self.headers.get("If-None-Match"))
        headers = {"ETag": tag, "Screen-Version": str(version)}
        if copy is None:
            self._send(304, None, b"", headers)
            return
        file = io.BytesIO()
        pygame.image.save(copy, file, "screen.png")  # lets go of the interpreter while it packs
        self._send(200, "image/png", file.getvalue(), headers)

    def _card(self, query: dict[str, str]) -> None:
        slot, _ = self.bridge.ask(lambda app: app.slot)
        if slot is None:
            self._json({"slot": False, "profile": None, "profiles": [], "faults": [], "happened": []})
            return
        about = {"slot": True, "profile": slot.profile, "profiles": _profiles(slot)}
        happened = [{"command": number, "fault": fault} for number, fault in slot.happened]
        self._json({**about, "faults": list(slot.faults), "happened": happened})

    # What can be done

    def _key(self, name: str, query: dict[str, str]) -> None:
        if name not in KEYS:
            raise Refused(404, f"there is no key {name!r}", keys=list(KEYS))
        state = _STATES.get(query.get("state", "press"))
        if state is None:
            raise Refused(400, f"state is one of {', '.join(_STATES)}")
        # Who presses faster than a person, having seen what has opened, means it: no double press, and not a key for
        # the page before. A hand on the page's buttons says "down", and is treated as one.
        press = (lambda app: app.press(name)) if state == "press" else (lambda app: app.key(name, state))
        used, version = self.bridge.ask(press, lambda app: app.version)
        self._send(204, None, b"", {"Key-Used": str(int(used)), "Screen-Version": str(version)})

    def _freeze(self, query: dict[str, str], body: bytes) -> None:
        at = _object(body).get("at")
        try:
            when = None if at is None else datetime.fromisoformat(at)
        except (TypeError, ValueError):
            raise Refused(400, f"at is an ISO 8601 instant with offset, not {at!r}") from None
        if when is not None and when.tzinfo is None:
            raise Refused(400, "at needs an offset, e.g. 2026-11-21T19:32:00+08:00")
        self.bridge.ask(lambda app: app.freeze(when))
        self._send(204)

    def _thaw(self, query: dict[str, str], body: bytes) -> None:
        self.bridge.ask(App.thaw)
        self._send(204)

    def _insert(self, profile: str) -> None:
        slot = self._slot()
        try:
            if profile not in _profiles(
                slot
            ):  # another file of this machine is for those who start the television
                raise KeyError(profile)
            slot.insert(profile)
        except KeyError:
            raise Refused(404, f"there is no card {profile!r}", profiles=_profiles(slot)) from None
        except ProtocolError as damaged:
            raise Refused(409, str(damaged)) from damaged
        self.bridge.ask(App.refresh_all)
        self._send(204)

    def _pull(self, query: dict[str, str], body: bytes) -> None:
        slot, when = self._slot(), query.get("when")
        if when is None:
            slot.pull()
            self.bridge.ask(App.refresh_all)
        elif when in PULL_WHEN and hasattr(slot, "pull_when"):
            slot.pull_when = when
        else:
            raise Refused(400, f"when is one of {', '.join(PULL_WHEN)}")
        self._send(204)

    def _faults(self, query: dict[str, str], body: bytes) -> None:
        slot, wanted = self._slot(), _object(body).get("faults")
        if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
            raise Refused(400, 'faults is a list of texts like "pull@80AE"')
        before = slot.faults
        slot.forget_faults()
        try:
            for one in wanted:
                slot.order_fault(one)
        except ValueError as error:
            slot.forget_faults()
            for one in before:
                slot.order_fault(one)
            raise Refused(422, str(error)) from error
        self.bridge.ask(App.refresh_all)
        self._send(204)

    def _settings(self, query: dict[str, str], body: bytes) -> None:
        changes = _object(body)
        try:
            self.bridge.ask(lambda app: app.change_settings(**changes))
        except ValueError as error:
            raise Refused(422, str(error)) from error
        self._send(204)

    def _slot(self) -> Any:
        known, _ = self.bridge.ask(lambda app: app.slot_known)
        known.wait(ANSWER_WITHIN_S)  # right after the start the simulator is still being loaded
        slot, _ = self.bridge.ask(lambda app: app.slot)
        if slot is None:
            raise Refused(409, "this television has no simulated card slot (start it with --reader sim:)")
        return slot

    # Bytes

    def _body(self) -> bytes:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST_BODY:
            self.close_connection = True
            raise Refused(413, f"a body has at most {LARGEST_BODY} bytes")
        return self.rfile.read(length)

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(value, ensure_ascii=False).encode(), headers)

    def _send(
        self,
        status: int,
        kind: str | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        cache: str = "no-store",
    ) -> None:
        self.send_response(status)
        if kind is not None:
            self.send_header("Content-Type", kind)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", cache)
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _number(query: dict[str, str], name: str, default: float) -> float:
    try:
        value = float(query.get(name, default))
    except ValueError:
        value = float("nan")
    if not -1e15 < value < 1e15:
        raise Refused(400, f"{name} is a number")
    return value


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, or nested more deeply than anything sensible
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "the body is a JSON object")
    return value


def _profiles(slot: SimulatedSlot) -> list[str]:
    """What can be put in: the simulator's cards, and those of the files that were put in before."""
    from cardreader.sim.profiles import NAMES

    return [*NAMES, *(one.name for one in slot.own)]
