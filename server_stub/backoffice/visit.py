"""One request of one person: who asks, in which language, with what right, and how they are answered."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server_stub.backoffice import frame, proposals, sentences, words
from server_stub.backoffice.rights import Right
from server_stub.backoffice.signin import Session, form_token
from server_stub.backoffice.staff import LANGUAGES, Person
from server_stub.foundation import card_numbers
from server_stub.foundation.sentences import Sentence

if TYPE_CHECKING:
    from server_stub.backoffice.office import Office

PREFIX = "/backoffice"
SESSION, FORM, LANGUAGE = "backoffice_session", "backoffice_form", "backoffice_language"
"""Cookies."""


class Form(Mapping[str, str]):
    """What a form or query says: text, trimmed, without what no database takes.

    Attributes:
        pairs: all names and values, in their order.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = [(name, text.replace("\0", "").strip()) for name, text in pairs]
        self._last = dict(self.pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Any:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str) -> list[str]:
        """Every value of a name: of boxes that were ticked."""
        return [text for key, text in self.pairs if key == name]

    def text(self, name: str, longest: int = 200) -> str:
        """A value, "" where there is none, cut where it is too long."""
        return self._last.get(name, "")[:longest]

    def number(self, name: str, otherwise: int = 0) -> int:
        """A value that is a whole number from 0 on."""
        text = self._last.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


class Visit:
    """One request.

    Attributes:
        office: the back office's parts.
        form: what was posted.
        query: what stands in the address.
        path: the values in the path.
        session: None: nobody is signed in.
        people: full names of staff by the names they sign in with.
    """

    def __init__(
        self,
        office: Office,
        request: Request,
        session: Session | None,
        form: Form,
        people: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.people = people
        self.office = office
        self.request = request
        self.session = session
        self.form = form
        self.query = Form(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.path: Mapping[str, str] = request.path_params
        self._new_secret = ""
        secret = session.token if session is not None else request.cookies.get(FORM, "")
        if not secret:
            secret = self._new_secret = secrets.token_urlsafe(32)
        self.form_token = form_token(secret)
        wished = request.cookies.get(LANGUAGE) or _accepted(request.headers.get("accept-language", ""))
        self.language = (session.person.language if session is not None else "") or wished
        if self.language not in LANGUAGES:
            self.language = LANGUAGES[0]

    @property
    def person(self) -> Person:
        """Who is signed in."""
        assert self.session is not None
        return self.session.person

    @property
    def address(self) -> str:
        """Where the request came from."""
        return self.request.client.host if self.request.client is not None else "unknown"

    @property
    def live(self) -> bool:
        """Whether htmx asks, for a part of a page."""
        return "hx-request" in self.request.headers and "hx-boosted" not in self.request.headers

    @property
    def here(self) -> str:
        """Path and query of this page, to come back to."""
        query = self.request.url.query
        path = self.request.scope["root_path"] + _within(self.request)
        return quote(path) + (f"?{query}" if query else "")

    def standing(self, proposal: Row[Any]) -> str:
        """How a proposal stands, of PROPOSAL_STATES."""
        return proposals.standing(proposal, self.office.clock.now())

    def may(self, right: str) -> bool:
        """Whether this person may do what needs that right."""
        rights = self.person.rights if self.session is not None else frozenset({Right.OPEN})
        return Right(right) in rights

    def who(self, name: str | None) -> str:
        """The full name of a member of staff; of somebody else, or of whom none is known, the name as it is."""
        return self.people.get(name or "") or name or ""

    def t(self, message: str, **values: Any) -> str:
        """A message in this person's language."""
        return words.said(self.language, message, **values)

    def worded(self, sentence: Sentence) -> str:
        """What a role has said, in this person's language."""
        return sentences.whole(self.language, sentence)

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        """A page, or the part of one that htmx asked for, from a template."""
        return self.keep(HTMLResponse(frame.render(self, template, facts), status))

    def go(self, path: str, done: str = "", **query: str) -> Response:
        """On to another page after something was done, so that loading it again does nothing twice.

        Args:
            path: below ``/backoffice``.
            done: a key of ``frame.DONE``: what is said at the top of the next page.
        """
        named = {**query, **({"done": done} if done else {})}
        target = PREFIX + path + (("&" if "?" in path else "?") + urlencode(named) if named else "")
        if self.live:
            return self.keep(Response(status_code=204, headers={"HX-Redirect": target}))
        return self.keep(RedirectResponse(target, 303))

    def ask(
        self, title: str, text: str, verb: str, *, what: str = "", destroys: bool = False, **values: Any
    ) -> Response | None:
        """Before what cannot be undone: a page that asks; None once that was confirmed.

        Args:
            title, text, verb: messages: what is asked, what it means, and the words on the button.
            what: what was chosen, a message or words of this page already.
            destroys: something ends for good: the button is red.
            values: of the text's ``%(name)s``.
        """
        if self.form.get("confirmed") == "yes":
            return None
        kept = [(name, text) for name, text in self.form.pairs if name not in ("csrf", "confirmed")]
        back = self.form.text("back", 500)
        back = back if _ours(back) else PREFIX + "/"
        facts: dict[str, Any] = {
            # The menu shows whose question it is.
            "active": re.split(r"[/?]", back.removeprefix(PREFIX))[1],
            "title": self.t(title),
            "what": self.t(what),
            "text": self.t(text, **values),
            "verb": self.t(verb),
            "kept": kept,
            "destroys": destroys,
        }
        return self.page("confirm.html", **facts, back=back)

    def back(self) -> str:
        """Where a form says that it stood, below ``/backoffice``; home where it says nothing that is ours."""
        said = self.form.text("back", 500)
        return said.removeprefix(PREFIX) if _ours(said) else "/"

    def keep(self, response: Response) -> Response:
        """The response with the cookie that forms without a session need."""
        if self._new_secret:
            self.set_cookie(response, FORM, self._new_secret)
        return response

    def set_cookie(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        """Sets one of our cookies, for so long or until the browser is closed; an empty value takes it away."""
        secure = self.request.url.scheme == "https"
        response.set_cookie(
            name,
            value,
            max_age=seconds if value else 0,
            path=PREFIX,
            secure=secure,
            httponly=True,
            samesite="strict",
        )


def _within(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope["root_path"])


def _ours(path: str) -> bool:
    """Whether a path is one of the back office, and of no other place."""
    plain = path.startswith(PREFIX + "/") and path.isprintable() and ".." not in path.partition("?")[0]
    return plain and not card_numbers.has_whole(path)


def _accepted(header: str) -> str:
    """The first of our languages that a browser asks for."""
    for part in header.split(","):
        language = part.partition(";")[0].strip()[:2].lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]
