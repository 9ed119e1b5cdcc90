"""Small jobs that may touch the disk, one after the other on a thread of their own, so that the drawing
thread never waits.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Worker:
    """Jobs are done in the order they were given.

    One that fails is logged and reported through ``failed``.
    """

    def __init__(self, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, job: Callable[[], object]) -> None:
        """Returns at once."""
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
            self._thread.start()

    def close(self, timeout: float) -> None:
        """Waits until everything given so far is done, at most ``timeout`` seconds."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout)
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("a job beside the picture failed")
                self._failed()
