"""Simulated time: an event loop that never sleeps, and actors that block on it, one running at any time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from greenlet import getcurrent, greenlet


class Gone(BaseException):
    """The power of whoever runs this is off. No handler of the code under test may take it for an error."""


class Stuck(Exception):
    """Nothing is due any more, and what was waited for has not come."""


class _NoSockets:
    """Stands where an event loop has its selector: instead of waiting, time is moved on."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is due")
        if timeout > 0:
            self._loop.forward()
        return []

    def close(self) -> None:
        """Nothing was opened."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An asyncio event loop whose time stands still while anything runs, and jumps to what is due next."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = 1e-9
        self._selector = _NoSockets(self)
        self.executes: Callable[[Callable[[], Any]], asyncio.Future[Any]] | None = None

    def time(self) -> float:
        return self._now

    def forward(self) -> None:
        """To the next instant at which something is due."""
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]

    def jump(self, seconds: float) -> None:
        """Time passes in which nobody does anything: everything that falls due is late."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """No threads: whoever owns the simulation says when it is carried out."""
        assert self.executes is not None
        return self.executes(lambda: func(*args))

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody waits in a selector."""


class Actor:
    """A flow of blocking code. It runs until it blocks; then others run.

    Attributes:
        owner: has ``alive`` and ``step``, told of every point at which this actor blocks.
    """

    def __init__(self, loop: SimulatedLoop, owner: Any, name: str, work: Callable[[], None]) -> None:
        self.owner = owner
        self.name = name
        self.over = False
        self.failure: Exception | None = None
        self._loop = loop
        self._work = work
        self._ticket = 0
        self._greenlet = greenlet(self._run)
        loop.call_soon(self._resume, 0, False)

    @property
    def waits(self) -> bool:
        return self._ticket > 0 and not self.over

    def wake(self) -> None:
        """Whatever it waits for: it should look again."""
        self._loop.call_soon(self._resume, self._ticket, True)

    def end(self) -> None:
        """Its power goes: it unwinds from where it stands."""
        if not self.over and getcurrent() is not self._greenlet:
            if self._ticket == 0:
                self.over = True
                return
            self._greenlet.parent = getcurrent()
            self._greenlet.throw(Gone())

    def block(self, seconds: float | None) -> bool:
        """Blocks so long, at the longest; True when it was woken before."""
        assert getcurrent() is self._greenlet
        self.owner.step(self)
        self._ticket += 1
        timer = None
        if seconds is not None:
            timer = self._loop.call_later(max(0.0, seconds), self._resume, self._ticket, False)
        try:
            return bool(self._greenlet.parent.switch())
        finally:
            if timer is not None:
                timer.cancel()

    def _resume(self, ticket: int, woken: bool) -> None:
        if self.over or ticket != self._ticket:
            return
        if ticket == 0:
            self._ticket = 1
        self._greenlet.parent = getcurrent()
        self._greenlet.switch(woken)

    def _run(self, _: bool = False) -> None:
        ACTING[self._greenlet] = self
        try:
            self._work()
        except Gone:
            pass
        except Exception as error:  # noqa: BLE001 - the run reports it: no actor may end like this
            self.failure = error
        finally:
            self.over = True
            ACTING.pop(self._greenlet, None)


ACTING: dict[Any, Actor] = {}


def current_actor() -> Actor:
    """Whose flow this is."""
    return ACTING[getcurrent()]


def result_of(loop: SimulatedLoop, work: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    """Blocks the running actor until a coroutine has ended, at the longest so many seconds.

    Raises:
        TimeoutError: it goes on, but nobody waits for it.
        What the coroutine raises.
    """
    actor = current_actor()
    task = loop.create_task(work, context=contextvars.Context())

    def ended(done: asyncio.Task[Any]) -> None:
        # Asked for its failure also where nobody waits for it any more.
        if not done.cancelled():
            done.exception()
        actor.wake()

    task.add_done_callback(ended)
    until = None if seconds is None else loop.time() + seconds
    while not task.done():
        left = None if until is None else until - loop.time()
        if left is not None and left <= 0:
            raise TimeoutError
        actor.block(left)
    return task.result()
