"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says how busy the machine is, not whether the code is right.
settings.register_profile("shared machine", deadline=None)


def pytest_sessionstart() -> None:
    # Not while this file is loaded: pytest-xdist does that in another thread, and the profile is the thread's own.
    settings.load_profile("shared machine")
