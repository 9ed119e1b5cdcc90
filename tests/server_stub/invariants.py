"""After every test with a server: what must always be true of its tables is true."""

from __future__ import annotations

from datetime import datetime

from server_stub.check import examine
from server_stub.settings import Settings
from tests.server_stub.system import System


async def faults(system: System, now: datetime | None = None, settings: Settings | None = None) -> list[str]:
    """What ``stb-server check`` finds wrong with a running server."""
    assert system.roles.boss is not None
    moment = now or system.clock.now()
    settings = settings or system.tsp.core.settings
    found = await examine(system.tsp.database, system.roles.boss.database, moment, settings)
    return [f"{finding.name}: {fault}" for finding in found for fault in finding.faults]
