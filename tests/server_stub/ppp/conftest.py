"""PPP by itself, on each kind of database, over a folder as the first start leaves it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from cardreader.sim.emv import issuer_keys
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.vault import key_file, vault_file
from server_stub.foundation.working_keys import master_key
from server_stub.ppp import tables
from server_stub.ppp.chip import MasterKeys
from server_stub.ppp.invariants import invariants
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.terminal import TestTerminal
from tests.server_stub.system import START, System, databases, first_start, running_with_ppp

FILES = ("ppp.db", "ppp.key", "terminal.key")
MASTER = MasterKeys(SecretBytes(issuer_keys.MASTER_AC), SecretBytes(issuer_keys.MASTER_MAC))


def service_over(data: Path, seed: int = 1) -> PppService:
    """A service over a folder; another one with another seed has the same tables."""
    for name in FILES:
        if not (data / name).exists():
            shutil.copy(Path(first_start().name) / name, data / name)
    clock, random = SimulatedClock(START), Random(seed).randbytes
    return PppService(
        databases.open_role(data, tables.metadata),
        clock,
        Ids(clock, random),
        random,
        vault_file(data / "ppp.key"),
        master_key(key_file(data / "terminal.key")),
        MASTER,
    )


@pytest.fixture
async def system(tmp_path: Path, anyio_backend: str, kind: str) -> AsyncIterator[System]:
    """A server with all roles, PPP too."""
    async with running_with_ppp(tmp_path) as one:
        yield one


@pytest.fixture
async def ppp(tmp_path: Path, anyio_backend: str, kind: str) -> AsyncIterator[PppService]:
    """At the end of a test that went well everything is true of it that must be."""
    service = service_over(tmp_path)
    service.start()
    yield service
    assert await service.database.read(invariants) == []
    await service.stop()


@pytest.fixture
async def terminal(ppp: PppService, tmp_path: Path) -> TestTerminal:
    """A terminal that is signed in."""
    made = TestTerminal(ppp, master_key(key_file(tmp_path / "terminal.key")).reveal())
    await made.sign_in()
    return made
