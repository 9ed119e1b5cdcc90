"""``stb-card readers``, ``read`` and ``trace``: what is plugged in, what is on a card, and what was said to it."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from cardreader import purse
from cardreader.contactless import is_contactless
from cardreader.emv import capk
from cardreader.emv.capk import CaKeys
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import CardRemoved, ReaderUnavailable
from cardreader.lab import console, trace
from cardreader.lab.console import EXIT_CARD, EXIT_NO_READER, EXIT_OK, EXIT_USAGE, fail
from cardreader.lab.explore import explore as explored
from cardreader.lab.trace import Exchange, Recorder, Trace
from cardreader.lab.tree import Told, told
from cardreader.pboc.files import LogRecord, mask_number
from cardreader.purse import Purse
from cardreader.reader import Connection, Reader
from cardreader.readers import open_reader

WAIT_FOR_CARD_S = 10.0
PROGRESS_S = 5.0
"""Of silence, while a card is read that takes long."""
_KINDS = {purse.LOAD_EP: "load", purse.PURCHASE_EP: "purchase"}


# -- readers


def readers(arguments: argparse.Namespace) -> int:
    """The readers of the PC/SC service. Returns the exit code."""
    from cardreader.pcsc import slots  # pyscard takes its time

    found = slots()
    content = [
        {
            "reader": one.name,
            "simulated": one.simulated,
            "card": one.card_present,
            "atr": one.atr.hex().upper(),
            "contactless": is_contactless(one.atr),
            "in_use": one.in_use,
            "mute": one.mute,
        }
        for one in found
    ]
    if arguments.json:
        console.for_programs(content)
    if not found:
        return fail(EXIT_NO_READER, "no reader is plugged in; sim:PROFILE is a reader that needs none")
    if not arguments.json:
        for one in found:
            kind = " (simulated)" if one.simulated else ""
            console.say(f"{one.name}{kind}: {_in_it(one.card_present, one.mute, one.in_use, one.atr)}")
    return EXIT_OK


def _in_it(present: bool, mute: bool, in_use: bool, atr: bytes) -> str:
    if not present:
        return "empty"
    if mute:
        return "a card that does not answer; is it the right way round?"
    kind = "a contactless card" if is_contactless(atr) else "a card"
    return f"{kind}, {'used by another program, ' if in_use else ''}ATR {atr.hex().upper() or 'unknown'}"


# -- read


def read(arguments: argparse.Namespace) -> int:
    """What is on a purse card. Returns the exit code. Raises CardReaderError."""
    reader, connection = _powered(arguments.reader)
    with closing(Recorder(connection, arguments.times.monotonic)) as recorder:
        content = _about(reader, recorder) | _content(Purse(recorder))
    if arguments.json:
        console.for_programs(content)
    else:
        _print(content)
    return EXIT_OK


def _powered(url: str) -> tuple[Reader, Connection]:
    try:
        with console.from_file():
            reader = open_reader(url)
    except ReaderUnavailable as error:  # no reader was looked for yet: it is the URL that is wrong
        raise console.WrongArgument(str(error)) from error
    if url == "pcsc:":
        _note_others()
    if not reader.card_present():
        console.note(f"Please put a card into {reader.name}.")
    return reader, reader.wait_for_card(WAIT_FOR_CARD_S, threading.Event())


def _note_others() -> None:
    """Where several readers have a card, which they are: one of them is taken."""
    from cardreader.pcsc import slots  # pyscard takes its time

    cards = [one.name for one in slots() if one.card_present]
    if len(cards) > 1:
        console.note(f"There are cards in {' and '.join(cards)}; --reader pcsc:NAME chooses one.")


def _about(reader: Reader, connection: Recorder) -> dict[str, Any]:
    """The reader, and whether what is in it is no card."""
    file = connection.recording()
    about = {"reader": reader.name, "simulated": reader.simulated}
    return about | ({"replayed": file} if file else {})


def _content(session: Purse) -> dict[str, Any]:
    return {
        "number": mask_number(session.information.application_serial),
        "issuer_id": session.information.issuer_id.hex().upper(),
        "application_type": session.information.application_type,
        "version": session.information.version,
        "start_date": session.information.start_date.isoformat(),
        "expiry_date": session.information.expiry_date.isoformat(),
        "balance_fen": session.balance_fen(),
        "log": [_log_content(record) for record in session.log()],
    }


def _log_content(record: LogRecord) -> dict[str, Any]:
    return {
        "sequence_number": record.sequence_number,
        "transaction_type": record.transaction_type,
        "amount_fen": record.amount_fen,
        "terminal_number": record.terminal_number.hex().upper(),
        "date": record.date.isoformat(),
        "time": record.time.isoformat(),
    }


def _print(content: dict[str, Any]) -> None:
    console.say(f"Reader    {content['reader']}{' (simulated)' if content['simulated'] else ''}")
    if "replayed" in content:
        console.say(f"Replay    {_replayed(content['replayed'])}")
    console.say(f"Card      {content['number']}")
    console.say(f"Issuer    {content['issuer_id']}")
    console.say(f"Valid     {content['start_date']} to {content['expiry_date']}")
    console.say(f"Balance   {_yuan(content['balance_fen'])} yuan")
    console.say("Last transactions" if content["log"] else "No transactions")
    for record in content["log"]:
        kind = _KINDS.get(record["transaction_type"], f"type {record['transaction_type']:02X}")
        console.say(
            f"  {record['date']} {record['time']}  {kind:9}{_yuan(record['amount_fen']):>12} yuan"
            f"  terminal {record['terminal_number']}  no. {record['sequence_number']}"
        )


def _replayed(file: str) -> str:
    return f"a replayed recording ({file})"


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100:,}.{amount_fen % 100:02d}"


# -- explore


def explore(arguments: argparse.Namespace) -> int:
    """Everything that a card tells. Returns the exit code. Raises CardReaderError."""
    ca_keys: CaKeys = {}
    try:
        if arguments.ca_keys is not None:
            with console.from_file():
                ca_keys = capk.load(arguments.ca_keys)
    except OSError as error:
        return fail(EXIT_USAGE, console.unreadable(arguments.ca_keys, error))
    reader, connection = _powered(arguments.reader)
    recorder = Recorder(connection, arguments.times.monotonic, _Progress(arguments.times.monotonic))
    with closing(recorder):
        content = _about(reader, recorder) | {"atr": recorder.atr.hex().upper()}
        try:
            found = explored(recorder, _terminal(reader, ca_keys), arguments.times.now())
        except CardRemoved as error:  # what it has told until then is shown
            _show_explored(content | {"problem": str(error)}, told(recorder.exchanges), arguments.json)
            raise
    _show_explored(content | found.content(), found.told, arguments.json)
    return EXIT_OK if found.anything else fail(EXIT_CARD, "nothing on this card can be read")


class _Progress:
    """Says from time to time that a card is still being read.

    Args:
        monotonic: seconds of a clock that only goes forward.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._said = monotonic()
        self._commands = 0

    def __call__(self, one: Exchange) -> None:
        self._commands += 1
        if self._monotonic() >= self._said + PROGRESS_S:
            self._said = self._monotonic()
            console.note(f"Still reading, after {self._commands} commands; Ctrl-C gives up.")


