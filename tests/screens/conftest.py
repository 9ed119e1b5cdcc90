"""Fixtures of the screens' tests."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator

import pytest

from stb_app.kit import fonts, shapes

EVERY = 10
ROOM_BYTES = 64 << 20
_count = itertools.count(1)


@pytest.fixture(autouse=True, scope="session")
def _room() -> Iterator[None]:
    """Hundreds of pages, one after the other, say much the same words; a television keeps those of a page or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "_rendered", fonts.ByteCache(ROOM_BYTES))
        patch.setattr(shapes, "_cache", fonts.ByteCache(ROOM_BYTES))
        yield


@pytest.fixture(autouse=True)
def _pictures() -> Iterator[None]:
    """Gives back the pictures of televisions that are gone: few objects, which the collector counts, but large ones.

    They are among the youngest: what has lived through tests before is not gone through again.
    """
    yield
    if next(_count) % EVERY == 0:
        gc.collect(1)
