"""Fixtures of the server's tests."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from server_stub.boss import demo, keys
from server_stub.main import configure_logging
from server_stub.wallets import provider
from tests.server_stub.system import System, databases, running


@pytest.fixture(autouse=True, scope="session")
def _logging() -> None:
    """As the command does: the library's default draws every local variable of a traceback, for seconds."""
    configure_logging()


@pytest.fixture(autouse=True, scope="session")
def _once() -> Iterator[None]:
    """The slow hash of an activation code is computed once a box, and what is installed looked up once; not once a test."""
    hashed = functools.cache(keys.activation_hash)
    with pytest.MonkeyPatch.context() as patch:
        for module in (keys, demo):
            patch.setattr(module, "activation_hash", hashed)
        patch.setattr(provider, "entry_points", functools.cache(provider.entry_points))
        yield


KINDS = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What runs a server runs one on each database."""
    used = set(metafunc.fixturenames)
    wanted = hasattr(metafunc.module, "running") or {"system", "several", "ppp"} & used
    wanted = wanted or ("database" in used and hasattr(metafunc.module, "databases"))
    chosen = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if wanted and "kind" not in chosen:
        metafunc.parametrize("kind", KINDS, indirect=True)


@pytest.fixture(autouse=True)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of database servers in this test have."""
    databases.kind = getattr(request, "param", KINDS[0])
    yield databases.kind
    databases.drop()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def system(tmp_path: Path, anyio_backend: str, kind: str) -> AsyncIterator[System]:
    """A server with all roles and the demo data."""
    async with running(tmp_path) as one:
        yield one
