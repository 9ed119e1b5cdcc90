"""``stb-card explore`` and the television's card lab: everything that a card tells, decoded: applications, files and records as
trees of data objects with their names, balances, limits, logs, counters, and whether its certificates verify.

What was said to the card and what it has answered is recorded, and the trees are made of that: nothing is shown that the
card has not told. To look into a debit or credit application a transaction is begun (GET PROCESSING OPTIONS), and given up:
its transaction counter goes on by one, and no money moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from cardreader import purse, tlv
from cardreader.apdu import Channel
from cardreader.contactless import is_contactless
from cardreader.contactless import uid as read_uid
from cardreader.emv import bits, data
from cardreader.emv.certificates import Reason
from cardreader.emv.data import ElectronicCash
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.selection import Candidate, candidates
from cardreader.emv.settings import Application, Interface, TerminalSettings, Transaction
from cardreader.errors import ApplicationNotFound, CardReaderError, CardRemoved, ProtocolError
from cardreader.lab.trace import Exchange, Recorder
from cardreader.lab.tree import Node, Told, nodes, told
from cardreader.secret import mask_number

COUNTERS = (0x9F36, 0x9F13, 0x9F17, 0x9F4F)
"""GET DATA: ATC, ATC of the last online transaction, PIN tries left, format of the log."""
_AID = 0x4F
_NO_CASH = ElectronicCash(None, None, None, None)
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
        problem: what stood in the way of the rest of it; empty when nothing did.
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
            made |= {"card": self.card, "holder": self.holder, "authentication": {"result": result}}
        return made | ({"problem": self.problem} if self.problem else {})


@dataclass(frozen=True, slots=True)
class Explored:
    """Everything that a card has told.

    Attributes:
        purse: None where there is none that can be read; ``purse_problem`` says why not.
        problem: why the applications could not be found; empty when they could be, also when there are none.
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
    problem = ""
    found: list[tuple[TerminalSettings, Candidate]] = []
    try:
        found = _applications(connection, settings)
    except CardRemoved:
        raise
    except CardReaderError as error:
        problem = str(error)
    directory = told(connection.exchanges[begun:])
    applications = tuple(_application(connection, terminal, one, now) for terminal, one in found)
    return Explored(
        purse_found, purse_problem, applications, problem, directory, told(connection.exchanges), uid
    )


def _applications(
    connection: Recorder, settings: TerminalSettings
) -> list[tuple[TerminalSettings, Candidate]]:
    """Every application of the card, each with a terminal that supports it: also those of other schemes that its directory
    names, and those that it has for contactless readers alone. Raises CardReaderError.
    """
    channel = Channel(connection)
    contact = () if is_contactless(connection.atr) else (Interface.CONTACT,)
    for interface in (*contact, Interface.CONTACTLESS):
        begun = len(connection.exchanges)
        terminal = replace(settings, interface=interface)
        try:
            found = candidates(channel, interface, terminal.applications)
        except ApplicationNotFound:  # no PPSE
            continue
        others = _named(connection.exchanges[begun:]) - {one.aid for one in found} - {purse.AID}
        if others:
            known = (*terminal.applications, *(Application(aid, partial=False) for aid in sorted(others)))
            terminal = replace(terminal, applications=known)
            found = candidates(channel, interface, known)
        if found:
            return [(terminal, one) for one in found]
    return []


def _named(exchanges: Sequence[Exchange]) -> set[bytes]:
    """AIDs (4F) that a directory names."""
    found: set[bytes] = set()
    for one in exchanges:
        try:
            waiting = list(tlv.parse(one.data))
        except ProtocolError:
            continue
        while waiting:
            top = waiting.pop()
            waiting += top.children
            if top.tag == _AID:
                found.add(top.value)
    return found


def _purse(connection: Recorder) -> tuple[PurseFound | None, str]:
    begun = len(connection.exchanges)
    try:
        session = purse.Purse(connection)
        balance_fen, about = session.balance_fen(), session.information
        records, log_problem = _purse_log(session)
    except CardRemoved:
        raise
    except CardReaderError as error:
        return None, str(error)
    valid = str(about.start_date), str(about.expiry_date)
    number = mask_number(about.application_serial)
    said = told(connection.exchanges[begun:])
    return PurseFound(number, balance_fen, valid, records, log_problem, said), ""


def _purse_log(session: purse.Purse) -> tuple[int, str]:
    """How many records its log has; or why it cannot be read. Raises CardRemoved."""
    try:
        return len(session.log()), ""
    except CardRemoved:
        raise
    except CardReaderError as error:
        return 0, str(error)


def _application(
    connection: Recorder, settings: TerminalSettings, which: Candidate, now: datetime
) -> ApplicationFound:
    found: dict[str, Any] = {}
    begun = len(connection.exchanges)
    try:
        _look(connection, settings, which, now, found)
    except CardRemoved:
        raise
    except CardReaderError as error:
        found["problem"] = str(error)
    return ApplicationFound(
        which.aid.hex().upper(), which.label, **found, told=told(connection.exchanges[begun:])
    )


def _look(
    connection: Recorder, settings: TerminalSettings, which: Candidate, now: datetime, found: dict[str, Any]
) -> None:
    """Puts what it finds into ``found`` as it goes. Raises CardReaderError."""
    card = DebitCredit(
        connection, settings, order=lambda every: [one for one in every if one.aid == which.aid]
    )
    channel = Channel(connection)
    counters = {tag: data.get_data(channel, tag) for tag in COUNTERS}
    found["counters"] = nodes({tag: value for tag, value in counters.items() if value is not None})
    found["cash"] = card.electronic_cash()
    found["log"] = tuple(nodes(record.values) for record in card.transaction_log())
    found["loads"] = tuple(_load(record) for record in card.load_log())
    prepared = card.prepare(Transaction(1, now, 1))
    found["card"], found["holder"] = prepared.card.masked, str(prepared.cvm)
    failure = card.authentication_failure
    found["authenticity"] = _verified(card) if failure is None else _failed(failure.reason)
    found["failure"] = "" if failure is None else str(failure)


def _load(record: data.LoadRecord) -> tuple[Node, ...]:
    changed = nodes({record.tag: record.before}) + nodes({record.tag: record.after})
    return (*changed, *nodes(record.values))


def _failed(reason: Reason) -> Authenticity:
    return "not checked" if reason is Reason.NO_CA_KEY else "failed"


def _verified(card: DebitCredit) -> Authenticity:
    if bits.Tvr.OFFLINE_DATA_AUTHENTICATION_NOT_PERFORMED in card.tvr:
        return "not offered"
    return "verified" if not card.tvr & (bits.Tvr.SDA_FAILED | bits.Tvr.DDA_FAILED) else "failed"
