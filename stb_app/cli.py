"""The command line of the television:
what can be said, what is wrong with what was said, and what is said back.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cardreader.secret import SecretText

if TYPE_CHECKING:
    from cardreader.emv.settings import TerminalSettings

DEFAULT_REMOTE = ("127.0.0.1", 8790)
DEFAULT_BOX = "85312047"
SMALLEST, LARGEST = 320, 7680
EPILOG = """
Every option of "run" can also be given in the environment, as STB_APP_ and its name: STB_APP_TSP=http://...,
STB_APP_LANG=en, STB_APP_WEB_REMOTE=127.0.0.1:8790, and 1 for the ones without a value: STB_APP_DEMO=1,
STB_APP_HEADLESS=1, STB_APP_FULLSCREEN=1, STB_APP_LAN=1. The command line wins.

Keyboard: arrows, Enter is OK, Escape or Backspace is Back, digits, i INFO, l language, h home, r g y b
colours, F5 puts the simulated card in and pulls it out.
"""


@dataclass(frozen=True, slots=True)
class BoxOptions:
    """What was asked for by a command that looks after the box's registration and draws nothing.

    ``command`` is ``enrol``, ``rotate-key`` or ``doctor``; ``smart_card`` (16 to 20 digits) and ``activation_code`` (4 to
    16 characters) are for ``enrol``;
    ``tsp`` is None only for ``doctor``; ``box`` is empty only for it: the one that is registered from the folder.
    """

    command: str
    tsp: str | None
    authority: Path | None
    data: Path | None
    box: str
    reader: str
    lang: str
    smart_card: str
    activation_code: SecretText


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for.

    ``terminal`` is the box as a terminal for debit and credit cards, None for the demonstration's;
    ``tsp`` is None with ``demo``; ``authority`` is a file of certificate authorities, None for those of the system;
    ``web_remote`` (host, port) is None when there is to be none;
    ``no_display`` says why there is no window although ``headless`` was not asked for; empty otherwise.
    """

    demo: bool
    data: Path | None
    headless: bool
    no_display: str
    tsp: str | None
    authority: Path | None
    reader: str
    lang: str | None
    size: tuple[int, int]
    fullscreen: bool
    web_remote: tuple[str, int] | None
    box: str
    lan: bool
    terminal: TerminalSettings | None


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options | BoxOptions:
    """Raises SystemExit: 0 after ``--help``, 2 with a message on standard error for anything wrong."""
    parser = argparse.ArgumentParser(
        prog="stb-app",
        description="Pay from the television.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|enrol|rotate-key|doctor")
    run = commands.add_parser(
        "run",
        help="switch the television on",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "--demo",
        action="store_true",
        default=_flag(environment, "DEMO", run),
        help="start the bundled server too and use its demo subscriber; no real money",
    )
    run.add_argument("--data", metavar="DIR", help="folder for settings, log and what must not be forgotten")
    run.add_argument(
        "--headless",
        action="store_true",
        default=_flag(environment, "HEADLESS", run),
        help="draw off-screen; watch and press keys through the web remote",
    )
    run.add_argument("--tsp", metavar="URL", help="the payment platform, e.g. http://127.0.0.1:8780")
    run.add_argument(
        "--reader",
        metavar="URL",
        help="the card slot: pcsc: (any reader), pcsc:NAME, sim: (simulated, empty), sim:PROFILE; "
        "default pcsc:, with --demo sim:",
    )
    run.add_argument("--lang", metavar="zh|en", help="language; default: as chosen last, at first zh")
    run.add_argument("--size", metavar="WxH", help="of the picture in pixels; default 1920x1080")
    run.add_argument("--fullscreen", action="store_true", default=_flag(environment, "FULLSCREEN", run))
    run.add_argument(
        "--web-remote",
        metavar="HOST:PORT",
        help="picture and remote control in a browser; default off, without a display "
        f"{DEFAULT_REMOTE[0]}:{DEFAULT_REMOTE[1]}; port 0 takes a free one",
    )
    run.add_argument("--box", metavar="NUMBER", help=f"number of this set-top box; default {DEFAULT_BOX}")
    run.add_argument(
        "--lan",
        action="store_true",
        default=_flag(environment, "LAN", run),
        help="with --demo: phones in the local network can open the page behind a code (that page alone)",
    )
    run.add_argument("--ca", metavar="FILE", help="certificate authority of the payment platform (https)")
    run.add_argument(
        "--terminal",
        metavar="FILE",
        help="terminal and merchant numbers, and CA keys, for debit and credit cards (TOML: docs/operations.md)",
    )
    of = {"run": run, **_add_box_commands(commands)}
    given = parser.parse_args(arguments)
    for name in ("data", "tsp", "reader", "lang", "size", "web_remote", "box", "ca", "terminal"):
        if getattr(given, name, None) is None:
            setattr(given, name, environment.get(f"STB_APP_{name.upper()}") or None)
    if given.command == "run":
        return _checked(given, environment, run)
    return _checked_box(given, of[given.command])


