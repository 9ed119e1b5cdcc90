"""The network between boxes, roles and phones: it loses, delays, doubles and reorders, from the seed."""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import requests
from requests.adapters import BaseAdapter

from server_stub.settings import Settings
from server_stub.tsp.ppp_line import Unanswered
from tests.simulation.loop import result_of
from tests.simulation.plan import Links
from tests.simulation.servers import LINE, Answer, Process, Request

if TYPE_CHECKING:
    from tests.simulation.television import Box
    from tests.simulation.world import Simulation

USUAL_S = 0.03
SLOW_S = 14.0
LATE_SALE = (26, 34)
"""Seconds by which a sale is late where it is: longer than the TSP waits."""
SALE = b"\x02\x00"
NEVER_S = 90.0
LATE = {"init": (9, 14), "cancel": (0, 6)}
"""Seconds by which the request for MAC1 is late, where it is; a cancellation does not overtake it always."""
GOOD = Links()
KEY_ID = re.compile('keyid="([^"]+)"')
"""In a box's signature (RFC 9421, 2.3)."""
KEPT = timedelta(days=Settings().idempotency_days)
"""How long an answer is given again."""


class Refused(Exception):
    """Nobody listens there."""


class Lost(Exception):
    """The connection broke; what happened at the other end is not known."""


