"""The card lab: everything that a card tells, and what was said to it; for testers. Moves no money."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cardreader import purse, status
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import Cancelled, CardRemoved, ReaderSilent, ReaderUnavailable, ServiceUnavailable
from cardreader.lab import trace as traces
from cardreader.lab.explore import ApplicationFound, Explored, PurseFound, explore
from cardreader.lab.meaning import explain
from cardreader.lab.trace import Exchange, Recorder, Trace
from cardreader.lab.tree import Node, Told, answer, asked, sent, told
from cardreader.reader import OwnCard, Reader, SeveralSlots
from stb_app.journeys import lab_words
from stb_app.journeys.card_slot import CardSlot, NobodyCame
from stb_app.journeys.steps import CardPrompt, Refused
from stb_app.journeys.waiting import Waits
from stb_app.tsp.problem import Problem

if TYPE_CHECKING:
    from cardreader.pcsc import Slot

__all__ = [
    "ApplicationFound", "CardLab", "CardReading", "CardSeen", "Explored", "Kept", "LabStep", "Node", "OwnCard", "PurseFound", "ReaderSeen", "Session", "Spoken", "Told",
    "Trace", "bank_card", "keep", "readers", "said", "session", "spoken",
]  # fmt: skip

log = logging.getLogger(__name__)
CARD_WAIT_S = 3600.0
ELECTRONIC_CASH_LIMIT_FEN = 100_000
"""So that a card shows the files of its electronic cash; nothing is spent."""
SUFFIX = ".trace"
said = lab_words.said
Holds = Literal["nothing", "card", "mute", "taken", "silent"]
Purpose = Literal["payment", "load", "inquiry", "looked at"]
_UNIONPAY = "A000000333"
_KINDS = {"010101": "debit", "010102": "credit", "010103": "quasi-credit", "010106": "electronic-cash"}
"""Endings of UnionPay's AIDs (JR/T 0025)."""
Outcome = Literal["done", "not done", "not known"]
_SELECT, _DEBIT, _LOAD, _GENERATE_AC = (0x00, 0xA4), (0x80, 0x54), (0x80, 0x52), (0x80, 0xAE)
_INITIALIZE, _PROVE, _PUT_DATA = (0x80, 0x50), (0x80, 0x5A), (0x04, 0xDA)
_PURPOSES: dict[str, Purpose] = {"60": "load", "63": "load", "31": "inquiry"}
"""By the transaction type (9C) that GENERATE AC has; any other is a payment."""
_INITIALIZED: dict[int, Purpose] = {0x00: "load", 0x01: "payment"}
"""By P1 of a purse's INITIALIZE."""
_PROVED: dict[int, Purpose] = {purse.LOAD_EP: "load", purse.PURCHASE_EP: "payment"}
"""By P2 of GET TRANSACTION PROVE."""
_NO_PROOF, _MORE = 0x9406, 0x61
_BALANCE = bytes.fromhex("9F79")
_CRYPTOGRAM, _TC = 0xC0, 0x40
_TYPE, _NUMBERS, _SERIAL = "9C", ("5A", "57"), slice(20, 40)


