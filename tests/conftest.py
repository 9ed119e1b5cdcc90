"""What holds for every test."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from server_stub.foundation.startup import rest_collector

# Their asserts say what was there, as a test's own do.
pytest.register_assert_rewrite(
    "tests.system.subscriber", "tests.system.television", "tests.server_stub.system"
)

LONG = ("tests/system/", "tests/simulation/")

MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 << 30
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    # A thousand databases are made and thrown away; a disk would be told to keep each of them.
    os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None

# How long one example takes says how busy the machine is, not whether the code is right.
settings.register_profile("shared machine", deadline=None)


def pytest_sessionstart() -> None:
    # Not while this file is loaded: pytest-xdist does that in another thread, and the profile is the thread's own.
    settings.load_profile("shared machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that is loaded stays: a collector that goes through it again and again would take a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Some thousand tests stand in memory by now, and stay; the collector need not go through them again and again."""
    rest_collector()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: nobody waits for one of them at the end. There is one pcscd: nobody else waits for it. Tests that
    share what their module starts run in one process: others would start it again.
    """
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        if item.get_closest_marker("pcscd"):
            item.add_marker(pytest.mark.xdist_group("pcscd"))
        elif _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem.removeprefix("test_")))
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def _shares(item: pytest.Item) -> bool:
    """Whether it has a fixture that is made once for its module."""
    if not isinstance(item, pytest.Function):
        return False
    known = item._fixtureinfo.name2fixturedefs
    return any(defined[-1].scope == "module" for defined in known.values())
