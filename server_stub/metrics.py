"""``GET /metrics``: what this process has counted, and what the books say now, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from server_stub.foundation.problems import Problem
from server_stub.tsp import machines, measures

if TYPE_CHECKING:
    from server_stub.app import Roles

FORWARDED = ("forwarded", "x-forwarded-for", "via")


class _Read(Collector):
    """What was just read."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def own_application(roles: Roles) -> FastAPI:
    """What listens for those who watch over the server, where they have a listener of their own."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    install(app, lambda: roles, guarded=False)
    return app


def install(app: FastAPI, current: Callable[[], Roles], *, guarded: bool) -> None:
    """Puts the route into an application.

    Args:
        guarded: only for whoever asks from this machine itself, not through a proxy on it.
    """

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        if guarded and not _from_here(request):
            raise Problem("not-found")
        return Response(await scrape(current()), media_type=CONTENT_TYPE_LATEST)


async def scrape(roles: Roles) -> bytes:
    """Everything, one read-only transaction for each role's books."""
    read = CollectorRegistry()
    read.register(_Read([family async for family in _families(roles)]))
    return generate_latest(roles.measures.registry) + generate_latest(read)


async def _families(roles: Roles) -> AsyncIterator[Metric]:
    now = roles.clock.now()
    depth = GaugeMetricFamily("stb_outbox_depth", "Deliveries that are owed.", labels=("role",))
    oldest = GaugeMetricFamily(
        "stb_outbox_oldest_seconds", "Age of the oldest delivery that is owed; 0: none.", labels=("role",)
    )
    boxes = {}
    if roles.tsp is not None:
        boxes["tsp"] = roles.tsp.core.outbox
    if roles.sandbox is not None:
        boxes["sandbox"] = roles.sandbox.outbox
    for role, box in boxes.items():
        owed, since = await box.owed()
        depth.add_metric((role,), owed)
        oldest.add_metric((role,), _age(since, now))
    yield depth
    yield oldest
    if roles.tsp is None:
        return
    parts = roles.tsp.core
    books = await parts.database.read(lambda conn: measures.look(conn, now))
    by_state = GaugeMetricFamily("stb_payments", "Payments, by state.", labels=("state",))
    for state in machines.PAYMENT_SHOWN:
        by_state.add_metric((state,), books.payments.get(state, 0))
    yield by_state
    yield _one(
        "stb_unknown_oldest_seconds",
        "Age of the oldest payment of which nobody knows what became of the money; 0: none.",
        _age(books.unknown_since, now),
    )
    yield _one("stb_suspense_fen", "Money that is neither ours nor the subscribers' yet.", books.suspense_fen)
    yield _one("stb_cases_open", "Cases that wait for a person.", books.cases)
    units = list(parts.psams.values())
    yield _one("stb_psam_pool_configured", "PSAMs that the settings name.", len(parts.settings.psam_urls))
    yield _one("stb_psam_pool_size", "PSAMs that have answered.", len(units))
    yield _one("stb_psam_pool_in_use", "PSAMs that are leased now.", books.leased)
    locked = len(books.locked.intersection(parts.settings.psam_urls))
    yield _one("stb_psam_pool_locked", "PSAMs that have locked themselves.", locked)


def _one(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _from_here(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
