"""The command line of ``stb-server``."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import platformdirs

from server_stub.foundation import card_numbers
from server_stub.settings import PREFIX

PORT = 8780
STAFF_ROLES = "of viewer, clerk, supervisor, admin; several with commas"
CASE_ACTIONS = {
    "accept-proof": "the card's proof counts: the payment is paid, BOSS opens the service",
    "write-off": "nothing was debited, or what electronic cash has lost was put right with the subscriber: the payment has failed; a proof"
    " or money that comes later is still heard",
    "open-service": "BOSS opens the service all the same, and the operator bears the amount until PPP pays for the card's certificate after all;"
    " one that PPP has refused stays a case of its own, to be presented again or closed",
    "present-again": "PPP is told of the card's certificate once more, under a number of its own",
    "refund": "what the wallet took goes back through the wallet",
    "retry-opening": "BOSS is asked once more to open the service",
    "returned-by-hand": "the subscriber has got the money back over the counter",
    "close": "nothing more is to be done",
}
"""What can be decided about a case, and what that does."""
LOAD_ACTIONS = {
    "charged-by-bank": "the bank has taken the amount from the account after all: the card is loaded",
    "write-off": "the account keeps the money, and so does the card: nobody claims it any more",
    "close": "nothing more is to be done",
}
"""The same about one of a load of electronic cash."""

RECONCILE = {
    "days": "days, the debits of purses that PPP was told of each, and what it has accepted",
    "send DAY": "a day goes to PPP once more, as it was",
    "runs": "what was compared, by day and pair, and what was found",
    "run PAIR DAY [--dry-run]": "compares a day once more; pairs are boss and ppp",
    "breaks [--all]": "differences that are open",
    "show BREAK": "all that is known of one, and what can be decided about it",
    "decide BREAK --action ACTION --reason TEXT --actor NAME": "does one of what 'show' names",
}
"""The actions of ``reconcile``."""


def parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    top = argparse.ArgumentParser(
        prog="stb-server",
        description="The payment platform behind the television, with the systems it talks to.",
        epilog=f"More can be set in the environment, as {PREFIX}...: see server_stub/settings.py.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run roles until stopped")
    run.add_argument(
        "roles",
        nargs="*",
        metavar="ROLE",
        help="boss, tsp, sandbox, ppp, exchange, backoffice (all, if none is named)",
    )
    _place(run)
    run.add_argument("--host", type=_host, default="127.0.0.1", help="address to listen on (%(default)s)")
    run.add_argument(
        "--port", type=_port, default=PORT, help="port to listen on; 0: any free one (%(default)s)"
    )
    run.add_argument(
        "--lan",
        action="store_true",
        help="also listen in the local network, only for the page behind a QR code",
    )
    run.add_argument(
        "--tls",
        action="store_true",
        help=f"https: with {PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY, or with a certificate from an authority of its own "
        "(ca.pem in the data folder)",
    )
    run.add_argument(
        "--metrics",
        type=_host_and_port,
        metavar="HOST:PORT",
        help="also listen there, only for /metrics (without: only this machine gets it, where it listens)",
    )
    run.add_argument("--parent-pipe", action="store_true", help="stop when standard input ends")
    boxes = commands.add_parser(
        "boxes",
        help="list boxes; suspend, activate or revoke one, report it stolen, or give it an activation code",
    )
    boxes.add_argument("action", choices=("list", "suspend", "activate", "stolen", "revoke", "activation"))
    boxes.add_argument("box", nargs="?", metavar="BOX", help="number of the box; all but 'list' want it")
    rotate = commands.add_parser("rotate-key", help="sign answers with a new key from now on")
    card_key = commands.add_parser(
        "rotate-card-key", help="have boxes seal card data and PINs for a new key pair from now on"
    )
    terminal = commands.add_parser(
        "terminal-key", help="the terminal's master key at PPP: enter its components, or show its check value"
    )
    terminal.add_argument("action", choices=("enter", "show"))
    terminal.add_argument(
        "--component",
        type=_folder,
        action="append",
        metavar="FILE",
        help="with a component, 32 hexadecimal digits; once for each. Without, they are asked for, unseen",
    )
    terminal.add_argument(
        "--count", type=int, choices=(2, 3), default=2, help="so many are asked for (%(default)s)"
    )
    terminal.add_argument("--terminal", metavar="NUMBER", help="bit 41; without: as in the settings")
    width = max(map(len, (*CASE_ACTIONS, *LOAD_ACTIONS)))
    does = {
        "list": "the open cases, oldest first",
        "show CASE": "all that is known of one, or of those of an order or load by its number, and what can be decided about it",
        "decide CASE": "does one of these, as --action says, with --reason and --actor:",
    }
    told = [*does.items(), *((f"  {action}", words) for action, words in CASE_ACTIONS.items())]
    told += [(" of a load", "of electronic cash, one of these:")]
    told += [(f"  {action}", words) for action, words in LOAD_ACTIONS.items()]
    cases = commands.add_parser(
        "cases",
        help="what stays open: list it, show one, decide one",
        epilog="\n".join(f"{said:<{width + 2}}  {words}" for said, words in told),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cases.add_argument("action", choices=("list", "show", "decide"))
    cases.add_argument("case", nargs="?", metavar="CASE", help="id of the case; all but 'list' want it")
    cases.add_argument("--all", action="store_true", help="with 'list': decided cases too")
    cases.add_argument("--action", dest="do", metavar="ACTION", help="what to do: one of those below")
    cases.add_argument("--reason", type=_kept, metavar="TEXT", help="why")
    cases.add_argument("--actor", type=_kept, metavar="NAME", help="who decides")
    cases.add_argument("--second", type=_kept, metavar="NAME", help="who decides with them; above a limit")
    psams = commands.add_parser("psams", help="list security modules; say that one is not locked any more")
    psams.add_argument("action", choices=("list", "unlock"))
    psams.add_argument(
        "psam", nargs="?", metavar="PSAM", help="its URL, as in the settings; 'unlock' wants it"
    )
    settle = commands.add_parser(
        "settle", help="batches and their totals at PPP: list them, settle now, say why one differs"
    )
    settle.add_argument("action", choices=("list", "now", "decide"))
    settle.add_argument("batch", nargs="?", metavar="BATCH", help="its number; 'decide' wants it")
    settle.add_argument("--reason", type=_kept, metavar="TEXT", help="why its totals differ")
    settle.add_argument("--actor", type=_kept, metavar="NAME", help="who decides")
    settle.add_argument("--terminal", metavar="NUMBER", help="whose batch it is (this server's at PPP)")
    reconcile = commands.add_parser(
        "reconcile",
        help="days, and whether our books agree with BOSS's and PPP's: what was found, what a person decides",
        epilog="\n".join(f"{said}\n    {words}" for said, words in RECONCILE.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reconcile.add_argument("action", choices=("days", "send", "runs", "run", "breaks", "show", "decide"))
    reconcile.add_argument("subject", nargs="?", metavar="PAIR|BREAK|DAY", help="as below")
    reconcile.add_argument("day", nargs="?", type=_day, metavar="DAY", help="2026-06-21; 'run' wants it")
    reconcile.add_argument("--all", action="store_true", help="with 'breaks': closed ones too")
    reconcile.add_argument("--dry-run", action="store_true", help="with 'run': only says what would be done")
    reconcile.add_argument(
        "--action", dest="do", metavar="ACTION", help="what to do: one of those that 'show' names"
    )
    reconcile.add_argument("--reason", type=_kept, metavar="TEXT", help="why")
    reconcile.add_argument("--actor", type=_kept, metavar="NAME", help="who decides")
    reconcile.add_argument(
        "--second", type=_kept, metavar="NAME", help="who decides with them; above a limit"
    )
    compare = commands.add_parser(
        "compare",
        help="compare any two files that must agree, by a pair of one's own (docs/reconciliation.md)",
    )
    for name, what in (("pair", "a TOML file"), ("here", "our file"), ("there", "the other side's")):
        compare.add_argument(name, type=_folder, metavar=name.upper(), help=what)
    compare.add_argument("--day", type=_day, required=True, metavar="DAY", help="2026-06-21")
    compare.add_argument("--to", type=_folder, metavar="FILE", help="all differences, as CSV")
    cancel = commands.add_parser(
        "cancel", help="take back the service that an order has opened; its money goes back"
    )
    cancel.add_argument("order", metavar="ORDER", help="id of the order")
    cancel.add_argument("--reason", type=_kept, required=True, metavar="TEXT", help="why")
    partners = commands.add_parser(
        "partners",
        help="accounts of the exchange: add, change, list, close, open, give a password; their files",
    )
    partners.add_argument("action", choices=("add", "change", "list", "password", "close", "open", "files"))
    partners.add_argument("partner", nargs="?", metavar="NAME", help="all but 'list' and 'files' want it")
    partners.add_argument(
        "--address",
        action="append",
        metavar="CIDR",
        help="with 'add' and 'change': where it may come from; once for each; 'any': from anywhere, as without with 'add'",
    )
    partners.add_argument(
        "--folder",
        action="append",
        metavar="NAME=r|rw",
        help="with 'add' and 'change': an agreed folder that it reads, or writes too; once for each of them."
        " Without, with 'add': IN=rw, OUT=r",
    )
    for name, what in (
        ("connections", "so many connections at once"),
        ("file-bytes", "how large a file may be"),
        ("room-bytes", "how large all in its folders together"),
    ):
        partners.add_argument(f"--{name}", type=_number, metavar="N", help=f"with 'add' and 'change': {what}")
    staff = commands.add_parser(
        "staff", help="who may sign in to the back office: list, add, password, roles, close or open somebody"
    )
    staff.add_argument("action", choices=("list", "add", "password", "roles", "close", "open"))
    staff.add_argument(
        "name", nargs="?", metavar="NAME", help="what they sign in with; all but 'list' want it"
    )
    staff.add_argument(
        "--role",
        metavar="ROLE",
        help=f"{STAFF_ROLES}; 'add' and 'roles' want it",
    )
    staff.add_argument("--full-name", default="", metavar="TEXT", help="with 'add': as others know them")
    staff.add_argument(
        "--language", choices=("zh", "en"), default="", help="with 'add': of the pages (their browser's)"
    )
    audit = commands.add_parser("audit", help="verify the audit logs")
    audit.add_argument("action", choices=("verify",))
    audit.add_argument(
        "--role", choices=("backoffice", "boss", "exchange", "tsp", "ppp"), help="only this role's"
    )
    audit.add_argument("--head", metavar="HASH", help="hash of a record that must be there; with --role")
    check = commands.add_parser("check", help="prove on live databases what must always be true")
    for command in (
        *(boxes, rotate, card_key, terminal, cases, psams, settle, reconcile, cancel, partners),
        *(staff, audit, check),
    ):
        _place(command)
    backup = commands.add_parser("backup", help="copy one moment of everything, while servers run or stand")
    backup.add_argument("--to", type=_folder, required=True, metavar="FOLDER", help="is made; has keys in it")
    restore = commands.add_parser("restore", help="put a backup back where there is nothing")
    restore.add_argument(
        "--from", dest="source", type=_folder, required=True, metavar="FOLDER", help="of a backup"
    )
    for command in (backup, restore):
        _place(command)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
        # A mistyped option is refused, not taken for one that begins so: some of them move money.
        command.allow_abbrev = False
    return top


def _place(command: argparse.ArgumentParser) -> None:
    """Where the roles keep what they know."""
    command.add_argument(
        "--data",
        type=_folder,
        default=Path(platformdirs.user_data_dir("stb-server")),
        help="folder of databases and keys (%(default)s)",
    )
    command.add_argument(
        "--database",
        metavar="URL",
        help="a PostgreSQL database, postgresql://user@host/name, which other processes may share"
        " (SQLite files in the data folder)",
    )


def _kept(text: str) -> str:
    """What stands in books and audit logs for good."""
    if card_numbers.has_whole(text):
        raise argparse.ArgumentTypeError(card_numbers.WHOLE)
    return text


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Days at the ends of the calendar have none before or after them.
    if day is None or not 1970 < day.year < 9999:
        raise argparse.ArgumentTypeError(f"a day like 2026-06-21 is wanted, not {text!r}")
    return day


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("a folder is wanted")
    return Path(text).expanduser().absolute()


def _host(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an address is wanted; 0.0.0.0 is all of this machine's")
    return text


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"an address like 127.0.0.1:9100 is wanted, not {text!r}")
    return _host(host.removeprefix("[").removesuffix("]")), _port(port)


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 2^63 is wanted, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def parse(arguments: Sequence[str] | None, roles: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; exits with a message where it cannot be understood."""
    options, unknown = parser().parse_known_args(arguments)
    mine: argparse.ArgumentParser = options.parser  # whose usage is what has to be seen
    if unknown:
        mine.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.command == "boxes" and (options.box is None) != (options.action == "list"):
        mine.error("boxes list, or boxes suspend|activate|stolen|revoke|activation BOX")
    if options.command == "psams" and (options.psam is None) != (options.action == "list"):
        mine.error("psams list, or psams unlock PSAM")
    if options.command == "staff" and (
        (options.name is None) != (options.action == "list")
        or (options.role is None) != (options.action not in ("add", "roles"))
    ):
        said = "staff list, or staff add|roles NAME --role ROLE, or staff password|close|open NAME"
        mine.error(f"{said}; ROLE is {STAFF_ROLES}")
    if options.command == "cases":
        _check_case(mine, options)
    if options.command == "settle":
        told = (options.batch, options.reason, options.actor)
        if told.count(None) != (0 if options.action == "decide" else len(told)):
            mine.error("settle list, or settle now, or settle decide BATCH --reason TEXT --actor NAME")
    if options.command == "reconcile":
        _check_reconcile(mine, options)
    if options.command == "partners" and options.partner is None and options.action not in ("list", "files"):
        mine.error(f"partners {options.action} NAME")
    if options.command == "audit" and options.head is not None and options.role is None:
        mine.error("--head wants --role: each role has its own log")
    if options.command != "run":
        return options
    for role in options.roles:
        if role not in roles:
            mine.error(f"no role {role!r}; there are {', '.join(roles)}")
    options.roles = [role for role in roles if not options.roles or role in options.roles]
    return options


