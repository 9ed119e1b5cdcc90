"""The pool's measurement runs, with PSAMs that are quick, and finds them at work."""

from __future__ import annotations

import pytest

from bench import psam_pool
from bench.psam_pool import Box, PoolUser


@pytest.mark.parametrize("kind", [PoolUser, Box])
def test_it_finds_how_busy_psams_are(kind: type[Box], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COMMAND_S": 0.03, "WARM_UP_S": 0.05, "SECONDS": 0.2, "BOXES_A_SLOT": 2}.items():
        monkeypatch.setattr(psam_pool, name, value)
    assert 0.1 < psam_pool.measure(1, kind) <= 1