def _add_box_commands(commands: Any) -> dict[str, argparse.ArgumentParser]:
    enrol = commands.add_parser("enrol", help="register this box with a new key of its own")
    enrol.add_argument(
        "--smart-card",
        metavar="NUMBER",
        required=True,
        help="number of the box's smart card, 16 to 20 digits",
    )
    enrol.add_argument(
        "--activation-code",
        metavar="CODE",
        required=True,
        help="as the operator gave it; '-' reads it from a line",
    )
    rotate = commands.add_parser("rotate-key", help="change this box's key for a new one")
    doctor = commands.add_parser("doctor", help="say what is wrong with the connection, in plain words")
    doctor.add_argument("--reader", metavar="URL", help="the card slot to look at; default pcsc:")
    for command in (enrol, rotate, doctor):
        command.add_argument("--lang", metavar="zh|en", help="language; default zh")
        command.add_argument(
            "--tsp", metavar="URL", help="the payment platform, e.g. https://tsp.example:8780"
        )
        command.add_argument(
            "--ca", metavar="FILE", help="certificate authority of the payment platform (https)"
        )
        command.add_argument("--data", metavar="DIR", help="folder of the box's key and settings")
        command.add_argument(
            "--box", metavar="NUMBER", help=f"number of this set-top box; default {DEFAULT_BOX}"
        )
    return {"enrol": enrol, "rotate-key": rotate, "doctor": doctor}


def tell(message: str) -> None:
    """One line for the person who started the program."""
    print(message, flush=True)


def complain(message: str) -> None:
    """One line about what is wrong."""
    print(f"stb-app: {message}", file=sys.stderr, flush=True)


def _checked_box(given: argparse.Namespace, parser: argparse.ArgumentParser) -> BoxOptions:
    if not given.tsp and given.command != "doctor":
        parser.error("where is the payment platform? --tsp URL")
    # The doctor says himself what is wrong with an address.
    if given.tsp and given.command != "doctor":
        _check_tsp(given.tsp, parser)
    if given.lang not in (None, "zh", "en"):
        parser.error(f"--lang {given.lang!r}: zh or en")
    smart_card, code = _papers(given, parser) if given.command == "enrol" else ("", "")
    return BoxOptions(
        command=given.command,
        tsp=given.tsp.rstrip("/") if given.tsp else None,
        authority=_authority(given.ca, parser),
        data=Path(given.data).expanduser().absolute() if given.data else None,
        box="" if given.command == "doctor" and not given.box else _box(given.box, parser),
        reader=_reader(given.reader or "pcsc:", parser),
        lang=given.lang or "zh",
        smart_card=smart_card,
        activation_code=SecretText(code),
    )