def _show_explored(content: dict[str, Any], told: Sequence[Told], json: bool) -> None:
    if json:
        console.for_programs({**content, "told": [one.content() for one in told]})
        return
    said = {"replayed": _replayed(content["replayed"])} if "replayed" in content else {}
    _lay_open(content | said, told)


def _lay_open(content: dict[str, Any], told: Sequence[Told]) -> None:
    for line in _summary(content):
        console.say(line)
    for one in told:
        console.say("")
        for line in one.lines():
            console.say(line)


def _terminal(reader: Reader, ca_keys: CaKeys) -> TerminalSettings:
    """The bench as a terminal; the simulated cards' CA counts only where no real card can be."""
    known = capk.for_simulated_cards(ca_keys) if reader.simulated else ca_keys
    return TerminalSettings(terminal_id="STBCARD0", merchant_id="STBCARD00000000", ca_keys=known)


def _summary(content: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Names and values, one a line, what is inside below."""
    for name, value in content.items():
        words = name.replace("_", " ")
        if name.endswith("_fen") and isinstance(value, int):
            yield f"{'  ' * depth}{words.removesuffix(' fen')}: {_yuan(value)} yuan"
        elif isinstance(value, dict) and value:
            yield f"{'  ' * depth}{words}:"
            yield from _summary(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, one in enumerate(value, 1):
                yield f"{'  ' * depth}{words} {number}:"
                yield from _summary(one, depth + 1)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{'  ' * depth}{words}: {'none' if shown in ('', None, {}) else shown}"


# -- trace


def show(arguments: argparse.Namespace) -> int:
    """Reads a card and shows every command as it goes, or shows a trace that was kept. Returns the exit code."""
    if arguments.trace is not None:
        if arguments.to is not None:
            return fail(EXIT_USAGE, f"--to keeps what a card says; {arguments.trace} is kept already")
        if arguments.reader is not None:
            return fail(EXIT_USAGE, f"--reader is for a card; {arguments.trace} is a trace: give one of them")
        try:
            with console.from_file():
                kept = trace.load(arguments.trace)
        except OSError as error:
            return fail(EXIT_USAGE, console.unreadable(arguments.trace, error))
        return _show(kept, arguments.json)
    if arguments.to is not None:
        try:
            trace.try_place(arguments.to)  # rather now than when the card's counters have gone on for nothing
        except OSError as error:
            return fail(EXIT_USAGE, console.unwritable(arguments.to, error, "--to"))
    reader, connection = _powered(arguments.reader or console.ANY_READER)
    # What is to be kept is shown when it is: who looks on may go at any line.
    at_once = arguments.to is None and not arguments.json
    recorder = Recorder(connection, arguments.times.monotonic, _tell if at_once else lambda _: None)
    now = arguments.times.now()
    problem: CardRemoved | None = None
    with closing(recorder):
        try:
            explored(recorder, _terminal(reader, {}), now)
        except CardRemoved as error:
            problem = error  # what was said until then is kept
    made = Trace(reader.name, recorder.atr, now.isoformat(timespec="seconds"), tuple(recorder.exchanges))
    if arguments.to is not None:
        try:
            trace.save(made, arguments.to)
        except OSError as error:
            return fail(EXIT_USAGE, console.unwritable(arguments.to, error, "--to"))
    if arguments.json:
        console.say(made.to_text().rstrip())
    elif not at_once:
        for one in made.exchanges:
            _tell(one)
    if problem is not None:
        raise problem
    return EXIT_OK


def _tell(one: Exchange) -> None:
    console.say(one.line())


def _show(kept: Trace, json: bool) -> int:
    if json:
        console.say(kept.to_text().rstrip())
        return EXIT_OK
    console.say(f"{kept.reader}, {kept.made_at}, ATR {kept.atr.hex().upper() or 'unknown'}")
    for one in kept.exchanges:
        _tell(one)
    return EXIT_OK
