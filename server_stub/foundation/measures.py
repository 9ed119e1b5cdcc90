"""What a process counts by itself as it works (docs/operations.md, Metrics); the rest is read when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
GROUPS = (1, 2, 4, 8, 16, 32, 64)
ELSEWHERE = "other"
"""The label of a path that is no route: what strangers ask for must not make new series."""


class Measures:
    """The counters of one process, in a registry of their own.

    Args:
        version: of the program.
        roles: that run here.
    """

    def __init__(self, version: str, roles: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "stb_request_seconds",
            "Time to answer a request; its count is the number of requests.",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "stb_refusals",
            "Requests that were refused, by the problem's code.",
            ("code",),
            registry=self.registry,
        )
        self._sign_ins = Counter(
            "stb_staff_sign_ins",
            "Passwords that staff have given, by what came of it: in, refused, paused.",
            ("outcome",),
            registry=self.registry,
        )
        self._commits = Histogram(
            "stb_database_commit_seconds",
            "Time of one commit with all the work in it.",
            ("role",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._groups = Histogram(
            "stb_database_group_size",
            "Transactions that shared one commit.",
            ("role",),
            buckets=GROUPS,
            registry=self.registry,
        )
        build = Gauge("stb_build_info", "Always 1.", ("version", "roles"), registry=self.registry)
        build.labels(version, ",".join(roles)).set(1)

    def answered(self, method: str, route: str, status: int, seconds: float, refused: str | None) -> None:
        """A request has been answered."""
        self._requests.labels(method, route, str(status)).observe(seconds)
        if refused is not None:
            self._refusals.labels(refused).inc()

    def signed_in(self, outcome: str) -> None:
        """A member of staff, or somebody who is none, has given a password."""
        self._sign_ins.labels(outcome).inc()

    def commits(self, role: str) -> Callable[[int, float], None]:
        """What a role's database tells its commits to: how many transactions, how many seconds."""
        seconds, groups = self._commits.labels(role), self._groups.labels(role)

        def committed(transactions: int, took: float) -> None:
            seconds.observe(took)
            groups.observe(transactions)

        return committed


class Measured:
    """Counts every request."""

    def __init__(self, app: ASGIApp, measures: Callable[[], Measures]) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, look)
        finally:
            route = route_of(scope)
            method = scope["method"] if route != ELSEWHERE else ELSEWHERE
            took = time.perf_counter() - began
            self._measures().answered(method, route, status, took, refused(scope))


def route_of(scope: Scope) -> str:
    """The route that answers a request, as it was declared: without what stands in the path's variables."""
    return str(getattr(scope.get("route"), "path", ELSEWHERE))


def refuse(scope: Scope, code: str) -> None:
    """Remembers, for whoever counts, why a request is refused."""
    scope.setdefault("state", {})["refused"] = code


def refused(scope: Scope) -> str | None:
    """Why a request was refused; None when it was not."""
    code: str | None = scope.get("state", {}).get("refused")
    return code
