"""``stb-card explore`` and the television's card lab: everything that a card tells, decoded: applications, files and records as
trees of data objects with their names, balances, limits, logs, counters, and whether its certificates verify.

What was said to the card and what it has answered is recorded, and the trees are made of that: nothing is shown that the
card has not told. To look into a debit or credit application a transaction is begun (GET PROCESSING OPTIONS), and given up:
its transaction counter goes on by one, and no money moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from cardreader import purse, status, tlv
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.contactless import is_contactless
from cardreader.contactless import uid as read_uid
from cardreader.emv import bits, data, records
from cardreader.emv.certificates import Reason
from cardreader.emv.data import ElectronicCash
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.selection import PSE, Candidate, Fci, candidates, select
from cardreader.emv.settings import Interface, TerminalSettings, Transaction
from cardreader.errors import ApplicationNotFound, CardReaderError, CardRemoved, ProtocolError
from cardreader.lab.meaning import explain
from cardreader.lab.trace import Exchange, Recorder
from cardreader.lab.tree import Node, Told, asked, nodes, told
from cardreader.secret import mask_number

COUNTERS = (0x9F36, 0x9F13, 0x9F17, 0x9F4F)
"""GET DATA: ATC, ATC of the last online transaction, PIN tries left, format of the log."""
_NO_RECORDS = (0x6A82, 0x6A83)
"""A directory's file is not there, or has ended."""
MOST_BEYOND = 16
"""So many records behind the last that the AFL names are asked for at most, until the card says that there is none."""
MOST_APPLICATIONS = 30
MOST_COMMANDS = 5000
"""Where a card names more applications, or has taken as many commands, the rest is left out."""
_GET_PROCESSING_OPTIONS, _READ_RECORD, _SELECT = b"\x80\xa8", b"\x00\xb2", b"\x00\xa4"
_INVALIDATED = 0x6283
_FILES = range(1, 11)
"""SFIs of an application's own records (EMV Book 3, 5.3.2.2)."""
_TEMPLATE = b"\x70"
_NO_CASH = ElectronicCash(None, None, None, None)
T = TypeVar("T")
Authenticity = Literal["verified", "failed", "not checked", "not offered"]


@dataclass(frozen=True, slots=True)
class PurseFound:
    """The electronic purse.

    Attributes:
        number: masked.
        valid: first and last day.
        log_records: how many transactions its log has; they are among what was told. ``log_problem``: why it cannot be
            read, as that the card wants its PIN first.
    """

    number: str
    balance_fen: int
    valid: tuple[str, str]
    log_records: int
    log_problem: str
    told: tuple[Told, ...]

    def content(self) -> dict[str, Any]:
        """For programs."""
        problem = {"log_problem": self.log_problem} if self.log_problem else {}
        about = {"balance_fen": self.balance_fen, "valid": list(self.valid), "log_records": self.log_records}
        return about | problem


@dataclass(frozen=True, slots=True)
class ApplicationFound:
    """A debit, credit or electronic cash application.

    Attributes:
        problem: what stood in the way of parts of it; empty when nothing did.
        card: its number, masked; empty when it was not read.
        holder: how the holder would have to prove who it is.
        authenticity: whether the certificates verify; "not checked" without the CA's key; None when that was not come to.
        failure: why not.
        counters: data objects that GET DATA told.
        log, loads: records decoded, newest first.
        told: every answer that told of it.
    """

    aid: str
    label: str
    problem: str = ""
    card: str = ""
    holder: str = ""
    authenticity: Authenticity | None = None
    failure: str = ""
    counters: tuple[Node, ...] = ()
    cash: ElectronicCash = _NO_CASH
    log: tuple[tuple[Node, ...], ...] = ()
    loads: tuple[tuple[Node, ...], ...] = ()
    told: tuple[Told, ...] = ()

    def content(self) -> dict[str, Any]:
        """For programs."""
        made: dict[str, Any] = {
            "aid": self.aid,
            "label": self.label,
            "counters": {one.name: one.value for one in self.counters},
            "electronic_cash": {
                name: getattr(self.cash, name)
                for name in (
                    "balance_fen",
                    "balance_limit_fen",
                    "transaction_limit_fen",
                    "reset_threshold_fen",
                )
                if getattr(self.cash, name) is not None
            },
            "log": [{one.name: one.value for one in record} for record in self.log],
            "load_log_records": len(self.loads),
        }
        if self.authenticity is not None:
            result = f"{self.authenticity}: {self.failure}" if self.failure else self.authenticity
            made |= {
                "card": self.card,
                "cardholder_verification": self.holder,
                "authentication": {"result": result},
            }
        return made | ({"problem": self.problem} if self.problem else {})


