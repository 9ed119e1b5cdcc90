"""One server for all modules of this folder: they are of one group, so that one process of the tests starts it once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_stub.exchange.clients.server import CONTENT, KEY, Exchange, free_port, stb_server
from tests.server_stub.test_process import started


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    data, home, port = tmp_path_factory.mktemp("exchange"), tmp_path_factory.mktemp("home"), free_port()
    settings = {
        "STB_SERVER_PARTNER_KEY": KEY,
        "STB_SERVER_FTP_PORT": str(port),
        "STB_SERVER_FTP_FAILURES_PER_HOUR": "3",
        "STB_SERVER_FTP_PASSIVE_PORTS": "52300-52399",
    }
    with started(data, "exchange", **settings) as (process, _):
        options = {"bank": ("--address", "127.0.0.0/24"), "small": ("--file-bytes", "1000")}
        said = {
            name: stb_server("partners", "add", name, *more, "--data", str(data))
            for name, more in options.items()
        }
        one = Exchange(port, data, home, {name: text.split()[5] for name, text in said.items()})
        for name in options:
            assert one.curl(name, "").returncode == 0  # a moment later it would have its folders by itself
        yield one
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path
