"""A back office for each test, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server_stub.settings import Settings
from tests.server_stub.backoffice.desk import open_office
from tests.server_stub.system import System


@pytest.fixture
async def system(tmp_path: Path, anyio_backend: str, kind: str) -> AsyncIterator[System]:
    """A server with a back office; from 50 yuan on two people decide."""
    async with open_office(tmp_path, Settings(case_second_fen=5_000)) as one:
        yield one
