"""The page that stands in for one that failed:
plain words and a way on, made of nothing that could fail with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stb_app.kit.nodes import Column, Node, Sign, Space, Target, Text
from stb_app.shell.page import Page

if TYPE_CHECKING:
    from stb_app.shell.app import App


class Apology(Page[None]):
    """Says that a page cannot be shown. What went wrong is in the log, under the page's id."""

    id = "apology"

    def __init__(self, app: App, *, failed: str) -> None:
        super().__init__(app)
        self._failed = failed

    def compose(self) -> Node:
        return Column(
            (
                Space(grow=1),
                Sign("info", 140),
                Text(self.t("This page cannot be shown"), "title", align="center"),
                Text(
                    self.t("Something went wrong in this part of the program. Everything else still works."),
                    color="secondary",
                    align="center",
                ),
                Text(
                    self.t("If you were paying: the payment records say how it ended."),
                    color="secondary",
                    align="center",
                ),
                Target("back", Text(self.t("Back"), "row-bold"), "primary"),
                Space(grow=1),
            ),
            align="center",
        )

    def state(self) -> dict[str, Any]:
        return {"failed": self._failed}

    def on_ok(self, key: str) -> None:
        self.app.pop()
