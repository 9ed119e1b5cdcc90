"""PPP's line over TCP: messages one after another, nonsense, a stop, and what is done wrong on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.database import NoConnection
from server_stub.foundation.iso8583 import decode, framed, read_frame
from server_stub.main import bind
from server_stub.ppp import books
from server_stub.ppp.faults import Faults
from server_stub.ppp.listener import Listener, answered
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.terminal import Card, TestTerminal
from tests.server_stub.system import START

pytestmark = pytest.mark.anyio
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(ppp: PppService) -> AsyncIterator[Listener]:
    listener = Listener(ppp, bind("127.0.0.1", 0))
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


@asynccontextmanager
async def line_to(listener: Listener) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection(*listener.address)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_messages_are_answered_one_after_another(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    async with listening(ppp) as listener, line_to(listener) as (reader, writer):
        for stan in (5, 6):
            writer.write(framed(terminal.made("0200", terminal.payment(card, 1500), stan)))
        for stan in (5, 6):
            answer = decode(await read_frame(reader) or b"")
            assert (answer.text(11), answer.text(39)) == (f"{stan:06d}", "00")


@pytest.mark.parametrize("data", [b"\0\0", b"\0\3abc", b"\xff\xff", b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_line_that_speaks_something_else_is_closed(
    ppp: PppService, terminal: TestTerminal, data: bytes
) -> None:
    async with listening(ppp) as listener:
        async with line_to(listener) as (reader, writer):
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == b""
        async with line_to(listener) as (reader, writer):
            writer.write(framed(terminal.made("0820", {60: "00000001301"}, 5)))
            assert decode(await read_frame(reader) or b"").text(39) == "00"


async def test_a_stop_closes_the_lines(ppp: PppService, terminal: TestTerminal) -> None:
    async with listening(ppp) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(framed(terminal.made("0820", {60: "00000001301"}, 5)))
        await read_frame(reader)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(("fault", "booked"), [("drop_requests", "25"), ("drop_answers", "00")])
async def test_an_answer_that_does_not_come(
    ppp: PppService, terminal: TestTerminal, fault: str, booked: str
) -> None:
    setattr(ppp.faults, fault, True)
    fields = terminal.payment(Card(), 1500)
    assert await answered(ppp, terminal.made("0200", fields, 5)) is None
    setattr(ppp.faults, fault, False)
    assert (await terminal.reverse(1500, 5)).text(39) == booked
    assert (await terminal.exchange("0200", fields, stan=5)).text(39) == "12"


async def test_an_answer_that_is_late(ppp: PppService, terminal: TestTerminal) -> None:
    assert isinstance(ppp.clock, SimulatedClock)
    ppp.faults.late_seconds = 30
    waiting = asyncio.ensure_future(answered(ppp, terminal.made("0200", terminal.payment(Card(), 1500), 5)))
    # It is booked long before it is told.
    while not await ppp.database.read(lambda conn: books.owed(conn, terminal.merchant)):
        assert not waiting.done()
    ppp.faults = Faults()
    assert (await terminal.exchange("0820", {60: "00000001301"})).text(39) == "00"
    while not waiting.done():
        ppp.clock.advance(30)  # it counts from when it was booked, or a little later
        await asyncio.sleep(0)
    assert ppp.clock.now() >= START + timedelta(seconds=30)
    assert decode(await waiting or b"").text(39) == "00"


async def test_a_database_that_is_away_gives_no_answer(
    ppp: PppService, terminal: TestTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(work: object) -> None:
        raise NoConnection("away")

    async with listening(ppp) as listener, line_to(listener) as (reader, writer):
        with monkeypatch.context() as patch:
            patch.setattr(ppp.database, "write", away)
            writer.write(framed(terminal.made("0200", terminal.payment(Card(), 1500), 5)))
            assert await reader.read() == b""
    assert (await terminal.reverse(1500, 5)).text(39) == "25"
