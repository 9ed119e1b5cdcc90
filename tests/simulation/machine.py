"""A box's machine: its disk, which may be full or lose what was not flushed, and its threads."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from stb_app.journeys import on_disk, wallet_payment
from stb_app.shell import box as box_module
from tests.simulation.loop import current_actor
from tests.simulation.television import Box


class Disk:
    """The operating system as the box's memory sees it: no room now and then, and power that goes in between."""

    O_WRONLY, O_CREAT, O_TRUNC, O_RDONLY = os.O_WRONLY, os.O_CREAT, os.O_TRUNC, os.O_RDONLY

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        box = acting_box()
        box.disk_operation()
        descriptor = os.open(path, flags, mode)
        if flags & os.O_WRONLY:
            box.unsynced[descriptor] = path
        return descriptor

    def write(self, descriptor: int, content: bytes) -> int:
        box = acting_box()
        box.disk_writes += 1
        if box.simulation.faulty and box.disk_writes in box.plan.full_disk:
            box.simulation.note(box.name, "disk full")
            os.write(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "no space left on device")
        written = os.write(descriptor, content)
        box.disk_operation()
        return written

    def fsync(self, descriptor: int) -> None:
        box = acting_box()
        box.unsynced.pop(descriptor, None)
        # What an earlier attempt has left in this very file is flushed with it.
        box.unsynced.pop(-os.fstat(descriptor).st_ino, None)
        box.disk_operation()

    def close(self, descriptor: int) -> None:
        box = acting_box()
        path = box.unsynced.pop(descriptor, None)
        if path is not None:
            # Closed but never flushed: it stays at risk, also under the name that it gets next.
            box.unsynced[-os.fstat(descriptor).st_ino] = path.with_suffix(self._final(path))
        os.close(descriptor)
        if box.alive:
            box.disk_operation()

    def fdopen(self, descriptor: int, mode: str) -> _DiskFile:
        return _DiskFile(self, descriptor)

    def _final(self, path: Path) -> str:
        """What is written is renamed: ``NAME.new`` to ``NAME.json``, ``NAME.count.new`` to ``NAME.count``."""
        return ".json" if "." not in path.stem else ""


class _DiskFile:
    """A file over the same disk."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self._disk, self._descriptor = disk, descriptor

    def write(self, content: bytes) -> int:
        return self._disk.write(self._descriptor, content)

    def flush(self) -> None:
        """Nothing waits in between."""

    def fileno(self) -> int:
        return self._descriptor

    def __enter__(self) -> _DiskFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._disk.close(self._descriptor)


def acting_box() -> Box:
    """The box whose code runs."""
    owner = current_actor().owner
    assert isinstance(owner, Box)
    return owner


class _Thread:
    """In place of threading.Thread: an actor of the box on which it is started."""

    def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._target, self._name = target, name

    def start(self) -> None:
        acting: Any = current_actor().owner
        box = acting if isinstance(acting, Box) else acting.box
        box.act(self._name, self._target)


@contextmanager
def simulated_machine() -> Any:
    """The box's disk and threads are the simulation's."""
    threads = SimpleNamespace(Thread=_Thread, Event=threading.Event)
    with (
        patch.object(on_disk, "os", Disk()),
        patch.object(box_module, "os", Disk()),
        patch.object(wallet_payment, "threading", threads),
        patch.object(wallet_payment, "modules_of", lambda payload: ()),
    ):
        yield
