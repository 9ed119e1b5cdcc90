"""``stb-server terminal-key`` and ``rotate-card-key``: keys of the HSM, brought by custodians or made anew."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

from server_stub import cli
from server_stub.commands import role_of, settings_of, subcommand
from server_stub.foundation import statements
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.startup import CannotStart
from server_stub.foundation.vault import vault_file
from server_stub.settings import SettingsError
from server_stub.tsp import card_keys, server_keys, tables
from server_stub.tsp.hsm.errors import ComponentsRefused
from server_stub.tsp.hsm.keys import KeyBlock, Usage
from server_stub.tsp.hsm.module import Hsm
from server_stub.tsp.pos import bring_tmk

TERMINAL_DIGITS = 8
FEWEST = 2
"""Components: nobody alone knows a key."""
SHOWN = 6
"""Hex digits of a check value, as custodians' envelopes have them."""


@subcommand
def terminal_key(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """``terminal-key enter`` and ``show``: the TMK of the terminal at PPP.

    Returns its exit code: 0; 2 for components that are none, or when there is no TSP here.
    """
    clock = clock or SystemClock()
    terminal = options.terminal or settings_of(options).pos_terminal
    if len(terminal) != TERMINAL_DIGITS or not (terminal.isascii() and terminal.isalnum()):
        raise SettingsError(f"--terminal {terminal!r}: {TERMINAL_DIGITS} letters and digits are wanted")
    with closing(role_of(options, tables.metadata)) as database:
        hsm = database.submit(lambda conn: _hsm(conn, options.data)).result()
        if options.action == "show":
            cli.announce(database.submit(lambda conn: shown(conn, hsm, terminal)).result())
            return 0
        components = _from_files(hsm, options.component) if options.component else _typed(hsm, options.count)
        key = formed(hsm, components)
        value, now, actor = _value(hsm, key), clock.now(), cli.actor()

        def keep(conn: Connection) -> None:
            bring_tmk(conn, terminal, key, now)
            tables.audit.append(conn, clock, actor, "terminal-key-entered", terminal, check_value=value)

        database.submit(keep).result()
    cli.announce(f"terminal {terminal} has the key with check value {value}; it signs in with it now")
    return 0


@subcommand
def rotate_card_key(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """``rotate-card-key``: a new key pair for card data and PINs. Running servers tell boxes of it within a minute."""
    clock = clock or SystemClock()
    actor = cli.actor()
    with closing(role_of(options, tables.metadata)) as database:
        hsm = database.submit(lambda conn: _hsm(conn, options.data)).result()
        made, now = hsm.make_box_key(), clock.now()

        def keep(conn: Connection) -> None:
            card_keys.rotate(conn, made, now)
            tables.audit.append(conn, clock, actor, "card-key-rotated", made.key_id)

        database.submit(keep).result()
    cli.announce(f"boxes seal for {made.key_id} within a minute; the key before it is good for a day more")
    return 0


def shown(conn: Connection, hsm: Hsm, terminal: str) -> str:
    """Which master key a terminal has, in words: its check value, never the key."""
    row = statements.one(conn, tables.pos_terminals, id=terminal)
    if row is None or row.tmk is None:
        return f"terminal {terminal} has no key from custodians: that of the simulated PPP is used"
    return f"terminal {terminal}: check value {_value(hsm, KeyBlock(row.tmk))}, since {row.tmk_at:%Y-%m-%d %H:%M}"


def formed(hsm: Hsm, components: Sequence[SecretBytes]) -> KeyBlock:
    """The master key of components. Raises SettingsError: they are none."""
    try:
        return hsm.form_key(Usage.TMK, components)
    except ComponentsRefused as error:
        raise SettingsError(f"no key can be formed: {error}") from error


def _hsm(conn: Connection, data: Path) -> Hsm:
    key = data / "tsp.key"
    if not key.exists():
        raise CannotStart(f"{key} is not there; --data names the folder of a TSP that has run")
    vault = vault_file(key)
    server_keys.expect_ours(conn, vault)
    return Hsm(vault.derive("hsm"))


def _value(hsm: Hsm, key: KeyBlock) -> str:
    return hsm.check_value(Usage.TMK, key).hex().upper()[:SHOWN]


def _from_files(hsm: Hsm, paths: Sequence[Path]) -> list[SecretBytes]:
    if len(paths) < FEWEST:
        raise SettingsError("one component is the whole key, which nobody may know alone: bring two or three")
    found = []
    for number, path in enumerate(paths, 1):
        try:
            text = path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} cannot be read as a component") from error
        found.append(_told(hsm, number, _component(text, str(path))))
    return found


def _typed(hsm: Hsm, count: int) -> list[SecretBytes]:
    """Each custodian types one, which nobody sees, and compares its check value."""
    found = []
    for number in range(1, count + 1):
        try:
            text = getpass.getpass(f"component {number} of {count}: ")
        except EOFError as error:
            raise SettingsError(
                f"component {number}: nothing was typed; without a keyboard, --component FILE brings each"
            ) from error
        found.append(_told(hsm, number, _component(text, f"component {number}")))
    return found


def _told(hsm: Hsm, number: int, component: SecretBytes) -> SecretBytes:
    cli.announce(f"component {number}: check value {_value(hsm, formed(hsm, [component]))}")
    return component


def _component(text: str, name: str) -> SecretBytes:
    """What was typed or read; it stands in no message. Raises SettingsError."""
    try:
        made = bytes.fromhex(text)
    except ValueError:
        made = b""
    if len(made) != Usage.TMK.size:
        raise SettingsError(f"{name}: 32 hexadecimal digits are wanted") from None
    return SecretBytes(made)
