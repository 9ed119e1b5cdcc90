"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings

LONG = ("tests/system/", "tests/simulation/")

# How long one example takes says how busy the machine is, not whether the code is right.
settings.register_profile("shared machine", deadline=None)


def pytest_sessionstart() -> None:
    # Not while this file is loaded: pytest-xdist does that in another thread, and the profile is the thread's own.
    settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: nobody waits for one of them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
