"""Every kind of message between platform and PPP, as it really goes over the line, read by tshark's dissector. cards.md D10"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cardreader.emv.scripts import UnableToGoOnline
from server_stub.foundation import iso8583
from server_stub.foundation.iso8583 import decode
from server_stub.ppp import listener
from server_stub.settings import Settings
from server_stub.tsp import ppp_line
from tests.server_stub.foundation.test_iso8583 import by_tshark, capture
from tests.server_stub.system import System, running_with_ppp
from tests.server_stub.tsp.test_card_loads import Loader
from tests.server_stub.tsp.test_online_card import ANSWER_S, Terminal
from tests.server_stub.tsp.test_settlement import settling, sold

pytestmark = pytest.mark.anyio
DIALECT = frozenset((35, 48, 55, 60))
"""From the first of these on a message is UnionPay's: digits in BCD, and bytes, where the standard of 1987 has letters."""
ENTRY = 22
"""Filled up on the right, where the dissector takes the left."""


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", Settings(ppp_seconds=ANSWER_S)) as system:
        yield system


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes over the line, both ways, without its length."""
    said: list[bytes] = []

    def noted(data: bytes) -> bytes:
        said.append(data)
        return iso8583.framed(data)

    monkeypatch.setattr(ppp_line, "framed", noted)
    monkeypatch.setattr(listener, "framed", noted)
    return said


async def test_tshark_reads_a_days_messages_as_far_as_the_dialects_agree(
    system: System, line: list[bytes], tmp_path: Path
) -> None:
    box = await system.box()
    await sold(system, box)
    loader = Loader(system, box)
    await loader.complete(loader.end(await loader.authorise()))
    payment, terminal = await box.pay("card", "kids", "monthly"), Terminal(system, box, "credit")
    await terminal.authorise(payment)
    await terminal.complete(payment, terminal.card.complete(UnableToGoOnline()))
    await box.state(payment["payment"], "failed")
    await settling(system).settle()
    capture(tmp_path / "day.pcap", line)
    seen = set()
    for data, (read, _) in zip(line, by_tshark(tmp_path / "day.pcap"), strict=True):
        sent = decode(data)
        seen.add(sent.mti)
        end = min(DIALECT.intersection(sent.fields))
        known = {
            f"bit{number}": value for number, value in sent.fields.items() if number < end and number != ENTRY
        }
        assert {"mti": sent.mti, **known}.items() <= read.items(), sent
    asked = {"0800", "0200", "0400", "0500", "0320", "0620"}
    assert seen == asked | {f"{mti[:2]}{int(mti[2]) + 1}0" for mti in asked}
