"""What several pages do around a purchase: a fresh order in place of one that has ended, and the way back to a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stb_app.journeys import Order
from stb_app.journeys.steps import Loaded, Loading, Refused

if TYPE_CHECKING:
    from stb_app.shell.app import App


def to_service(app: App, service: str) -> None:
    """Back to a service's page, as if just come from home."""
    app.home()
    app.push("service", service=service)


def pay_otherwise(app: App, order: Order) -> None:
    """Opens the ways to pay a fresh order of the same thing: one whose payment has ended cannot be paid again.

    BOSS may refuse it by now; then the service's own page says why.
    """
    _order_anew(app, order, "")


def pay_again(app: App, order: Order, method: str) -> None:
    """The same, up to the question whether to pay it in this way."""
    _order_anew(app, order, method)


def _order_anew(app: App, order: Order, method: str) -> None:
    def on_step(step: Loading | Loaded[Order] | Refused) -> None:
        if isinstance(step, Loading):
            return
        to_service(app, order.service.service)
        if isinstance(step, Loaded):
            app.push("fee", order=step.value)
            app.push("payment-methods", order=step.value)
            for offered in step.value.methods:
                if offered.key == method and offered.enabled:
                    app.push("confirm", order=step.value, method=offered)

    app.start(app.verbs.order(order.service.service, order.term), on_step)
