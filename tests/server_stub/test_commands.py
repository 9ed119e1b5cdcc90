"""What all subcommands of ``stb-server`` do alike."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from server_stub.commands import subcommand


def test_a_database_that_others_write_into_all_the_time_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")

        @subcommand
        def run() -> int:
            with closing(sqlite3.connect(tmp_path / "one.db", timeout=0)) as other:
                other.execute("BEGIN IMMEDIATE")
            return 0

        assert run() == 2
    assert (
        capsys.readouterr().err
        == "stb-server: a server is writing into this database all the time: try again\n"
    )


def test_what_else_a_database_says_is_not_swallowed(tmp_path: Path) -> None:
    @subcommand
    def run() -> int:
        with closing(sqlite3.connect(tmp_path / "one.db")) as one:
            one.execute("SELECT * FROM nobody")
        return 0

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        run()