def _check_case(mine: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if (options.case is None) != (options.action == "list"):
        mine.error(
            "cases list, or cases show CASE, or cases decide CASE --action ACTION --reason TEXT --actor NAME"
        )
    if options.action == "decide" and None in (options.do, options.reason, options.actor):
        mine.error("cases decide wants --action, --reason and --actor")


def _check_reconcile(mine: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    wanted = {"send": (True, False), "run": (True, True), "show": (True, False), "decide": (True, False)}
    if (options.subject is not None, options.day is not None) != wanted.get(options.action, (False, False)):
        mine.error(f"reconcile {', or reconcile '.join(RECONCILE)}")
    if options.action == "send":
        try:
            options.day = _day(options.subject)
        except argparse.ArgumentTypeError as error:
            mine.error(str(error))
    if options.action == "decide" and None in (options.do, options.reason, options.actor):
        mine.error("reconcile decide wants --action, --reason and --actor")


def actor() -> str:
    """Who gives the command, as the system knows them, for the audit log."""
    try:
        return f"person:{getpass.getuser()}"
    except (KeyError, OSError):  # no such user on this machine
        return f"person:{os.getuid()}"


def announce(text: str) -> None:
    """One line on standard output, at once: a parent process may be waiting for it."""
    print(text, flush=True)
