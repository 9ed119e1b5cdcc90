"""What all subcommands of ``stb-server`` do alike: where they work, and how they say that they cannot."""

from __future__ import annotations

import argparse
import functools
import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from sqlalchemy import MetaData
from sqlalchemy.exc import OperationalError

from server_stub.foundation.clock import machine_pauses
from server_stub.foundation.database import Database
from server_stub.foundation.startup import CannotStart
from server_stub.opening import open_role
from server_stub.settings import Settings, SettingsError, from_environment
from server_stub.tsp import operating

LOCKED = "database is locked"
USAGE = 2
"""Exit code when it cannot be done as it was asked for."""
P = ParamSpec("P")


def subcommand(run: Callable[P, int]) -> Callable[P, int]:
    """What is wrong with the settings, or with what it is to work on, is one line, and exit code 2."""

    @functools.wraps(run)
    def told(*args: P.args, **named: P.kwargs) -> int:
        try:
            return run(*args, **named)
        except (SettingsError, CannotStart) as error:
            sys.stderr.write(f"stb-server: {error}\n")
            return USAGE
        except (sqlite3.OperationalError, OperationalError) as error:
            if LOCKED not in str(error):
                raise
            sys.stderr.write("stb-server: a server is writing into this database all the time: try again\n")
            return USAGE

    return told


def settings_of(options: argparse.Namespace) -> Settings:
    """What the environment says, with the database of the command line where it names one.

    Raises:
        SettingsError: a variable cannot be understood.
    """
    settings = from_environment(os.environ)
    return settings if options.database is None else replace(settings, database=options.database)


def operating_of(options: argparse.Namespace, tsp: Database) -> Settings:
    """The same, with those that decide about money and days as the server has them, on the TSP's database.

    Raises:
        SettingsError: the environment says something else than the server's.
    """
    settings = settings_of(options)
    return tsp.submit(lambda conn: operating.of_server(conn, settings, os.environ)).result()


def role_of(options: argparse.Namespace, metadata: MetaData) -> Database:
    """The database of a role that has run here, while servers run or stand.

    Raises:
        SettingsError, CannotStart: there is none; the text says what to do.
    """
    return open_role(metadata, options.data, settings_of(options).database, machine_pauses(), make=False)
