"""What a card has told, as trees of named data objects for people and programs; card numbers masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from cardreader import tlv
from cardreader.emv import bits, dol
from cardreader.emv.cvm import CvmList
from cardreader.emv.tags import Format, describe
from cardreader.errors import ProtocolError
from cardreader.lab.meaning import explain, masked_answer
from cardreader.lab.trace import Exchange
from cardreader.pboc.files import LogRecord, PublicApplicationData, Record, is_empty
from cardreader.secret import mask_number
from cardreader.status import OK

_READS = (0xA4, 0xA8, 0xB0, 0xB2, 0xCA)
"""SELECT, GET PROCESSING OPTIONS, READ BINARY, READ RECORD, GET DATA: what tells of the card."""
_PUBLIC_DATA = 0x95
"""EF 0015, the purse's public application data, as READ BINARY names it."""
_PURSE_LOG = 0x18 << 3 | 4
"""EF 0018, as READ RECORD names it."""
_FIELDS = {0x82: bits.Aip, 0x9F07: bits.Auc, 0x95: bits.Tvr, 0x9B: bits.Tsi}
_NUMBERS = (0x5A, 0x57, 0x56, 0x9F6B, 0x9F20)
_LISTS = (0x8C, 0x8D, 0x97, 0x9F38, 0x9F49, 0x9F4F, 0xDF4F)
"""Data object lists, and formats of logs, which are written the same."""
_AMOUNTS = (0x9F02, 0x9F03, 0x9F77, 0x9F78, 0x9F79, 0x9F6D)
_FORMAT_1, _AFL, _CVM_LIST = 0x80, 0x94, 0x8E


