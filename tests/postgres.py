"""A real PostgreSQL for tests: one for each test process, started by the first test that wants it."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.postgres_keeper import USER


class Cluster:
    """A running server; it is stopped and its files are gone when this process ends, however it ends.

    Attributes:
        folder: where its socket is.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.postgres_keeper"]
        self._keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        assert self._keeper.stdout is not None
        self.folder = self._keeper.stdout.readline().strip()
        assert self.folder, "PostgreSQL did not start; why stands above"
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        self._names = (f"t{number}" for number in itertools.count())

    def url(self, name: str) -> str:
        """The address of a database, as ``--database`` takes it."""
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def make(self, template: str = "template1") -> str:
        """A database like the template, to which nobody is connected; its name."""
        name = next(self._names)
        # In a cluster that never syncs, copying files is faster than writing a log of the copy.
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Drops a database, whoever is connected."""
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Runs a statement outside of any transaction."""
        self._admin.execute(statement.encode())


@functools.cache
def cluster() -> Cluster:
    """Made by the first test that needs it."""
    return Cluster()