def _papers(given: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[str, str]:
    """Number of the smart card and activation code, in the form that the platform takes (docs/tsp-api.md)."""
    # In groups, as it is printed on the card.
    smart_card = "".join(given.smart_card.split())
    if not (smart_card.isascii() and smart_card.isdigit() and 16 <= len(smart_card) <= 20):
        parser.error(f"--smart-card {given.smart_card!r}: a smart-card number has 16 to 20 digits")
    code = sys.stdin.readline() if given.activation_code == "-" else given.activation_code
    code = code.strip()
    if not 4 <= len(code) <= 16:
        parser.error("--activation-code: an activation code has 4 to 16 characters")
    return smart_card, code


def _check_tsp(tsp: str, parser: argparse.ArgumentParser) -> None:
    if not _is_address(tsp):
        parser.error(f"--tsp {tsp!r}: a URL like http://127.0.0.1:8780 is needed")


def _authority(text: str | None, parser: argparse.ArgumentParser) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        parser.error(f"--ca {text!r}: there is no such file")
    import ssl  # not before the first picture of a television that needs none

    try:
        ssl.create_default_context(cafile=str(path))
    except OSError:  # what OpenSSL does not understand is one too
        parser.error(f"--ca {text!r}: there is no certificate in it; a PEM file is needed")
    return path


def _terminal(text: str | None, parser: argparse.ArgumentParser) -> TerminalSettings | None:
    if not text:
        return None
    # Not before the first picture of a television that needs none.
    from stb_app.journeys.terminal_file import TerminalFileError, read

    try:
        return read(Path(text).expanduser().absolute())
    except TerminalFileError as error:
        parser.error(f"--terminal {text!r}: {error}")


def _box(text: str | None, parser: argparse.ArgumentParser) -> str:
    box = text or DEFAULT_BOX
    if not (box.isascii() and box.isdigit() and 6 <= len(box) <= 16):
        parser.error(f"--box {box!r}: a box number has 6 to 16 digits")
    return box


def _checked(
    given: argparse.Namespace, environment: Mapping[str, str], parser: argparse.ArgumentParser
) -> Options:
    if given.demo and given.tsp:
        parser.error("--demo brings its own server: leave out --tsp, or leave out --demo")
    if not given.demo and not given.tsp:
        parser.error("where is the payment platform? --tsp URL, or --demo for the bundled server")
    if given.lan and not given.demo:
        parser.error("--lan is for the bundled server: --demo --lan")
    if given.tsp:
        _check_tsp(given.tsp, parser)
    if given.lang not in (None, "zh", "en"):
        parser.error(f"--lang {given.lang!r}: zh or en")
    box = _box(given.box, parser)
    no_display = not given.headless and not _has_display(environment)
    headless = given.headless or no_display
    remote = _remote(given.web_remote, parser) if given.web_remote else DEFAULT_REMOTE if headless else None
    return Options(
        demo=given.demo,
        data=Path(given.data).expanduser().absolute() if given.data else None,
        headless=headless,
        no_display="There is no display" if no_display else "",
        tsp=given.tsp.rstrip("/") if given.tsp else None,
        authority=_authority(given.ca, parser),
        reader=_reader(given.reader or ("sim:" if given.demo else "pcsc:"), parser),
        lang=given.lang,
        size=_size(given.size, parser) if given.size else (1920, 1080),
        fullscreen=given.fullscreen,
        web_remote=remote,
        box=box,
        lan=given.lan,
        terminal=_terminal(given.terminal, parser),
    )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False
    return bool(right) and not (parts.query or parts.fragment or " " in text) and text.isprintable()


def without_display(options: Options, why: str) -> Options:
    """The same where no window can be opened: off-screen, and with an address to watch it at."""
    remote = options.web_remote or DEFAULT_REMOTE
    return replace(options, headless=True, no_display=why, web_remote=remote)


def _has_display(environment: Mapping[str, str]) -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _size(text: str, parser: argparse.ArgumentParser) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and text.isascii()):
        parser.error(f"--size {text!r}: width x height in pixels, e.g. 1280x720")
    if not all(SMALLEST <= int(side) <= LARGEST for side in (width, height)):
        parser.error(f"--size {text!r}: each side from {SMALLEST} to {LARGEST} pixels")
    return int(width), int(height)


def _remote(text: str, parser: argparse.ArgumentParser) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        parser.error(f"--web-remote {text!r}: an address and a port, e.g. 127.0.0.1:8790")
    return host, int(port)


def _reader(text: str, parser: argparse.ArgumentParser) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in ("pcsc", "sim"):
        parser.error(f"--reader {text!r}: pcsc:, pcsc:NAME, sim: or sim:PROFILE")
    if scheme == "sim" and rest:
        # Imported only here: the simulator is not needed for the first picture.
        from cardreader.errors import ProtocolError
        from cardreader.sim.profiles import NAMES, find_profile

        try:
            find_profile(rest)
        except KeyError:
            parser.error(f"--reader {text!r}: the profiles are {', '.join(NAMES)}, and your own FILE.toml")
        except ProtocolError as error:
            parser.error(f"--reader {text!r}: {error}")
    return text


def _flag(environment: Mapping[str, str], name: str, parser: argparse.ArgumentParser) -> bool:
    value = environment.get(f"STB_APP_{name}", "")
    if value not in ("", "0", "1"):
        parser.error(f"STB_APP_{name}={value!r}: 1 or 0")
    return value == "1"


if __name__ == "__main__":
    from stb_app.main import main

    sys.exit(main())
