"""Fixtures of the screens' tests."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator

import pytest

EVERY = 10
_count = itertools.count(1)


@pytest.fixture(autouse=True)
def _pictures() -> Iterator[None]:
    """Gives back the pictures of televisions that are gone: few objects, which the collector counts, but large ones."""
    yield
    if next(_count) % EVERY == 0:
        gc.collect()