@dataclass(frozen=True, slots=True)
class CardReading:
    """A card is being read.

    Attributes:
        commands: how many it has answered so far.
    """

    reader: str
    atr: bytes
    commands: int


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A card was read. It may have left since: a prompt says so.

    Attributes:
        recording: the file of which it is the replayed recording; empty for a card.
        whole: False where it left before everything was read; then only what it had told until then is there, and nothing
            of it was made out.
    """

    reader: str
    simulated: bool
    found: Explored
    trace: Trace
    recording: str = ""
    whole: bool = True


LabStep = CardPrompt | CardReading | CardSeen | Refused


class CardLab:
    """Reads every card that is put in, until it is cancelled. Ends with Refused: ``cancelled``, ``card-wait-expired`` or ``internal``.

    Each stay of a card begins with ``reading``, and CardReading tells how far it has come. After a card was read it waits until
    that has left: then ``insert`` is said again. What a card has told that leaves early is posted before ``removed-early``.
    """

    def __init__(
        self,
        reader: Reader,
        waits: Waits,
        terminal: Callable[[], TerminalSettings],
        now: Callable[[], datetime],
        alone: threading.Lock,
    ) -> None:
        self._reader = reader
        self._waits = waits
        self._terminal = terminal
        self._now = now
        self._alone = alone
        self._cancel = threading.Event()

    def run(self, post: Callable[[LabStep], None]) -> None:
        prompt = CardPrompt("insert")
        try:
            while True:
                # One for each stay: the next card's "reading" is said also when nothing was said in between.
                slot = CardSlot(self._reader, self._waits, self._cancel, post, self._alone)
                with slot.mine(CardPrompt("starting")):
                    seen = self._look(slot, prompt, post)
                if seen is not None:
                    post(seen)
                if seen is None or not seen.whole:
                    prompt = CardPrompt("removed-early")
                    continue
                slot.wait_for_removal(CARD_WAIT_S)
                prompt = CardPrompt("insert")
        except Cancelled:
            post(Refused("cancelled"))
        except NobodyCame:
            post(Refused("card-wait-expired", retryable=True))
        except Exception:
            log.exception("card lab")
            post(Refused("internal", retryable=True))

    def cancel(self) -> None:
        self._cancel.set()

    def _look(self, slot: CardSlot, prompt: CardPrompt, post: Callable[[LabStep], None]) -> CardSeen | None:
        """The next card; None when it was pulled before it was asked anything."""

        def tell(_: Exchange) -> None:
            post(CardReading(self._reader.name, connection.atr, len(connection.exchanges)))

        connection = Recorder(slot.wait_for_card(prompt, CARD_WAIT_S), self._waits.monotonic, tell)
        now = self._now()
        # Whether a reader is simulated, and the simulator's keys count, is known when its card is there.
        terminal = replace(self._terminal(), electronic_cash_limit_fen=ELECTRONIC_CASH_LIMIT_FEN)
        slot.say(CardPrompt("reading"))
        recording, found = "", None
        try:
            recording = connection.recording()
            found = explore(connection, terminal, now)
        except CardRemoved:
            if not connection.exchanges:
                return None
        finally:
            connection.close()
        whole = found is not None
        if found is None:
            found = Explored(None, "", (), "", (), told=told(connection.exchanges))
        made_at = now.isoformat(timespec="seconds")
        trace = Trace(self._reader.name, connection.atr, made_at, tuple(connection.exchanges))
        return CardSeen(self._reader.name, self._reader.simulated, found, trace, recording, whole)


@dataclass(frozen=True, slots=True)
class ReaderSeen:
    """A reader of this box.

    Attributes:
        holds: what is in it: nothing, a card, one that does not answer, one that another program has for itself; or "silent":
            the reader does not answer.
        atr: upper-case hex, where a card has told it.
        used: it is the one that was used last, or was chosen.
    """

    name: str
    holds: Holds
    atr: str
    used: bool


def readers(reader: Reader) -> tuple[ReaderSeen, ...]:
    """The readers of this box; empty when none is there. Raises Problem ``reader-service-down``."""
    try:
        if isinstance(reader, SeveralSlots):
            used = reader.chosen or reader.name
            return tuple(
                ReaderSeen(one.name, _holds(one), one.atr.hex().upper(), one.name == used)
                for one in reader.slots()
            )
        return (ReaderSeen(reader.name, "card" if reader.card_present() else "nothing", "", True),)
    except ServiceUnavailable as down:
        log.warning("%s", down)
        raise Problem("reader-service-down", retryable=True) from down
    except ReaderSilent as silent:
        log.warning("%s", silent)
        return (ReaderSeen(reader.name, "silent", "", True),)
    except ReaderUnavailable as gone:
        log.warning("%s", gone)
        return ()


def _holds(slot: Slot) -> Holds:
    if slot.silent:
        return "silent"
    if not slot.card_present:
        return "nothing"
    return "mute" if slot.mute else "taken" if slot.in_use else "card"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command and its answer for people.

    Attributes:
        command, answer: upper-case hex, PINs and card numbers masked.
        word: the status word in hex; empty where the card left instead of answering. ``meaning``: what it says.
        nodes: the answer decoded, where it has data objects. ``sent``: what was sent by a list of the card's own.
    """

    asked: str
    at_ms: float
    took_ms: float
    command: str
    answer: str
    word: str
    meaning: str
    nodes: tuple[Node, ...]
    sent: tuple[Node, ...]

    @property
    def fine(self) -> bool:
        """The card has done what it was asked for, or says how to ask."""
        return self.word[:2] in ("90", "61", "6C")


def spoken(trace: Trace) -> tuple[Spoken, ...]:
    """The commands of a trace for people, in order."""
    return tuple(map(_spoken, trace.exchanges, asked(trace.exchanges), sent(trace.exchanges)))


def _spoken(one: Exchange, whole: Exchange, by_list: tuple[Node, ...]) -> Spoken:
    told = answer(whole)
    name = told.asked if whole.command == one.command else f"{explain(one.command)} ({told.asked})"
    word, meaning = ("", "") if one.sw is None else (f"{one.sw:04X}", status.meaning(one.sw))
    return Spoken(
        name,
        one.at_ms,
        one.took_ms,
        one.command.hex().upper(),
        told.raw,
        word,
        meaning,
        told.nodes,
        by_list,
    )


def bank_card(aid: str) -> str:
    """What kind of bank card an application makes it, by its AID in upper-case hex: "debit", "credit" ...; else empty.

    >>> bank_card("A000000333010102")
    'credit'
    """
    return _KINDS.get(aid.removeprefix(_UNIONPAY)[:6], "") if aid.startswith(_UNIONPAY) else ""


