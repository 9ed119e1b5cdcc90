"""The command line of ``stb-server``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from server_stub.settings import PREFIX

PORT = 8780


def parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    top = argparse.ArgumentParser(
        prog="stb-server",
        description="The payment platform behind the television, with the systems it talks to.",
        epilog=f"More can be set in the environment, as {PREFIX}...: see server_stub/settings.py.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run roles until stopped")
    run.add_argument("roles", nargs="*", metavar="ROLE", help="boss, tsp, sandbox (all, if none is named)")
    run.add_argument(
        "--data",
        type=_folder,
        default=Path(platformdirs.user_data_dir("stb-server")),
        help="folder of databases and keys (%(default)s)",
    )
    run.add_argument("--host", type=_host, default="127.0.0.1", help="address to listen on (%(default)s)")
    run.add_argument(
        "--port", type=_port, default=PORT, help="port to listen on; 0: any free one (%(default)s)"
    )
    run.add_argument(
        "--lan",
        action="store_true",
        help="also listen in the local network, only for the page behind a QR code",
    )
    run.add_argument("--parent-pipe", action="store_true", help="stop when standard input ends")
    return top


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("a folder is wanted")
    return Path(text).expanduser().absolute()


def _host(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an address is wanted; 0.0.0.0 is all of this machine's")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def parse(arguments: Sequence[str] | None, roles: Sequence[str]) -> argparse.Namespace:
    """Reads the command line; exits with a message where it cannot be understood."""
    top = parser()
    options = top.parse_args(arguments)
    for role in options.roles:
        if role not in roles:
            top.error(f"no role {role!r}; there are {', '.join(roles)}")
    options.roles = [role for role in roles if not options.roles or role in options.roles]
    return options


def announce(text: str) -> None:
    """One line on standard output, at once: a parent process may be waiting for it."""
    print(text, flush=True)
