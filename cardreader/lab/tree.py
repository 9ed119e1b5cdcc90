"""What a card has told, as trees of named data objects for people and programs; card numbers masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from cardreader import tlv
from cardreader.apdu import Command
from cardreader.emv import dol
from cardreader.emv.tags import describe
from cardreader.errors import ProtocolError
from cardreader.lab.masking import masked_answer, shown
from cardreader.lab.meaning import explain
from cardreader.lab.readings import reading
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
_PURSE_TYPES = {1: "load", 2: "load", 5: "purchase", 6: "purchase", 9: "purchase"}
"""Transaction types of EF 0018."""
_GET_RESPONSE = b"\xc0"
_MORE, _WRONG_LENGTH, _WARNING = 0x61, 0x6C, 0x62
_FORMAT_1 = 0x80
_COMMAND_TEMPLATE = 0x83
_AIP, _AFL = 0x82, 0x94
_PDOL, _CDOL1, _CDOL2, _DDOL = 0x9F38, 0x8C, 0x8D, 0x9F49
_GPO, _GENERATE_AC, _AUTHENTICATE, _SELECT = (0x80, 0xA8), (0x80, 0xAE), (0x00, 0x88), (0x00, 0xA4)


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
    return Node(
        f"{one.tag:X}", describe(one.tag).name, shown(one.tag, one.value), reading(one.tag, one.value)
    )


def nodes(values: Mapping[int, bytes]) -> tuple[Node, ...]:
    """Values by tag, as a record of a log is read."""
    return tuple(node(tlv.Tlv(tag, value)) for tag, value in values.items())


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
    for one in asked(exchanges):
        if (
            one.sw is not None
            and (one.sw == OK or one.sw >> 8 == _WARNING)
            and one.data
            and one.command[1] in _READS
        ):
            found.setdefault((explain(one.command), one.data), one)
    return tuple(answer(one) for one in found.values())


def asked(exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """The same, but GET RESPONSE has the command whose answer it brings, and all of that so far (T=0: ISO 7816-3, 12.2)."""
    waiting: Exchange | None = None
    for one in exchanges:
        if waiting is not None and one.command[1:2] == _GET_RESPONSE:
            one = replace(one, command=waiting.command, data=waiting.data + one.data)
        yield one
        waiting = one if one.sw is not None and one.sw >> 8 in (_MORE, _WRONG_LENGTH) else None


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
        found = tlv.parse(one.data) if ins != 0xB0 else ()
    except ProtocolError:
        return ()
    if not all(describe(top.tag).known for top in found):
        return ()
    return tuple(_format_1(one.command, top) if top.tag == _FORMAT_1 else node(top) for top in found)


def _format_1(command: bytes, template: tlv.Tlv) -> Node:
    """An answer in format 1, which has values without tags (EMV Book 3, 6.5.5.4, 6.5.8.4 and 6.5.9.4)."""
    value, inside = template.value, dict[int, bytes]()
    match tuple(command[:2]):
        case (0x80, 0xA8):
            inside = {_AIP: value[:2], _AFL: value[2:]}
        case (0x80, 0xAE):
            inside = {0x9F27: value[:1], 0x9F36: value[1:3], 0x9F26: value[3:11], 0x9F10: value[11:]}
        case (0x00, 0x88):
            inside = {0x9F4B: value}
    whole = node(template)
    return replace(whole, value="" if inside else whole.value, children=nodes(inside))


def sent(exchanges: Sequence[Exchange]) -> tuple[tuple[Node, ...], ...]:
    """What was sent with each command by a list of the card's own: PDOL, CDOL1, CDOL2, DDOL; empty for any other."""
    return tuple(_sent(exchanges))


def _sent(exchanges: Sequence[Exchange]) -> Iterator[tuple[Node, ...]]:
    lists: dict[int, bytes] = {}
    cryptograms = 0
    for one, whole in zip(exchanges, asked(exchanges), strict=True):
        kind = (one.command[0], one.command[1])
        if kind == _SELECT:
            lists, cryptograms = {}, 0
        wanted = {_GPO: _PDOL, _GENERATE_AC: _CDOL2 if cryptograms else _CDOL1, _AUTHENTICATE: _DDOL}.get(
            kind
        )
        cryptograms += kind == _GENERATE_AC
        yield () if wanted is None else _by_list(one.command, lists.get(wanted))
        lists |= _lists(whole)


def _by_list(command: bytes, form: bytes | None) -> tuple[Node, ...]:
    if form is None:
        return ()
    try:
        values = Command.parse(command).data
        if command[1] == _GPO[1]:
            values = tlv.find(values, _COMMAND_TEMPLATE) or b""
        return nodes(dol.split(dol.parse(form), values))
    except ProtocolError:
        return ()


def _lists(one: Exchange) -> dict[int, bytes]:
    """Lists of data objects in an answer."""
    found: dict[int, bytes] = {}
    try:
        waiting = list(tlv.parse(one.data)) if one.command[1] in (0xA4, 0xB2) else []
    except ProtocolError:
        return {}
    while waiting:
        top = waiting.pop()
        waiting += top.children
        if top.tag in (_PDOL, _CDOL1, _CDOL2, _DDOL):
            found[top.tag] = top.value
    return found


def parts(record: Record) -> tuple[Node, ...]:
    """The elements of a file or record of the purse, which has no tags."""
    return tuple(_part(one.name, getattr(record, one.name)) for one in fields(record))


def _part(field: str, value: Any) -> Node:
    name = field.removesuffix("_fen").replace("_", " ").capitalize()
    if field == "application_serial":
        return Node("", name, mask_number(value))
    if field.endswith("_fen"):
        return Node("", name, f"{value // 100}.{value % 100:02d}")
    if field == "transaction_type":
        return Node("", name, f"{value:02X}", _PURSE_TYPES.get(value, ""))
    return Node("", name, value.hex().upper() if isinstance(value, bytes) else str(value))
