"""An exchange in this process for each test, on both databases."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server_stub.exchange import invariants, tables
from server_stub.exchange import partners as accounts
from server_stub.foundation.database import Database
from tests.server_stub.exchange.service import Exchange, opened
from tests.server_stub.system import databases


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash of passwords is slow on purpose."""
    monkeypatch.setattr(accounts, "hashed", lambda password: f"hash of {password.reveal()}")
    monkeypatch.setattr(accounts, "matches", lambda password, kept: kept == f"hash of {password.reveal()}")


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Database:
    databases.empty(tmp_path)
    return databases.open_role(tmp_path, tables.metadata)


@pytest.fixture
async def exchange(
    database: Database, tmp_path: Path, quick: None, anyio_backend: str
) -> AsyncIterator[Exchange]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = await opened(database, tmp_path, listening)
        service = one.service
        try:
            yield one
            looks = invariants.checks(service.store).items()
            faults = await service.database.read(lambda conn: {name: look(conn) for name, look in looks})
            assert not any(faults.values()), faults
        finally:
            await one.door.stop()
            await service.stop()