class Network:
    """Carries requests to whatever process of a role runs when they arrive.

    Attributes:
        refunds: refund ids by reference, as they reached the wallet.
        answers: what was answered to each use of an idempotency key (role, who, key, path, body), for as long as answers
            are kept: since when, and what.
        effects: how often a signed request was carried out, by path and signature.
        reused: who sent another request with a key that they had used.
        let_in: keys of boxes that opened the door, each with the last instant, by the server's clock, at which it did.
        enrolled: boxes that were enrolled.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.refunds: dict[str, set[str]] = {}
        self.answers: dict[tuple[str, str, str, str, bytes], tuple[datetime, set[tuple[int, bytes]]]] = {}
        self.effects: Counter[tuple[str, str]] = Counter()
        self.reused: list[tuple[str, str]] = []
        self.let_in: dict[str, datetime] = {}
        self.enrolled: list[str] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._outages: dict[str, float] = {}

    def transport(self, process: Process) -> httpx.AsyncBaseTransport:
        """What a role's HTTP client sends through."""
        return _Transport(self, process)

    def sent(self, request: Request, role: str) -> asyncio.Task[Answer]:
        """The same; it goes on when nobody waits for the answer any more, as what is in the network does."""
        task = self._simulation.loop.create_task(self.exchange(request, role), context=contextvars.Context())
        self.tasks[task] = None

        def ended(done: asyncio.Task[Answer]) -> None:
            self.tasks.pop(done, None)
            if not done.cancelled():
                done.exception()  # whoever still waits hears of it

        task.add_done_callback(ended)
        return task

    def line(self, process: Process, answer_s: float) -> PppLine:
        """What a TSP asks PPP through."""
        return PppLine(self, process, answer_s)

    async def exchange(self, request: Request, role: str) -> Answer:
        """A request to a role and its answer, as they fare. Raises Refused, Lost."""
        simulation = self._simulation
        random = simulation.random(f"network {request.source}")
        link = GOOD
        if simulation.faulty:
            link = (
                simulation.plan.box_link if request.source.startswith("box") else simulation.plan.partner_link
            )
            if request.path == LINE:
                link = simulation.plan.ppp_link
        what = f"{request.method} {request.path}"
        cut_off = self._cut_off(request)
        if random.random() < link.lost or cut_off == "lost":
            simulation.note(request.source, f"{what}: lost")
            await self._never()
        if simulation.faulty and simulation.plan.late_init:
            await asyncio.sleep(random.uniform(*LATE.get(request.path.rpartition("/")[2], (0, 0))))
        if request.method == "POST" and random.random() < link.doubled:
            self._later(self._again(request, role, random.random() * random.choice((0.1, 8.0))))
        if simulation.faulty and simulation.plan.late_sale and _mti(request) == SALE:
            await asyncio.sleep(random.uniform(*LATE_SALE))
        await asyncio.sleep(self._delay(random, link))
        answer = await self._arrive(request, role, what)
        if random.random() < link.answer_lost or cut_off == "deaf":
            simulation.note(request.source, f"{what}: answer {answer.status} lost")
            await self._never()
        if random.random() < link.reset:
            simulation.note(request.source, f"{what}: reset")
            raise Lost
        await asyncio.sleep(self._delay(random, link))
        return answer

    def _cut_off(self, request: Request) -> str:
        """Whether a box's request is lost, or its answer, because the box is cut off at this moment."""
        simulation, outage = self._simulation, self._simulation.plan.outage
        if outage is None or not simulation.faulty or not request.source.startswith("box"):
            return ""
        now = simulation.loop.time()
        if request.path.endswith(f"/{outage.at}"):
            self._outages.setdefault(request.source, now + outage.seconds)
        if now >= self._outages.get(request.source, 0.0):
            return ""
        return "deaf" if outage.arrives else "lost"

    async def deliver(self, request: Request, role: str) -> Answer:
        """The same without a fault on the way, as from a phone or a tester."""
        return await self._arrive(request, role, f"{request.method} {request.path}")

    def _later(self, work: Any) -> None:
        task = self._simulation.loop.create_task(work, context=contextvars.Context())
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))

    async def _again(self, request: Request, role: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            await self._arrive(request, role, f"{request.method} {request.path} (again)")
        except (Refused, Lost):
            return

    async def _arrive(self, request: Request, role: str, what: str) -> Answer:
        simulation = self._simulation
        process = simulation.hosts[role].process(simulation.random("balancer"))
        if process is None:
            simulation.note(request.source, f"{what}: {role} is down")
            raise Refused
        came = simulation.hosts[role].now()
        task = process.spawn(process.serve(request))
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            # Who asked has gone; the server does not notice.
            task.add_done_callback(lambda done: self._served(request, role, what, came, done))
            raise
        return self._served(request, role, what, came, task)

    def _served(
        self, request: Request, role: str, what: str, came: datetime, task: asyncio.Task[Any]
    ) -> Answer:
        simulation = self._simulation
        if task.cancelled():
            raise Lost
        answer: Answer = task.result()
        code = ""
        if answer.status >= 400:
            code = " " + str(json.loads(answer.body).get("code", ""))
        simulation.note(request.source, f"{what}: {answer.status}{code}")
        signature = request.header("signature")
        if request.method == "POST" and signature is not None and answer.status < 300:
            self.effects[request.path, signature] += 1
        if signature is not None and answer.status < 300:
            found = KEY_ID.search(request.header("signature-input") or "")
            if request.path.endswith("/enrolments"):
                self.enrolled.append(request.source)
            elif found is not None and not request.path.endswith("/hello"):
                self.let_in[found[1]] = max(came, self.let_in.get(found[1], came))
        key = request.header("idempotency-key")
        # A refusal at the door says nothing of the request.
        if key is not None and answer.status < 500 and answer.status not in (401, 403, 429):
            who = request.header("stb-number") or request.source
            use = (role, who, key, request.path, request.body)
            since, answers = self.answers.get(use, (came, set()))
            if came - since >= KEPT:
                since, answers = came, set()
            self.answers[use] = since, answers | {(answer.status, answer.body)}
            if code.endswith("idempotency-key-reused"):
                self.reused.append((request.source, request.path))
        if request.path.endswith("/refund") and answer.status < 300:
            reference = request.path.split("/")[-2]
            self.refunds.setdefault(reference, set()).add(json.loads(request.body)["refund"])
        return answer

    async def _never(self) -> None:
        await asyncio.sleep(NEVER_S)
        raise Lost

    def _delay(self, random: Any, link: Links) -> float:
        return float(random.random() * (SLOW_S if random.random() < link.slow else USUAL_S))


def _mti(request: Request) -> bytes:
    """The message type on PPP's line, after TPDU and header; nothing of other requests."""
    return request.body[11:13] if request.path == LINE else b""


class _Transport(httpx.AsyncBaseTransport):
    """From a role to another."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._process.check()
        url = request.url
        wanted = Request(
            self._process.name,
            request.method,
            url.path,
            url.query,
            list(request.headers.items()),
            request.content,
        )
        seconds = request.extensions["timeout"]["read"]
        try:
            answer = await asyncio.wait_for(self._network.exchange(wanted, url.host), seconds)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer", request=request) from error
        except Refused as error:
            raise httpx.ConnectError("refused", request=request) from error
        except Lost as error:
            raise httpx.ReadError("lost", request=request) from error
        self._process.check()
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)


class PppLine:
    """The line to PPP: each message may be lost, doubled or late, and so may its answer."""

    def __init__(self, network: Network, process: Process, answer_s: float) -> None:
        self._network = network
        self._process = process
        self._answer_s = answer_s

    async def ask(self, message: bytes) -> bytes:
        """As the contract's."""
        self._process.check()
        wanted = Request(f"{self._process.name} line", "POST", LINE, b"", [], message)
        under_way = self._network.sent(wanted, "ppp")
        try:
            answer = await asyncio.wait_for(asyncio.shield(under_way), self._answer_s)
        except Refused as error:
            raise Unanswered("PPP is down", sent=False) from error
        except (TimeoutError, Lost) as error:
            raise Unanswered("PPP does not answer", sent=True) from error
        self._process.check()
        if answer.status != 200:
            raise Unanswered("PPP has broken off", sent=True)
        return answer.body


class BoxAdapter(BaseAdapter):
    """From a box to the TSP, under the real ``requests``."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self._box = box

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        simulation = self._box.simulation
        path, _, query = (request.path_url or "").partition("?")
        body = request.body or b""
        wanted = Request(
            self._box.name,
            request.method or "GET",
            path,
            query.encode(),
            [("host", "tsp"), *((str(name), str(value)) for name, value in request.headers.items())],
            body.encode() if isinstance(body, str) else body,
        )
        tells_key = path.endswith("/keys")
        if tells_key:
            self._box.at_keys(after=False)
        try:
            answer = result_of(simulation.loop, simulation.network.exchange(wanted, "tsp"), timeout[1])
            if tells_key:
                self._box.at_keys(after=True)
        except TimeoutError as error:
            raise requests.ReadTimeout(request=request) from error
        except (Refused, Lost) as error:
            raise requests.ConnectionError(request=request) from error
        response = requests.Response()
        response.status_code = answer.status
        response._content = answer.body
        for name, value in answer.headers:
            response.headers[name.decode("ascii")] = value.decode("ascii")
        response.encoding = "utf-8"
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        """Nothing was opened."""
