"""Bytes for every parser that meets what others have written: one file NAME.toml a parser, kept as they were found.

Each case has a name, ``data`` in hexadecimal digits or ``text``, and in ``error`` what the parser says to it; without it they are
right. A file that somebody finds to upset a parser belongs here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cardreader import tlv
from cardreader.apdu import Command
from cardreader.emv import capk, certificates, dol, generate_ac, records, scripts
from cardreader.emv.iad import IssuerApplicationData
from cardreader.emv.selection import Fci
from cardreader.errors import CardReaderError
from cardreader.lab import faults, trace
from cardreader.pboc.files import LogRecord, PublicApplicationData
from cardreader.sim.emv import profile
from server_stub.foundation import iso8583
from server_stub.ppp.chip import ChipData, ChipError

_CA = capk.simulated()
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Parser:
    """What reads bytes, and the only errors that it may raise."""

    read: Callable[[bytes], Any]
    errors: type[Exception] | tuple[type[Exception], ...] = CardReaderError


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes, and what is said to them; nothing when they are right."""

    name: str
    data: bytes
    error: str


def _certificate(data: bytes) -> Any:
    """An issuer's certificate by the simulated authority: 90, 92 and 9F32 as a record has them."""
    objects = {one.tag: one.value for one in tlv.parse(data)}
    signed, remainder, exponent = (objects.get(tag, b"") for tag in (0x90, 0x92, 0x9F32))
    (key,) = _CA.values()
    return certificates.open_certificate(
        "90", certificates.FORMAT_ISSUER, key.key, signed, remainder, exponent, date(2026, 11, 22)
    )


def _trace(data: bytes) -> Any:
    return trace.read(data.decode("utf-8", "replace").splitlines())


PARSERS: Mapping[str, Parser] = {
    "tlv": Parser(tlv.parse),
    "apdu": Parser(Command.parse),
    "fci": Parser(Fci.parse),
    "dol": Parser(dol.parse),
    "afl": Parser(records.parse_afl),
    "options": Parser(records.parse_options),
    "cryptogram": Parser(generate_ac.parse_answer),
    "iad": Parser(IssuerApplicationData.decode),
    "script": Parser(scripts.parse_script),
    "certificate": Parser(_certificate),
    "ca-keys": Parser(lambda data: capk.parse(data.decode("utf-8", "replace"))),
    "profile": Parser(lambda data: profile.parse(data, "mine.toml")),
    "trace": Parser(_trace),
    "fault": Parser(lambda data: faults.parse(data.decode("utf-8", "replace")), ValueError),
    "public-data": Parser(PublicApplicationData.decode),
    "log-record": Parser(LogRecord.decode),
    "iso8583": Parser(iso8583.decode, iso8583.Iso8583Error),
    "field-55": Parser(ChipData.parse, ChipError),
}


def cases(parser: str) -> list[Case]:
    """Those that are kept for a parser."""
    kept = tomllib.loads((_HERE / f"{parser}.toml").read_text("utf-8"))
    return [
        Case(
            one["name"],
            one["text"].encode() if "text" in one else bytes.fromhex(one["data"]),
            one.get("error", ""),
        )
        for one in kept["case"]
    ]