@dataclass(frozen=True, slots=True)
class Node:
    """A data object for people.

    Attributes:
        tag: upper-case hex; empty for a part of a file that has no tags.
        value: upper-case hex, card numbers masked; empty for a template.
        text: what it says, where that is more than its bytes.
    """

    tag: str
    name: str
    value: str
    text: str = ""
    children: tuple[Node, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """One line each, children below."""
        more = f"  ({self.text})" if self.text else ""
        yield f"{'  ' * depth}{self.tag:6}{self.name}{f': {self.value}' if self.value else ''}{more}"
        for child in self.children:
            yield from child.lines(depth + 1)

    def content(self) -> dict[str, Any]:
        """For programs."""
        made: dict[str, Any] = {"tag": self.tag, "name": self.name, "value": self.value}
        if self.text:
            made["text"] = self.text
        if self.children:
            made["children"] = [child.content() for child in self.children]
        return made


def node(one: tlv.Tlv) -> Node:
    """A data object, and those in it, for people."""
    if one.children:
        return Node(f"{one.tag:X}", describe(one.tag).name, "", "", tuple(map(node, one.children)))
    value = masked_answer(b"", tlv.encode(one.tag, one.value))[-2 * len(one.value) :] if one.value else ""
    return Node(f"{one.tag:X}", describe(one.tag).name, value, _text(one.tag, one.value))


def nodes(values: Mapping[int, bytes]) -> tuple[Node, ...]:
    """Values by tag, as a record of a log is read."""
    return tuple(node(tlv.Tlv(tag, value)) for tag, value in values.items())


def _text(tag: int, value: bytes) -> str:
    """What a value says in words; empty where that is its bytes, or where it is garbled."""
    field = _FIELDS.get(tag)
    if field is not None:
        return ", ".join(bits.names(field(int.from_bytes(value))))
    reading = _READINGS.get(tag)
    if reading is not None:
        try:
            return reading(value)
        except ProtocolError:
            return ""
    if tag not in _NUMBERS and describe(tag).format in (
        Format.ALPHABETIC,
        Format.ALPHANUMERIC,
        Format.SPECIAL,
    ):
        try:
            return value.decode("gb18030").rstrip()
        except UnicodeDecodeError:
            return ""
    return ""


def _wanted(value: bytes) -> str:
    return ", ".join(f"{entry.tag:X} {entry.length}" for entry in dol.parse(value))


def _rules(value: bytes) -> str:
    rules = CvmList.parse(value).rules
    return ", ".join(f"{rule.cvm}{' or next' if rule.try_next else ''}" for rule in rules)


def _files(value: bytes) -> str:
    """An AFL (EMV Book 3, 10.2): file, first and last record."""
    if len(value) % 4:
        raise ProtocolError(f"AFL: half an entry at byte {len(value) - len(value) % 4}")
    entries = (value[at : at + 4] for at in range(0, len(value), 4))
    return ", ".join(f"SFI {file >> 3} records {first}-{last}" for file, first, last, _ in entries)


def _options(value: bytes) -> str:
    """Format 1 of GET PROCESSING OPTIONS: AIP, then AFL. That of GENERATE AC begins with a CID, which has no such length."""
    if len(value) < 6 or len(value) % 4 != 2:
        return ""
    aip = bits.names(bits.Aip(int.from_bytes(value[:2])))
    return f"{', '.join(aip)}; {_files(value[2:])}"


def _yuan(value: bytes) -> str:
    if not value.hex().isdecimal():
        return ""
    amount_fen = int(value.hex())
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


_READINGS: dict[int, Callable[[bytes], str]] = {
    **dict.fromkeys(_LISTS, _wanted),
    **dict.fromkeys(_AMOUNTS, _yuan),
    _CVM_LIST: _rules,
    _AFL: _files,
    _FORMAT_1: _options,
}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of the card that tells of it: what was asked, and its data objects, or its bytes where it has none."""

    asked: str
    nodes: tuple[Node, ...]
    raw: str

    def lines(self) -> Iterator[str]:
        """For people."""
        yield self.asked
        if not self.nodes:
            yield f"  {self.raw}"
        for one in self.nodes:
            yield from one.lines(1)

    def content(self) -> dict[str, Any]:
        """For programs."""
        if not self.nodes:
            return {"asked": self.asked, "raw": self.raw}
        return {"asked": self.asked, "objects": [one.content() for one in self.nodes]}


def told(exchanges: Sequence[Exchange]) -> tuple[Told, ...]:
    """What of an exchange tells of the card; each answer once."""
    found: dict[tuple[str, bytes], Exchange] = {}
    for one in exchanges:
        if one.sw == OK and one.data and one.command[1] in _READS:
            found.setdefault((explain(one.command), one.data), one)
    return tuple(answer(one) for one in found.values())


def answer(one: Exchange) -> Told:
    """One answer, whatever it is; without objects where it has none that are known."""
    return Told(explain(one.command), _objects(one), masked_answer(one.command, one.data))


def _objects(one: Exchange) -> tuple[Node, ...]:
    _, ins, p1, p2 = one.command[:4]
    try:
        if (ins, p1) == (0xB0, _PUBLIC_DATA):
            return parts(PublicApplicationData.decode(one.data))
        if (ins, p2) == (0xB2, _PURSE_LOG) and not is_empty(one.data):
            return parts(LogRecord.decode(one.data))
        found = tuple(map(node, tlv.parse(one.data))) if ins != 0xB0 else ()
    except ProtocolError:
        return ()
    return found if all(describe(int(top.tag, 16)).known for top in found) else ()


def parts(record: Record) -> tuple[Node, ...]:
    """The elements of a file or record of the purse, which has no tags."""
    return tuple(_part(one.name.replace("_", " "), getattr(record, one.name)) for one in fields(record))


def _part(name: str, value: Any) -> Node:
    if name == "application serial":
        return Node("", name, mask_number(value))
    if name.endswith(" fen"):
        return Node("", name.removesuffix(" fen"), f"{value // 100}.{value % 100:02d}")
    return Node("", name, value.hex().upper() if isinstance(value, bytes) else str(value))
