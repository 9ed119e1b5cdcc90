"""The register of files and the store of their contents, on both databases."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, update

from server_stub.foundation.clock import CHINA, SimulatedClock
from server_stub.foundation.database import Database
from server_stub.foundation.files import (
    IN,
    OUT,
    REFUSED,
    SENT,
    SUPERSEDED,
    USED,
    FileRow,
    Files,
    Kept,
    Store,
)
from server_stub.foundation.ids import Ids
from tests.server_stub.system import databases

START = datetime(2026, 6, 22, 1, 0, tzinfo=CHINA)
DAY = date(2026, 6, 21)
NAME = "XFMX/XFMX20260621.TXT"
metadata = MetaData(info={"role": "exchange"})
files = Files(metadata)


class Desk:
    """A register over an empty database, with a store.

    Attributes:
        step: called between what a thread of ``together`` reads and what it writes.
    """

    def __init__(self, database: Database, store: Store) -> None:
        self.database, self.store = database, store
        self.clock = SimulatedClock(START)
        self.ids = Ids(self.clock, os.urandom)

    def kept(self, content: bytes, tmp_path: Path) -> Kept:
        path = tmp_path / "given"
        path.write_bytes(content)
        return self.store.put(path)

    def keep(self, content: Kept, **other: Any) -> FileRow:
        self.clock.advance(1)
        told = {"partner": "ppp", "direction": OUT, "name": NAME, "day": DAY, "content": content, **other}
        return self.database.submit(lambda conn: files.keep(conn, self.ids, self.clock, **told)).result()

    def ask(self, work: Any) -> Any:
        return self.database.submit(work).result()

    def states(self) -> list[tuple[str, int, str]]:
        return [(row.name, row.version, row.state) for row in self.ask(files.listed)]

    def events(self, file: FileRow) -> list[str]:
        return [one.event for one in self.ask(lambda conn: files.history(conn, file.id))]


@pytest.fixture
def desk(tmp_path: Path, kind: str) -> Iterator[Desk]:
    with closing(databases.open(tmp_path / "one.db", metadata.create_all)) as database:
        yield Desk(database, Store(tmp_path / "store"))


pytestmark = pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)


def test_every_version_stays_and_the_newest_counts(desk: Desk, tmp_path: Path) -> None:
    first = desk.keep(desk.kept(b"one", tmp_path), facts={"count": 1, "who": "张"})
    assert (first.version, first.state, first.size, first.day) == (1, "made", 3, DAY)
    assert (first.sha256, first.kept) == (hashlib.sha256(b"one").hexdigest(), f"76/{first.sha256}")
    assert (first.facts, first.at, first.repeated) == ({"count": 1, "who": "张"}, desk.clock.now(), False)
    desk.ask(lambda conn: files.note(conn, desk.clock, first.id, SENT, "sent", seconds=2))
    second = desk.keep(desk.kept(b"two", tmp_path))
    assert (second.version, second.state) == (2, "made")
    assert desk.states() == [(NAME, 2, "made"), (NAME, 1, SUPERSEDED)]
    told = desk.ask(lambda conn: files.history(conn, first.id))
    assert [(one.event, one.detail) for one in told] == [
        ("made", {}),
        ("sent", {"seconds": 2}),
        (SUPERSEDED, {"by": second.id, "was": SENT}),
    ]
    assert [one.at for one in told] == [START + timedelta(seconds=seconds) for seconds in (1, 1, 2)]
    with desk.store.open(first.sha256) as old, desk.store.open(second.sha256) as new:
        assert (old.read(), new.read()) == (b"one", b"two")


def test_the_same_content_again_is_no_new_version(desk: Desk, tmp_path: Path) -> None:
    first = desk.keep(desk.kept(b"one", tmp_path), direction=IN)
    desk.ask(lambda conn: files.note(conn, desk.clock, first.id, USED, "used"))
    again = desk.keep(desk.kept(b"one", tmp_path), direction=IN)
    assert (again.id, again.version, again.state, again.repeated) == (first.id, 1, USED, True)
    assert desk.events(first) == ["arrived", "used", "repeated"]
    # The content of an older version is a newer one all the same: it counts from now on.
    desk.keep(desk.kept(b"two", tmp_path), direction=IN)
    third = desk.keep(desk.kept(b"one", tmp_path), direction=IN)
    assert (third.version, third.repeated) == (3, False)
    assert desk.states() == [(NAME, 3, "arrived"), (NAME, 2, SUPERSEDED), (NAME, 1, SUPERSEDED)]


def test_partners_directions_and_names_have_versions_of_their_own(desk: Desk, tmp_path: Path) -> None:
    content = desk.kept(b"one", tmp_path)
    others: tuple[dict[str, Any], ...] = (
        {},
        {"partner": "boss"},
        {"direction": IN},
        {"name": "XFMX/XFMX20260622.TXT", "day": None},
    )
    rows = [desk.keep(content, **other) for other in others]
    assert {(row.version, row.repeated) for row in rows} == {(1, False)}
    found = {
        "partner": {"partner": "boss"},
        "direction": {"direction": IN},
        "name": {"name": "XFMX/XFMX20260622.TXT"},
        "state": {"states": ("arrived", "used")},
    }
    wanted = {"partner": [1], "direction": [2], "name": [3], "state": [2]}
    for what, like in found.items():
        listed = desk.ask(lambda conn, like=like: files.listed(conn, **like))
        assert [rows.index(row) for row in listed] == wanted[what], what
    assert [row.day for row in desk.ask(lambda conn: files.listed(conn, day=DAY))] == [DAY] * 3
    page = desk.ask(lambda conn: files.listed(conn, most=2))
    rest = desk.ask(lambda conn: files.listed(conn, most=9, before=page[-1].id))
    assert [rows.index(row) for row in (*page, *rest)] == [3, 2, 1, 0]


def test_a_state_of_the_other_direction_is_refused(desk: Desk, tmp_path: Path) -> None:
    row = desk.keep(desk.kept(b"one", tmp_path))
    with pytest.raises(ValueError, match="a file that goes out is not used"):
        desk.ask(lambda conn: files.note(conn, desk.clock, row.id, USED, "used"))
    with pytest.raises(LookupError, match="no file"):
        desk.ask(lambda conn: files.note(conn, desk.clock, "0" * 26, REFUSED, "refused"))
    assert desk.states() == [(NAME, 1, "made")]
    assert desk.events(row) == ["made"]


def test_of_several_at_once_each_has_a_version_of_its_own(desk: Desk, tmp_path: Path) -> None:
    contents = [desk.kept(str(number % 3).encode(), tmp_path) for number in range(6)]
    gate = threading.Barrier(6)

    def enter(content: Kept) -> None:
        gate.wait(10)
        desk.keep(content)

    threads = [threading.Thread(target=enter, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    versions = sorted(version for _, version, _ in desk.states())
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) >= 3
    assert sorted(state for _, _, state in desk.states())[:-1] == ["made"] + [SUPERSEDED] * (
        len(versions) - 2
    )
    assert desk.ask(lambda conn: files.faults(conn, desk.store)) == []


def test_what_is_damaged_is_told(desk: Desk, tmp_path: Path) -> None:
    rows = [
        desk.keep(desk.kept(text, tmp_path), direction=IN) for text in (b"one", b"two!", b"three", b"four")
    ]
    assert desk.ask(lambda conn: files.faults(conn, desk.store)) == []
    desk.store.path(rows[0].sha256).unlink()
    short = desk.store.path(rows[1].sha256)
    short.chmod(0o600)
    short.write_bytes(b"t")

    def damage(conn: Connection) -> None:
        third, fourth = (files.files.c.id == row.id for row in rows[2:])
        conn.execute(update(files.files).where(third).values(state="sent", kept=None))
        conn.execute(update(files.files).where(fourth).values(version=7))

    desk.ask(damage)
    said = f"in ppp {NAME} version"
    assert desk.ask(lambda conn: files.faults(conn, desk.store)) == [
        f"{said} 1 has 3 bytes, kept are none",
        f"{said} 2 has 4 bytes, kept are 1",
        f"{said} 3 is sent",
        f"{said} 7 comes without version 4",
    ]


def test_a_content_is_kept_once_whole_and_unchangeable(desk: Desk, tmp_path: Path) -> None:
    store = desk.store
    kept = desk.kept(b"one", tmp_path)
    assert kept == Kept(hashlib.sha256(b"one").hexdigest(), 3)
    assert desk.kept(b"one", tmp_path) == kept
    path = store.path(kept.sha256)
    assert [file for file in store.folder.rglob("*") if file.is_file()] == [path]
    assert path.stat().st_mode & 0o777 == 0o400
    assert store.folder.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o777 == 0o700
    # One that a broken disk has cut short is written anew.
    path.chmod(0o600)
    path.write_bytes(b"o")
    assert desk.kept(b"one", tmp_path) == kept
    assert path.read_bytes() == b"one"
    with pytest.raises(FileNotFoundError):
        store.open("0" * 64)
    assert store.size("0" * 64) is None


def test_what_cannot_be_kept_whole_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        desk.store.put(tmp_path)
    with pytest.raises(FileNotFoundError):
        desk.store.put(tmp_path / "missing")

    def killed(_: Any) -> Kept:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.store.add(killed)
    assert list(desk.store.folder.iterdir()) == []
    # What a kill has left goes a day later; what is being written stays.
    left, fresh = desk.store.folder / "left.part", desk.store.folder / "fresh.part"
    for path, age in ((left, timedelta(hours=25)), (fresh, timedelta(hours=23))):
        path.touch()
        os.utime(path, times=((START - age).timestamp(),) * 2)
    desk.store.tidy(START)
    assert list(desk.store.folder.iterdir()) == [fresh]
