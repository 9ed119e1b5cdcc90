"""A platform that exchanges files with BOSS and PPP, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server_stub.settings import Settings
from tests.server_stub.system import System, exchange_below, running_with_ppp


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    kept = Settings(idempotency_days=400)  # clocks go far here
    async with running_with_ppp(tmp_path / "data", kept, folder=exchange_below(tmp_path)) as system:
        yield system
