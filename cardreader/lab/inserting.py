"""``stb-card insert``, ``fault`` and ``replay``: cards put into pcscd's virtual reader until they are pulled."""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import platformdirs

from cardreader.disk import trouble
from cardreader.errors import CardElsewhere, ReaderUnavailable, SlotOccupied, StateDamaged
from cardreader.lab import console, faults, trace
from cardreader.lab.console import EXIT_LEFT, EXIT_NO_READER, EXIT_OCCUPIED, EXIT_OK, EXIT_USAGE, fail
from cardreader.lab.faults import Fault, FaultyCard
from cardreader.lab.meaning import explain
from cardreader.lab.replay import ReplayedCard
from cardreader.pboc.files import mask_number
from cardreader.sim import profiles
from cardreader.sim.card import Card, DemoCard
from cardreader.sim.vpcd import DEFAULT_HOST, DEFAULT_PORT, Ending, VirtualSlot

AT_DEBIT = {"before-debit": "pull@8054", "after-debit": "lose@8054"}
"""What ``--pull`` says of a purse card, as a fault."""


def slot_options(parser: argparse.ArgumentParser) -> None:
    """``--vpcd``, ``--json``."""
    parser.add_argument(
        "--vpcd",
        type=_address,
        default=(DEFAULT_HOST, DEFAULT_PORT),
        metavar="HOST:PORT",
        help=f"where the virtual reader listens (default {DEFAULT_HOST}:{DEFAULT_PORT})",
    )
    console.json_option(parser)


def card_options(parser: argparse.ArgumentParser) -> None:
    """PROFILE, ``--state``, ``--fresh``."""
    parser.add_argument(
        "profile", type=_profile, metavar="PROFILE", help="one that 'profiles' lists, or your own FILE.toml"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="folder that keeps the card's state (default: your data folder)",
    )
    parser.add_argument("--fresh", action="store_true", help="the card as it came from its issuer")


def a_fault(text: str) -> Fault:
    """An argument. Raises argparse.ArgumentTypeError."""
    try:
        return faults.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def insert(arguments: argparse.Namespace) -> int:
    """A demo card, with the faults that were asked for. Returns the exit code."""
    wanted: list[Fault] = []
    try:
        for fault in arguments.faults:
            faults.order(fault, wanted)
    except faults.AlreadyOrdered as again:
        return fail(EXIT_USAGE, str(again))
    folder = arguments.state or platformdirs.user_data_path("stb-pay") / "cards"
    with ExitStack() as stay:
        try:
            with console.from_file():
                _room_in(folder)
                stay.enter_context(profiles.in_slot(arguments.profile, str(folder)))
                card = _kept_in(folder, arguments)
        except CardElsewhere as error:
            return fail(
                EXIT_OCCUPIED,
                f"{error}: Ctrl-C where its stb-card runs pulls it out there; --state DIR with another folder is "
                "another card",
            )
        except OSError as error:
            return fail(EXIT_USAGE, f"the card's state cannot be kept: {trouble(folder, error, '--state')}")
        return _inserted(arguments, card, wanted)


def _inserted(arguments: argparse.Namespace, card: DemoCard, wanted: list[Fault]) -> int:
    if arguments.pull:
        wanted.append(faults.parse(AT_DEBIT[arguments.pull]))
    faulty = FaultyCard(card, [*wanted], arguments.times.sleep)
    number = mask_number(card.number)

    def after() -> dict[str, Any]:
        waiting = len(wanted) - len(faulty.happened)
        return {
            "faults": [{"command": number, "fault": fault.kind} for number, fault in faulty.happened],
            "faults_left": waiting,
        }

    return _stay(arguments, faulty, f"{arguments.profile} ({number})", after)


def replay(arguments: argparse.Namespace) -> int:
    """The card of a trace. Returns the exit code."""
    try:
        with console.from_file():
            card = ReplayedCard(trace.load(arguments.trace))
    except OSError as error:
        return fail(EXIT_USAGE, console.unreadable(arguments.trace, error))

    def after() -> dict[str, Any]:
        return {
            "strange": [{"command": explain(apdu), "times": times} for apdu, times in card.strange.items()]
        }

    return _stay(arguments, card, f"the card of {arguments.trace}", after, arguments.trace.name)


