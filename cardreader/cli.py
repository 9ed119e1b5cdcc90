"""``stb-card``: cards and readers on the bench."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cardreader.errors import (
    ApplicationBlocked,
    ApplicationNotFound,
    CardReaderError,
    CardTimeout,
    ReaderGone,
    ReaderUnavailable,
)
from cardreader.lab import console, inserting, reading
from cardreader.lab.console import (
    EXIT_CARD,
    EXIT_INTERRUPTED,
    EXIT_NO_CARD,
    EXIT_NO_READER,
    EXIT_OK,
    EXIT_USAGE,
    Times,
    fail,
)
from cardreader.lab.faults import FORMS
from cardreader.output import until_nobody_reads
from cardreader.sim import profiles

CHINA = timezone(timedelta(hours=8))
"""Where the cards are at home: their dates are of it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command by this machine's clock; returns its exit code."""
    times = Times(lambda: datetime.now(CHINA), time.monotonic, time.sleep)
    return until_nobody_reads(lambda: run(argv, times))


def run(argv: Sequence[str] | None, times: Times) -> int:
    """Runs the command by a given clock; returns its exit code."""
    arguments = _parser().parse_args(argv, argparse.Namespace(times=times))
    try:
        code: int = arguments.run(arguments)
    except console.WrongArgument as error:
        return fail(EXIT_USAGE, str(error))
    except (ReaderUnavailable, ReaderGone) as error:
        return fail(EXIT_NO_READER, str(error))
    except CardTimeout as error:
        return fail(EXIT_NO_CARD, str(error))
    except ApplicationNotFound:
        return fail(EXIT_CARD, "there is no purse on this card")
    except ApplicationBlocked:
        return fail(EXIT_CARD, "the purse on this card is blocked by its issuer")
    except CardReaderError as error:
        return fail(EXIT_CARD, str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stb-card",
        description="Cards and readers on the bench.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=console.EXIT_CODES,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listed = commands.add_parser("profiles", help="list the demo cards")
    console.json_option(listed)
    listed.set_defaults(run=_profiles)

    plugged = commands.add_parser("readers", help="list the readers and what is in them")
    console.json_option(plugged)
    plugged.set_defaults(run=reading.readers)

    read = commands.add_parser("read", help="show what is on a purse card")
    console.reader_option(read)
    console.json_option(read)
    read.set_defaults(run=reading.read)

    looked = commands.add_parser(
        "explore",
        help="show everything that a card tells, decoded: applications, records, limits, logs, certificates",
        description="Shows everything that a card tells. To look into a debit or credit application a transaction is begun and "
        "given up: its transaction counter goes on by one, no money moves.",
    )
    console.reader_option(looked)
    looked.add_argument(
        "--ca-keys", type=Path, metavar="FILE", help="CA public keys, to verify certificates with (TOML)"
    )
    console.json_option(looked)
    looked.set_defaults(run=reading.explore)

    traced = commands.add_parser(
        "trace", help="read a card and show every command with its meaning and time, or show a kept trace"
    )
    traced.add_argument("trace", type=Path, nargs="?", metavar="FILE", help="a trace that was kept with --to")
    console.reader_option(traced, None)
    traced.add_argument("--to", type=Path, metavar="FILE", help="keep it, for 'trace' and 'replay'")
    console.json_option(traced)
    traced.set_defaults(run=reading.show)

    insert = commands.add_parser("insert", help="put a demo card into pcscd's virtual reader until Ctrl-C")
    inserting.card_options(insert)
    insert.add_argument(
        "--pull", choices=list(inserting.AT_DEBIT), help="the card leaves at the first debit of its purse"
    )
    inserting.slot_options(insert)
    insert.set_defaults(run=inserting.insert, faults=())

    fault = commands.add_parser(
        "fault",
        help="the same, with faults",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Puts a demo card with faults into pcscd's virtual reader until Ctrl-C. Each fault happens once.",
        epilog="faults:\n  " + "\n  ".join(FORMS) + "\n\n"
        "N counts commands from 1 since the card was powered, or is their CLA and INS: 8054 is DEBIT, 80AE GENERATE AC.",
    )
    inserting.card_options(fault)
    fault.add_argument("faults", type=inserting.a_fault, nargs="+", metavar="FAULT")
    inserting.slot_options(fault)
    fault.set_defaults(run=inserting.insert, pull=None)

    replay = commands.add_parser(
        "replay", help="put the card of a trace into pcscd's virtual reader until Ctrl-C"
    )
    replay.add_argument("trace", type=Path, metavar="FILE", help="kept by 'trace --to'")
    inserting.slot_options(replay)
    replay.set_defaults(run=inserting.replay)
    return parser


def _profiles(arguments: argparse.Namespace) -> int:
    every = profiles.list_profiles()
    if arguments.json:
        console.for_programs([{"profile": name, "description": text} for name, text in every])
        return EXIT_OK
    for name, description in every:
        print(f"{name:16}{description}")
    print(f"\nThe PIN of all of them is {profiles.PIN}.")
    return EXIT_OK