@dataclass(frozen=True, slots=True)
class Explored:
    """Everything that a card has told.

    Attributes:
        purse: None where there is none that can be read; ``purse_problem`` says why not.
        problem: why the applications could not be found, or had to be without a directory that is garbled.
        directory: what was told before any application was entered.
        told: every answer, in order.
        uid: of a contactless card, upper-case hex.
    """

    purse: PurseFound | None
    purse_problem: str
    applications: tuple[ApplicationFound, ...]
    problem: str
    directory: tuple[Told, ...]
    told: tuple[Told, ...]
    uid: str = ""

    @property
    def anything(self) -> bool:
        """Whether the purse or an application has told anything of itself."""
        return self.purse is not None or any(one.told for one in self.applications)

    def content(self) -> dict[str, Any]:
        """For programs."""
        about = {"problem": self.purse_problem} if self.purse is None else self.purse.content()
        problem = {"problem": self.problem} if self.problem else {}
        applications = [one.content() for one in self.applications]
        uid = {"uid": self.uid} if self.uid else {}
        return {**uid, "purse": about, "applications": applications, **problem}


def explore(connection: Recorder, settings: TerminalSettings, now: datetime) -> Explored:
    """Looks at everything; what stands in the way of a part stands in its place. Raises CardRemoved.

    A contactless card tells its applications in the PPSE.
    """
    uid = read_uid(connection).hex().upper() if is_contactless(connection.atr) else ""
    purse_found, purse_problem = _purse(connection)
    begun = len(connection.exchanges)
    part = _Parts()
    terminal, found = part.of(lambda: _applications(connection, settings)) or (settings, [])
    part.add(_trouble(connection.exchanges[begun:]))
    directory = told(connection.exchanges[begun:])
    applications = list[ApplicationFound]()
    for one in found[:MOST_APPLICATIONS]:
        if len(connection.exchanges) > MOST_COMMANDS:
            break
        applications.append(_application(connection, terminal, one, now))
    if left_out := len(found) - len(applications):
        part.add(f"{left_out} of {len(found)} applications were left out")
    return Explored(
        purse_found,
        purse_problem,
        tuple(applications),
        part.problem,
        directory,
        told(connection.exchanges),
        uid,
    )


def _applications(
    connection: Recorder, settings: TerminalSettings
) -> tuple[TerminalSettings, list[Candidate]]:
    """Every application of the card once, and the terminal that meets them: also those of other schemes that its directory
    names, those that are blocked, and those that it has for contactless readers alone. Raises CardReaderError.
    """
    channel = Channel(connection)
    contact = () if is_contactless(connection.atr) else (Interface.CONTACT,)
    for interface in (*contact, Interface.CONTACTLESS):
        try:
            every = candidates(channel, interface, settings.applications, passed_over=True)
        except ApplicationNotFound:  # no PPSE
            continue
        found = {one.aid: one for one in reversed(every) if one.aid != purse.AID}
        if found:
            return replace(settings, interface=interface), [*reversed(found.values())]
    return settings, []


def _trouble(exchanges: Sequence[Exchange]) -> str:
    """What is wrong with the directory, also where the applications were found without it; else empty."""
    for one in asked(exchanges):
        name = explain(one.command)
        if one.sw == status.OK:
            try:
                tlv.parse(one.data)
            except ProtocolError as error:
                return f"{name}: {error}"
            if one.command[:2] == _READ_RECORD and one.data[:1] != _TEMPLATE:
                return f"{name}: no template 70 at byte 0"
            if one.command[:2] == _SELECT and PSE in one.command:
                try:
                    Fci.parse(one.data)
                except ProtocolError as error:
                    return f"{name}: {error}"
        elif (
            one.command[:2] == _READ_RECORD
            and one.sw not in (None, *_NO_RECORDS)
            and one.sw >> 8 not in (0x61, 0x6C)
        ):
            return f"{name}: {one.sw:04X} ({status.meaning(one.sw)})"
    return ""


def _purse(connection: Recorder) -> tuple[PurseFound | None, str]:
    begun = len(connection.exchanges)
    try:
        session = purse.Purse(connection)
    except CardRemoved:
        raise
    except CardReaderError as error:
        return None, str(error)
    part = _Parts()
    balance_fen, about = part.of(session.balance_fen), part.of(lambda: session.information)
    missing = part.problem
    records = part.of(session.log) or []
    if balance_fen is None or about is None:
        return None, missing
    valid = str(about.start_date), str(about.expiry_date)
    number = mask_number(about.application_serial)
    said = told(connection.exchanges[begun:])
    return PurseFound(number, balance_fen, valid, len(records), part.problem, said), ""


