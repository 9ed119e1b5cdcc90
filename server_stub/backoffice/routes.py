"""Pages as data: path, method, the right that is needed, and who answers. Whoever is let in is decided here alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from server_stub.backoffice.rights import Right

if TYPE_CHECKING:
    from server_stub.backoffice.visit import Visit

Answer = Callable[["Visit"], Awaitable[Response]]


class Page(NamedTuple):
    """One route below ``/backoffice``.

    Attributes:
        live: looks again by itself, which keeps nobody's session from idling out.
    """

    method: str
    path: str
    right: Right
    answer: Answer
    live: bool = False


class Pages:
    """The pages of one module."""

    def __init__(self) -> None:
        self.all: list[Page] = []

    def get(self, path: str, right: Right, *, live: bool = False) -> Callable[[Answer], Answer]:
        """Declares a page that shows something and changes nothing."""
        return self._declare("GET", path, right, live)

    def post(self, path: str, right: Right) -> Callable[[Answer], Answer]:
        """Declares an action: it has carried the form's token."""
        return self._declare("POST", path, right, False)

    def _declare(self, method: str, path: str, right: Right, live: bool) -> Callable[[Answer], Answer]:
        def declare(answer: Answer) -> Answer:
            self.all.append(Page(method, path, right, answer, live))
            return answer

        return declare