def _room_in(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:  # rather now than at the first debit
        probe.write(bytes(4096))


def _kept_in(folder: Path, arguments: argparse.Namespace) -> DemoCard:
    if arguments.fresh:
        profiles.reset(arguments.profile, str(folder))
    try:
        return profiles.open_card(arguments.profile, str(folder))
    except StateDamaged as damaged:
        raise console.FileUnusable(f"{damaged}; --fresh begins this card anew") from damaged


def _stay(
    arguments: argparse.Namespace, card: Card, what: str, after: Callable[[], dict[str, Any]], recording: str = ""
) -> int:  # fmt: skip
    """One stay of a card in the virtual reader.

    Args:
        what: the card, for people.
        after: what is to be told of it at the end.
        recording: name of the file that it was made of, if it was.
    """
    host, port = arguments.vpcd
    tell = _ForPrograms() if arguments.json else _ForPeople()
    try:
        slot = VirtualSlot(card, host, port, tell.power, recording)
    except ReaderUnavailable as error:
        return fail(
            EXIT_NO_READER,
            f"{error}; it is there while pcscd runs and the package vsmartcard-vpcd is installed: "
            "'systemctl start pcscd', or 'pcscd --foreground' as root in another terminal",
        )
    except SlotOccupied as error:
        return _no_room(error, port)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: slot.pull())
    try:
        slot.wait_until_noticed()
    except SlotOccupied as error:
        return _no_room(error, port)
    tell.inserted(what, f"{host}:{port}")
    ending = slot.run()
    tell.ended(ending, slot.apdus, after())
    if ending is Ending.READER_GONE:
        return fail(EXIT_NO_READER, "the reader service has gone")
    return EXIT_LEFT if ending is Ending.LEFT else EXIT_OK


def _no_room(error: SlotOccupied, port: int) -> int:
    other = f", --vpcd HOST:{DEFAULT_PORT + 1} is its second slot" if port == DEFAULT_PORT else ""
    return fail(
        EXIT_OCCUPIED,
        f"{error}: 'stb-card explore' shows which; Ctrl-C where its stb-card runs pulls it out{other}",
    )


class _ForPeople:
    def power(self, on: bool) -> None:
        console.say("The reader has powered the card." if on else "The reader has switched the card off.")

    def inserted(self, what: str, place: str) -> None:
        console.say(f"{what} is inserted at {place}. Ctrl-C pulls it out.")

    def ended(self, ending: Ending, apdus: int, more: dict[str, Any]) -> None:
        console.say(f"The card has carried out {apdus} command{'s' if apdus != 1 else ''}.")
        for one in more.get("faults", ()):
            console.say(f"Fault at command {one['command']}: {one['fault']}.")
        if left := more.get("faults_left"):
            console.say(f"{left} fault{'s' if left > 1 else ''} never happened.")
        for one in more.get("strange", ()):
            console.say(f"Not in the trace, answered 6F00: {one['command']} ({one['times']}).")
        if ending is not Ending.READER_GONE:
            console.say(
                "The card has left by itself." if ending is Ending.LEFT else "The card was pulled out."
            )


class _ForPrograms:
    def power(self, on: bool) -> None:
        console.for_programs({"event": "power", "on": on})

    def inserted(self, what: str, place: str) -> None:
        console.for_programs({"event": "inserted", "card": what, "at": place})

    def ended(self, ending: Ending, apdus: int, more: dict[str, Any]) -> None:
        console.for_programs({"event": "ended", "why": ending.value, "commands": apdus, **more})


def _profile(text: str) -> str:
    if text in profiles.NAMES or text.endswith(profiles.FILE_SUFFIX):
        return text
    if _is_fault(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is a fault; before it stands the card that is to have it, as 'debit {text}'"
        )
    raise argparse.ArgumentTypeError(f"no demo card {text!r}; there are {', '.join(profiles.NAMES)}")


def _is_fault(text: str) -> bool:
    try:
        faults.parse(text)
    except ValueError:
        return False
    return True


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)
