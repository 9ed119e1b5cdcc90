"""All services: what each is, what it costs from, and whether I have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from screens.loading import LoadingPage
from screens.parts import button, message, service_icon, service_pill
from screens.words import from_price_parts
from stb_app.journeys import Service
from stb_app.journeys.base import Journey
from stb_app.kit.nodes import Column, Grid, Grow, Node, Row, Scroll, Space, Target, Text


class ServicesScreen(LoadingPage[tuple[Service, ...]]):
    """The catalogue as cards. OK opens one; Back from there finds the focus where it was."""

    id = "services"

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.services()
        return journey

    def crumbs(self) -> Sequence[str]:
        return (self.t("Order services"),)

    def on_return(self) -> None:
        self.load()

    def content(self, value: tuple[Service, ...]) -> Node:
        if not value:
            return message(
                "info",
                self.t("There is nothing to order just now"),
                self.t("Please look in again later."),
                (button("back", self.t("Back"), "primary"),),
            )
        cards = tuple(self._card(service) for service in value)
        columns = 3 if self.app.settings.text_scale == 100 else 2
        return Scroll("list", Grid(cards, columns))

    def on_ok(self, key: str) -> None:
        if key.startswith("service:"):
            self.app.push("service", service=key.removeprefix("service:"))
        else:
            super().on_ok(key)

    def _card(self, service: Service) -> Target:
        name = self.say(service.name)
        before, figure, after = from_price_parts(self.t, service)
        price: list[Node] = [Text(figure, "price", "money", wrap=False)]
        if before.strip():
            price.insert(0, Text(before.strip(), "small", "secondary", wrap=False))
        if after.strip():
            price.append(Text(after.strip(), "small", "secondary", wrap=False))
        pill = service_pill(self.t, service)
        foot = Row((Row(tuple(price), gap=8), Space(grow=1), *((pill,) if pill else ())), gap=12)
        return Target(
            f"service:{service.service}",
            Column(
                (
                    Row((service_icon(service, 80), Grow(Text(name, "row-bold"))), gap=24),
                    Text(self.say(service.summary), "small"),
                    foot,
                ),
                gap=10,
                justify="between",
                grow=1,
            ),
            "card",
            text=f"{name} {before}{figure}{after}",
        )
