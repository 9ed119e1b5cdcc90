"""Cards that the card lab has read: what the simulator's cards tell, at times that stand."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from functools import lru_cache

from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.lab.explore import explore
from cardreader.lab.trace import Exchange, Recorder, Trace
from cardreader.lab.tree import told
from cardreader.sim.reader import SimReader
from stb_app.journeys.card_lab import CardSeen, Explored, ReaderSeen
from tests.screens import data

TERMINAL = TerminalSettings(terminal_id="88310001", merchant_id="883100048990001", ca_keys=capk.simulated())
READER = "ACS ACR39U ICC Reader 00 00"
PULLED_AT = 12


@lru_cache
def seen(profile: str, ca: bool = True) -> CardSeen:
    """A card of the simulator; ``ca``: the terminal has its certification authority's key."""
    terminal = TERMINAL if ca else replace(TERMINAL, ca_keys={})
    ticks = itertools.count()
    connection = Recorder(
        SimReader(profile).wait_for_card(1, threading.Event()), lambda: next(ticks) * 0.00173
    )
    found = explore(connection, terminal, data.NOW)
    trace = Trace(READER, connection.atr, data.NOW.isoformat(), tuple(connection.exchanges))
    return CardSeen(READER, True, found, trace)


@lru_cache
def pulled(profile: str) -> CardSeen:
    """The same card, which left at its twelfth command."""
    whole = seen(profile)
    trace = replace(whole.trace, exchanges=whole.trace.exchanges[:PULLED_AT])
    last = replace(trace.exchanges[-1], data=b"", sw=None)
    trace = replace(trace, exchanges=(*trace.exchanges[:-1], last))
    found = Explored(None, "", (), "", (), told=told(trace.exchanges))
    return replace(whole, found=found, trace=trace, whole=False)


LEFT = Exchange(bytes.fromhex("80AE8000"), b"", None, 412.31, 3.02)


@lru_cache
def traces() -> tuple[Trace, ...]:
    """What was said to three cards, the last of which left in the middle of a payment."""
    debit = seen("debit").trace
    return (replace(debit, exchanges=(*debit.exchanges, LEFT)), seen("good").trace, debit)


READERS = (
    ReaderSeen(READER, "card", "3BE600008131FE455354422D454D8D", True),
    ReaderSeen(
        "Feitian R502 Contactless Reader 01 00", "card", "3B8F8001804F0CA000000306030001000000006A", False
    ),
    ReaderSeen("Virtual PCD 00 00", "nothing", "", False),
    ReaderSeen("Virtual PCD 00 01", "mute", "", False),
    ReaderSeen("Alcor Micro AU9560 02 00", "silent", "", False),
)
