"""``stb-card``: demo cards on the bench, and what is on a card.

Exit codes: 0 done; 1 the card cannot be used as asked; 2 wrong command line, or a folder that
nothing can be kept in; 3 no reader; 4 no card in time;
5 the card left at the debit, as ``--pull`` asked; 130 interrupted; 141 nobody reads what is printed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import platformdirs

from cardreader import purse
from cardreader.disk import trouble
from cardreader.errors import (
    ApplicationBlocked,
    ApplicationNotFound,
    CardReaderError,
    CardTimeout,
    ReaderUnavailable,
)
from cardreader.output import until_nobody_reads
from cardreader.pboc.files import LogRecord, mask_number
from cardreader.purse import Purse
from cardreader.readers import open_reader
from cardreader.sim import profiles
from cardreader.sim.vpcd import DEFAULT_HOST, DEFAULT_PORT, Ending, VirtualSlot

EXIT_OK, EXIT_CARD, EXIT_USAGE, EXIT_NO_READER, EXIT_NO_CARD = 0, 1, 2, 3, 4
EXIT_PULLED_AT_DEBIT, EXIT_INTERRUPTED = 5, 130
_WAIT_FOR_CARD_S = 10.0
_KINDS = {purse.LOAD_EP: "load", purse.PURCHASE_EP: "purchase"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return until_nobody_reads(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ReaderUnavailable as error:
        return _fail(EXIT_NO_READER, str(error))
    except CardTimeout as error:
        return _fail(EXIT_NO_CARD, str(error))
    except ApplicationNotFound:
        return _fail(EXIT_CARD, "there is no purse on this card")
    except ApplicationBlocked:
        return _fail(EXIT_CARD, "the purse on this card is blocked by its issuer")
    except CardReaderError as error:
        return _fail(EXIT_CARD, str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stb-card", description="Demo cards, and what is on a card.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listed = commands.add_parser("profiles", help="list the demo cards")
    listed.set_defaults(run=_profiles)

    insert = commands.add_parser("insert", help="put a demo card into pcscd's virtual reader until Ctrl-C")
    insert.add_argument(
        "profile", type=_profile, metavar="PROFILE", help="one that 'profiles' lists, or your own FILE.toml"
    )
    insert.add_argument(
        "--vpcd",
        type=_address,
        default=(DEFAULT_HOST, DEFAULT_PORT),
        metavar="HOST:PORT",
        help=f"where the virtual reader listens (default {DEFAULT_HOST}:{DEFAULT_PORT})",
    )
    insert.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="folder that keeps the card's state (default: your data folder)",
    )
    insert.add_argument("--fresh", action="store_true", help="the card as it came from its issuer")
    insert.add_argument(
        "--pull", choices=["before-debit", "after-debit"], help="the card leaves at the first debit"
    )
    insert.set_defaults(run=_insert)

    read = commands.add_parser("read", help="show what is on a card")
    read.add_argument(
        "--reader", default="pcsc:", metavar="URL", help="pcsc:, pcsc:NAME or sim:PROFILE (default pcsc:)"
    )
    read.add_argument("--json", action="store_true", help="for programs")
    read.set_defaults(run=_read)
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def _profile(text: str) -> str:
    if text not in profiles.NAMES and not text.endswith(profiles.FILE_SUFFIX):
        raise argparse.ArgumentTypeError(f"no demo card {text!r}; there are {', '.join(profiles.NAMES)}")
    return text


def _fail(code: int, message: str) -> int:
    print(f"stb-card: {message}", file=sys.stderr)
    return code


def _say(text: str) -> None:
    print(text, flush=True)


# -- profiles


def _profiles(_: argparse.Namespace) -> int:
    for name, description in profiles.list_profiles():
        print(f"{name:16}{description}")
    print(f"\nThe PIN of all of them is {profiles.PIN}.")
    return EXIT_OK


# -- insert


def _insert(arguments: argparse.Namespace) -> int:
    folder = arguments.state or platformdirs.user_data_path("stb-pay") / "cards"
    try:
        return _insert_kept_in(folder, arguments)
    except OSError as error:
        return _fail(EXIT_USAGE, f"the card's state cannot be kept: {trouble(folder, error, '--state')}")


def _insert_kept_in(folder: Path, arguments: argparse.Namespace) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:  # rather now than at the first debit
        probe.write(bytes(4096))
    state_dir = str(folder)
    if arguments.fresh:
        profiles.reset(arguments.profile, state_dir)
    card = profiles.open_card(arguments.profile, state_dir)
    host, port = arguments.vpcd
    try:
        slot = VirtualSlot(card, host, port, arguments.pull, _say_power)
    except ReaderUnavailable as error:
        return _fail(
            EXIT_NO_READER,
            f"{error}; it is there while pcscd runs and the package vsmartcard-vpcd is installed: "
            "'systemctl start pcscd', or 'pcscd --foreground' as root in another terminal",
        )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: slot.pull())
    card_number = mask_number(card.number)
    _say(f"{arguments.profile} ({card_number}) is inserted at {host}:{port}. Ctrl-C pulls it out.")
    ending = slot.run()
    _say(f"The card has answered {slot.apdus} commands.")
    if ending is Ending.PULLED_AT_DEBIT:
        done = "after it had debited" if arguments.pull == "after-debit" else "before it debited"
        _say(f"The card was pulled out {done}.")
        return EXIT_PULLED_AT_DEBIT
    if ending is Ending.READER_GONE:
        return _fail(EXIT_NO_READER, "the reader service has gone")
    _say("The card was pulled out.")
    return EXIT_OK


def _say_power(on: bool) -> None:
    _say("The reader has powered the card." if on else "The reader has switched the card off.")


# -- read


def _read(arguments: argparse.Namespace) -> int:
    reader = open_reader(arguments.reader)
    if not reader.card_present():
        print(f"Please put a card into {reader.name}.", file=sys.stderr)
    connection = reader.wait_for_card(_WAIT_FOR_CARD_S, threading.Event())
    try:
        session = Purse(connection)
        content = {
            "reader": reader.name,
            "simulated": reader.simulated,
            "number": mask_number(session.information.application_serial),
            "issuer_id": session.information.issuer_id.hex().upper(),
            "application_type": session.information.application_type,
            "version": session.information.version,
            "start_date": session.information.start_date.isoformat(),
            "expiry_date": session.information.expiry_date.isoformat(),
            "balance_fen": session.balance_fen(),
            "log": [_log_content(record) for record in session.log()],
        }
    finally:
        connection.close()
    if arguments.json:
        print(json.dumps(content))
    else:
        _print(content)
    return EXIT_OK


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
    print(f"Reader    {content['reader']}{' (simulated)' if content['simulated'] else ''}")
    print(f"Card      {content['number']}")
    print(f"Issuer    {content['issuer_id']}")
    print(f"Valid     {content['start_date']} to {content['expiry_date']}")
    print(f"Balance   {_yuan(content['balance_fen'])} yuan")
    print("Last transactions" if content["log"] else "No transactions")
    for record in content["log"]:
        kind = _KINDS.get(record["transaction_type"], f"type {record['transaction_type']:02X}")
        print(
            f"  {record['date']} {record['time']}  {kind:9}{_yuan(record['amount_fen']):>12} yuan"
            f"  terminal {record['terminal_number']}  no. {record['sequence_number']}"
        )


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100:,}.{amount_fen % 100:02d}"
