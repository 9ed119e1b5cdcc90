"""PPP by itself, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from cryptography.fernet import Fernet

from cardreader.sim.emv import issuer_keys
from server_stub.foundation import migrations
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.vault import Vault
from server_stub.ppp import tables
from server_stub.ppp.chip import MasterKeys
from server_stub.ppp.invariants import invariants
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.terminal import TestTerminal
from tests.server_stub.system import START, databases

TMK = bytes.fromhex("70F2A84CCBC2AE8625CBB0F2C22AB923")
KEY = SecretBytes(Fernet.generate_key())
MASTER = MasterKeys(SecretBytes(issuer_keys.MASTER_AC), SecretBytes(issuer_keys.MASTER_MAC))


def service_over(path: Path, seed: int = 1) -> PppService:
    """A service over a database of its own; another one with another seed has the same tables."""
    clock, random = SimulatedClock(START), Random(seed).randbytes
    database = databases.open(path, migrations.prepare(tables.metadata))
    return PppService(database, clock, Ids(clock, random), random, Vault(KEY), SecretBytes(TMK), MASTER)


@pytest.fixture
async def ppp(tmp_path: Path, anyio_backend: str, kind: str) -> AsyncIterator[PppService]:
    """At the end of a test that went well everything is true of it that must be."""
    service = service_over(tmp_path / "ppp.db")
    service.start()
    yield service
    assert await service.database.read(invariants) == []
    service.close()


@pytest.fixture
async def terminal(ppp: PppService) -> TestTerminal:
    """A terminal that is signed in."""
    made = TestTerminal(ppp, TMK)
    await made.sign_in()
    return made