@dataclass(frozen=True, slots=True)
class Session:
    """What a trace is about.

    Attributes:
        kind: "debit", "credit", "quasi-credit", "electronic-cash", "purse", or empty.
        number: the card's last four digits; empty where it has told none.
        purpose: what the card was asked for at last.
        outcome: what the card has said to a payment or a load: done, or not; "not known" where it left instead of answering
            and may have done it. None where nothing of the kind was asked for.
    """

    kind: str
    number: str
    purpose: Purpose
    outcome: Outcome | None = None


def session(trace: Trace) -> Session:
    """What a trace is about: which card, and whether it paid, was loaded, was asked for its balance, or only looked at."""
    kind, cryptograms = "", 0
    purpose: Purpose = "looked at"
    outcome: Outcome | None = None
    exchanges = trace.exchanges
    for one, whole, values in zip(exchanges, asked(exchanges), sent(exchanges), strict=True):
        p1, p2 = whole.command[2:4]
        match tuple(one.command[:2]):
            case command if command == _SELECT:
                cryptograms = 0
                if one.sw == status.OK:
                    name = one.command[5 : 5 + int.from_bytes(one.command[4:5])]
                    kind = "purse" if name == purse.AID else bank_card(name.hex().upper()) or kind
            case command if command == _GENERATE_AC:
                cryptograms += 1
                types = [value.value for value in values if value.tag == _TYPE]
                if types or cryptograms == 1:  # the second list need not have it
                    purpose = _PURPOSES.get(types[0], "payment") if types else "payment"
        match tuple(whole.command[:2]):
            case command if command == _INITIALIZE and p1 in _INITIALIZED:
                purpose, outcome = _INITIALIZED[p1], "not done"
            case command if command == _DEBIT:
                purpose, outcome = "payment", _outcome(whole)
            case command if command == _LOAD:
                purpose, outcome = "load", _outcome(whole)
            case command if command == _PROVE and p2 in _PROVED:
                purpose, outcome = _PROVED[p2], _proved(whole)
            case command if command == _GENERATE_AC and purpose == "payment":
                outcome = _certified(whole, first=cryptograms == 1)
            case command if command == _GENERATE_AC:
                outcome = "not done" if purpose == "load" and outcome is None else outcome
            case command if command == _PUT_DATA and purpose == "load" and whole.command[2:4] == _BALANCE:
                outcome = _outcome(whole)
    return Session(kind, _last_four(told(exchanges)), purpose, outcome)


def _outcome(one: Exchange) -> Outcome:
    """Of a command that moves the card's money."""
    if one.sw is None or one.sw >> 8 == _MORE:
        return "not known"
    return "done" if one.sw == status.OK else "not done"


def _proved(one: Exchange) -> Outcome:
    if one.sw == _NO_PROOF:
        return "not done"
    return "done" if one.sw == status.OK else "not known"


def _certified(one: Exchange, first: bool) -> Outcome:
    """Of a payment after GENERATE AC: it is paid with a TC. One that the issuer has granted and the card has not is undone, so that
    the answer to the second may be lost; but a card that pays by itself may have done it at the first.
    """
    if one.sw == status.OK:
        kinds = [value.text for value in _within(answer(one).nodes) if value.tag == "9F27"]
        return "done" if kinds == ["TC"] else "not done"
    lost = one.sw is None or one.sw >> 8 == _MORE
    return "not known" if lost and first and one.command[2] & _CRYPTOGRAM == _TC else "not done"


def _within(objects: Sequence[Node]) -> Iterator[Node]:
    """Data objects, and those in them."""
    for one in objects:
        yield one
        yield from _within(one.children)


def _last_four(answers: Sequence[Told]) -> str:
    """Of a card's number, masked as it is."""
    for one in (inside for every in answers for inside in _within(every.nodes)):
        if one.tag in _NUMBERS:
            return one.value.split("D")[0].rstrip("F")[-4:]
        if one.tag == "9F0C" and "*" in one.value:
            return one.value[_SERIAL][-4:]
    return ""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a trace was written."""

    folder: str
    file: str


def keep(trace: Trace, folder: Path | None) -> Kept:
    """Writes a trace as a file that ``stb-card trace`` shows and ``stb-card replay`` plays as a card.

    Raises:
        Problem: ``box-storage``.
    """
    if folder is None:
        raise Problem("box-storage")
    moment = "".join(letter for letter in trace.made_at[:19] if letter.isdigit() or letter == "T")
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        path = next(place for place in _places(folder, moment) if not place.exists())
        traces.save(trace, path)
    except OSError as error:
        log.warning("a trace cannot be kept: %s", error)
        raise Problem("box-storage") from error
    return Kept(str(folder), path.name)


def _places(folder: Path, name: str) -> Iterator[Path]:
    yield folder / f"{name}{SUFFIX}"
    for number in count(2):
        yield folder / f"{name}-{number}{SUFFIX}"
