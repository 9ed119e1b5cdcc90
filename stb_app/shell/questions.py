"""What the television itself asks the person: whether to leave, and whether anybody is still there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stb_app.shell.app import App


def N_(msgid: str) -> str:
    """Marks a message that is translated when it is shown."""
    return msgid


class Questions:
    """Dialogs over whatever page is there; the idle watch's host."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._warned = 0

    def ask_to_leave(self) -> None:
        """Whether to leave the program; staying is the default."""
        if self._app.navigator.top.id == "question":
            return
        self._app.push(
            "question",
            lambda answer: self._app.switch_off() if answer == "off" else None,
            sign="question",
            title=N_("Exit?"),
            text=N_("TV Services will be closed."),
            options=(("stay", N_("Stay")), ("off", N_("Exit"))),
            default="stay",
            countdown=None,
        )

    def may_idle(self) -> bool:
        """Whether the home page may open by itself."""
        return not self._app.navigator.at_home() and not self._app.navigator.holds()

    def warn(self, seconds: int, over: Callable[[], None]) -> None:
        """Asks whether anybody is there; ``over`` when the question is gone."""
        self._warned = len(self._app.navigator.entries)
        self._app.push(
            "question",
            lambda _answer: over(),
            sign="question",
            title=N_("Are you still there?"),
            text=N_("The home page opens by itself. Press any key to stay here."),
            options=(("stay", N_("Stay here")),),
            default="stay",
            countdown=seconds,
        )

    def end_warning(self) -> None:
        """Takes that question away again."""
        if len(self._app.navigator.entries) > self._warned:
            self._app.pop("stay")

    def home(self) -> None:
        self._app.home()
