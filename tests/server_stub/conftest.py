"""Fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server_stub.main import configure_logging
from tests.server_stub.system import System, running


@pytest.fixture(autouse=True, scope="session")
def _logging() -> None:
    """As the command does: the library's default draws every local variable of a traceback, for seconds."""
    configure_logging()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def system(tmp_path: Path, anyio_backend: str) -> AsyncIterator[System]:
    """A server with all roles and the demo data."""
    async with running(tmp_path) as one:
        yield one