class _Parts:
    """Parts of a card, each asked for whatever has become of the others.

    Attributes:
        problem: what stood in the way of some; empty when nothing did.
    """

    problem = ""

    def of(self, ask: Callable[[], T]) -> T | None:
        """A part, or None where the card does not tell it as it should. Raises CardRemoved."""
        try:
            return ask()
        except CardRemoved:
            raise
        except CardReaderError as error:
            self.add(str(error))
            return None

    def add(self, problem: str) -> None:
        """One more thing that stood in the way; nothing where it is empty or known."""
        if problem not in self.problem.split("; "):
            self.problem += f"; {problem}" if self.problem else problem


def _application(
    connection: Recorder, settings: TerminalSettings, which: Candidate, now: datetime
) -> ApplicationFound:
    begun = len(connection.exchanges)
    part = _Parts()
    fci = part.of(lambda: select(Channel(connection), which, blocked=True))
    if connection.exchanges[-1].sw == _INVALIDATED:
        part.problem = f"this application is blocked: SELECT {_INVALIDATED:X}"
        fci = fci or Fci(which.aid)  # under T=0 a card cannot warn and tell
    card = None if fci is None else DebitCredit(connection, settings, selected=(which, fci))
    found: dict[str, Any] = {}
    if card is not None:
        found = _look(connection, card, now, part)
        _rest(connection, begun, part)
    return ApplicationFound(
        which.aid.hex().upper(),
        which.label,
        part.problem,
        **found,
        told=told(connection.exchanges[begun:]),
    )


def _look(connection: Recorder, card: DebitCredit, now: datetime, part: _Parts) -> dict[str, Any]:
    """Every part of an application. Raises CardRemoved."""
    channel = Channel(connection)

    def asked_for(tag: int) -> bytes | None:
        return part.of(lambda: data.get_data(channel, tag))

    def amount(tag: int) -> int | None:
        return part.of(lambda: data.amount(channel, tag))

    counters = nodes({tag: value for tag in COUNTERS if (value := asked_for(tag)) is not None})
    found: dict[str, Any] = {
        "counters": counters,
        "cash": ElectronicCash(**{name: amount(tag) for name, tag in data.ELECTRONIC_CASH.items()}),
        "log": tuple(nodes(record.values) for record in part.of(card.transaction_log) or ()),
        "loads": tuple(_load(record) for record in part.of(card.load_log) or ()),
    }
    prepared = part.of(lambda: card.prepare(Transaction(1, now, 1)))
    if prepared is None:
        return found
    failure = card.authentication_failure
    return found | {
        "card": prepared.card.masked,
        "holder": str(prepared.cvm),
        "authenticity": _verified(card) if failure is None else _failed(failure.reason),
        "failure": "" if failure is None else str(failure),
    }


def _rest(connection: Recorder, begun: int, part: _Parts) -> None:
    """Reads what nobody has asked for: records that the AFL names behind a bad one, and others of its files, which it names to
    another terminal (electronic cash and account have an AFL each). Raises CardRemoved.
    """
    channel = Channel(connection)
    said = [one for one in asked(connection.exchanges[begun:]) if one.sw == status.OK]
    options = next((one.data for one in said if one.command[:2] == _GET_PROCESSING_OPTIONS), None)
    afl = None if options is None else part.of(lambda: records.parse_options(options).afl)
    read = {one.command[2:4] for one in connection.exchanges[begun:] if one.command[:2] == _READ_RECORD}
    last = dict.fromkeys(() if afl else _FILES, 0)  # without an AFL each file is asked for what is in it
    for entry in afl or ():
        last[entry.sfi] = max(entry.last, last.get(entry.sfi, 0))
    for sfi in sorted(last):
        for number in range(1, last[sfi] + MOST_BEYOND + 1):
            if bytes((number, sfi << 3 | 4)) in read:
                continue
            command = Command(0x00, 0xB2, number, sfi << 3 | 4, le=MAX_LE)
            answer = part.of(lambda command=command: channel.send(command))  # type: ignore[misc]
            if number > last[sfi] and (answer is None or answer[1] != status.OK):
                break


def _load(record: data.LoadRecord) -> tuple[Node, ...]:
    changed = nodes({record.tag: record.before}) + nodes({record.tag: record.after})
    return (*changed, *nodes(record.values))


def _failed(reason: Reason) -> Authenticity:
    return "not checked" if reason is Reason.NO_CA_KEY else "failed"


def _verified(card: DebitCredit) -> Authenticity:
    if bits.Tvr.OFFLINE_DATA_AUTHENTICATION_NOT_PERFORMED in card.tvr:
        return "not offered"
    return "verified" if not card.tvr & (bits.Tvr.SDA_FAILED | bits.Tvr.DDA_FAILED) else "failed"
