"""The keys that the television takes for itself, whatever page is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stb_app.shell.app import App


def everywhere(app: App, name: str) -> bool:
    """Does what such a key does. True if ``name`` was one."""
    match name:
        case "KEY_LANGUAGE":
            app.set_language("en" if app.language == "zh" else "zh")
        case "KEY_HOME":
            _leave(app, app.home)
        case "KEY_POWER":
            _leave(app, app.ask_to_leave)
        case "KEY_INFO" if app.navigator.top.id != "help":
            app.push("help", bindings=app.bindings())
        case "KEY_BLUE" if app.slot is not None and app.navigator.top.id != "card-tray":
            app.push("card-tray")
        case "KEY_F5" if app.slot is not None:
            if app.slot.profile is None:
                app.insert_card()
            else:
                app.pull_card()
        case _:
            return False
    return True


def _leave(app: App, go: Callable[[], None]) -> None:
    """While a payment holds the television, leaving is Back: the payment asks its own question."""
    if app.navigator.asks_to_leave():
        app.navigator.leave()
    else:
        go()
