"""A whole day of the platform, PPP and BOSS over our own FTP service with TLS, clients and server as they run. ONL-8, ONL-9"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from server_stub.exchange import tables as exchange
from server_stub.exchange.listener import Doorway
from server_stub.tsp import tables
from tests.server_stub.ftp import certificates
from tests.server_stub.system import running_with_ppp
from tests.server_stub.tsp.mornings import breaks, morning, runs
from tests.server_stub.tsp.test_uploads import DAY, days_of, mended, paid

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_a_day_goes_over_ftp_with_tls(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with running_with_ppp(tmp_path / "data", doorway=Doorway(listening, certificates)) as system:
            done = await paid(system, 2)
            await morning(system)
            await mended(system)
            fen = sum(payment["amount_fen"] for payment in done)
            assert await days_of(system) == [(DAY.isoformat(), "answered", 2, fen, 2, fen, 0)]
            assert await runs(system) == {"boss": ("done", {"matched": 2}), "ppp": ("done", {"matched": 2})}
            assert await breaks(system) == []
            assert system.roles.exchange is not None
            kept = await system.roles.exchange.database.read(
                lambda conn: {(row.partner, row.name) for row in conn.execute(exchange.files.files.select())}
            )
            names = {"XFMX", "XFJG", "QSMX"}
            assert {("ppp", f"{name}/{name}20260621.TXT") for name in names} <= kept
            assert ("boss", "DZMX/DZMX20260621.TXT") in kept
            assert {row.state for row in await system.rows(tables.files.files)} <= {
                "sent",
                "used",
                "superseded",
            }
