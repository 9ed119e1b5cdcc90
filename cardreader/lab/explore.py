"""``stb-card explore``: everything that a card tells, decoded: applications, files and records as trees of data objects with
their names, balances, limits, logs, counters, and whether its certificates verify.

What was said to the card and what it has answered is recorded, and the trees are made of that: nothing is shown that the
card has not told. To look into a debit or credit application a transaction is begun (GET PROCESSING OPTIONS), and given up:
its transaction counter goes on by one, and no money moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cardreader import tlv
from cardreader.apdu import Channel
from cardreader.emv import bits, data
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.selection import Candidate, candidates
from cardreader.emv.settings import TerminalSettings, Transaction
from cardreader.emv.tags import describe
from cardreader.errors import CardReaderError, CardRemoved, ProtocolError
from cardreader.lab.meaning import explain, masked_answer
from cardreader.lab.trace import Exchange, Recorder
from cardreader.purse import Purse
from cardreader.status import OK

_READS = (0xA4, 0xA8, 0xB0, 0xB2, 0xCA)
"""SELECT, GET PROCESSING OPTIONS, READ BINARY, READ RECORD, GET DATA: what tells of the card."""
COUNTERS = (0x9F36, 0x9F13, 0x9F17, 0x9F4F)
"""GET DATA: ATC, ATC of the last online transaction, PIN tries left, format of the log."""
_FIELDS = {0x82: bits.Aip, 0x9F07: bits.Auc, 0x95: bits.Tvr, 0x9B: bits.Tsi}
_NUMBERS = (0x5A, 0x57, 0x56, 0x9F6B, 0x9F20)


@dataclass(frozen=True, slots=True)
class Node:
    """A data object for people.

    Attributes:
        value: upper-case hex, card numbers masked; empty for a template.
        text: what it says, where that is more than its bytes.
    """

    tag: str
    name: str
    value: str
    text: str
    children: tuple[Node, ...]

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
    name = f"{one.tag:X}"
    if one.children:
        return Node(name, describe(one.tag).name, "", "", tuple(map(node, one.children)))
    value = masked_answer(b"", tlv.encode(one.tag, one.value))[-2 * len(one.value) :] if one.value else ""
    return Node(name, describe(one.tag).name, value, _text(one.tag, one.value), ())


def _text(tag: int, value: bytes) -> str:
    field = _FIELDS.get(tag)
    if field is not None:
        return ", ".join(bits.names(field(int.from_bytes(value))))
    if tag in _NUMBERS:
        return ""
    if describe(tag).format.value in ("a", "an", "ans"):
        try:
            return value.decode("gb18030").rstrip()
        except UnicodeDecodeError:
            return ""
    return ""


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
    return tuple(_told(one, asked) for (asked, _), one in found.items())


def _told(one: Exchange, asked: str) -> Told:
    raw = masked_answer(one.command, one.data)
    try:
        nodes = tuple(map(node, tlv.parse(one.data))) if one.command[1] != 0xB0 else ()
    except ProtocolError:
        nodes = ()
    known = nodes if all(describe(int(top.tag, 16)).known for top in nodes) else ()
    return Told(asked, known, raw)


def explore(connection: Recorder, settings: TerminalSettings, now: datetime) -> dict[str, Any]:
    """Looks at everything; what stands in the way of a part stands in its place.

    Returns:
        ``purse``: balance and log, or why not; ``applications``: each with what was found; ``told``: all answers as
        `Told`.

    Raises:
        CardRemoved
    """
    channel = Channel(connection)
    content: dict[str, Any] = {"purse": _purse(connection), "applications": []}
    try:
        found = candidates(channel, settings.interface, settings.applications)
    except CardRemoved:
        raise
    except CardReaderError as error:
        content["problem"], found = str(error), []
    content["applications"] = [_application(connection, settings, one, now) for one in found]
    content["told"] = told(connection.exchanges)
    return content


def _purse(connection: Recorder) -> dict[str, Any]:
    try:
        purse = Purse(connection)
        return {
            "balance_fen": purse.balance_fen(),
            "valid": [str(day) for day in (purse.information.start_date, purse.information.expiry_date)],
            "log_records": len(purse.log()),
        }
    except CardRemoved:
        raise
    except CardReaderError as error:
        return {"problem": str(error)}


def _application(
    connection: Recorder, settings: TerminalSettings, which: Candidate, now: datetime
) -> dict[str, Any]:
    content: dict[str, Any] = {"aid": which.aid.hex().upper(), "label": which.label}
    try:
        card = DebitCredit(
            connection, settings, order=lambda found: [one for one in found if one.aid == which.aid]
        )
        channel = Channel(connection)
        content["counters"] = {
            describe(tag).name: value.hex().upper()
            for tag in COUNTERS
            if (value := data.get_data(channel, tag)) is not None
        }
        cash = card.electronic_cash()
        content["electronic_cash"] = {
            name: getattr(cash, name)
            for name in ("balance_fen", "balance_limit_fen", "transaction_limit_fen", "reset_threshold_fen")
            if getattr(cash, name) is not None
        }
        content["log"] = [_logged(record.values) for record in card.transaction_log()]
        content["load_log_records"] = len(card.load_log())
        prepared = card.prepare(Transaction(1, now, 1))
        content["card"] = prepared.card.masked
        content["holder"] = str(prepared.cvm)
        failure = card.authentication_failure
        content["authentication"] = {
            "result": _verified(card) if failure is None else f"failed: {failure}",
        }
    except CardRemoved:
        raise
    except CardReaderError as error:
        content["problem"] = str(error)
    return content


def _verified(card: DebitCredit) -> str:
    if bits.Tvr.OFFLINE_DATA_AUTHENTICATION_NOT_PERFORMED in card.tvr:
        return "not offered"
    return "verified" if not card.tvr & (bits.Tvr.SDA_FAILED | bits.Tvr.DDA_FAILED) else "failed"


def _logged(values: Mapping[int, bytes]) -> dict[str, str]:
    return {describe(tag).name: value.hex().upper() for tag, value in values.items()}
