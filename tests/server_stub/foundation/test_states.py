"""The one transition: legal moves happen, the others are refused and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select

from server_stub.foundation import states
from server_stub.foundation.clock import CHINA
from server_stub.foundation.database import Database
from tests.server_stub.system import databases

metadata = MetaData()
history = states.moves_table(metadata)
lamps = Table(
    "lamps",
    metadata,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("by", String),
)
MACHINE = states.Machine(
    "lamp", lamps, {"off": frozenset({"on"}), "on": frozenset({"off", "broken"})}, history
)
NOW = datetime(2026, 6, 21, tzinfo=CHINA)


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    one = databases.open(tmp_path / "states.db", metadata.create_all)
    one.submit(lambda conn: conn.execute(insert(lamps).values(id="a", state="off"))).result()
    yield one
    one.close()


@pytest.mark.anyio
async def test_a_legal_move_changes_state_version_and_values_and_is_recorded(database: Database) -> None:
    await states.write(
        database, lambda conn: states.move(conn, MACHINE, "a", "on", actor="hand", at=NOW, by="me")
    )
    row = await database.read(lambda conn: conn.execute(select(lamps)).one())
    assert (row.state, row.version, row.by) == ("on", 2, "me")
    kept = await database.read(lambda conn: conn.execute(select(history)).one())
    assert (kept.machine, kept.row, kept.origin, kept.target) == ("lamp", "a", "off", "on")
    assert (kept.actor, kept.at, kept.legal) == ("hand", NOW, True)


@pytest.mark.anyio
async def test_an_illegal_move_undoes_its_whole_work_and_is_recorded(database: Database) -> None:
    def work(conn: states.Connection) -> None:
        conn.execute(insert(lamps).values(id="b", state="off"))
        states.move(conn, MACHINE, "a", "broken", actor="hand", at=NOW)

    with pytest.raises(states.IllegalMove):
        await states.write(database, work)
    rows = await database.read(lambda conn: conn.execute(select(lamps)).all())
    assert [(row.id, row.state, row.version) for row in rows] == [("a", "off", 1)]
    kept = await database.read(lambda conn: conn.execute(select(history)).one())
    assert (kept.origin, kept.target, kept.legal) == ("off", "broken", False)


@given(st.lists(st.sampled_from(["off", "on", "broken", "unheard-of"]), max_size=8))
def test_whatever_is_tried_only_the_table_is_obeyed(targets: list[str]) -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(lamps).values(id="a", state="off"))
        expected = "off"
        for target in targets:
            if target in MACHINE.moves.get(expected, frozenset()):
                states.move(conn, MACHINE, "a", target, actor="test", at=NOW)
                expected = target
            else:
                with pytest.raises(states.IllegalMove):
                    states.move(conn, MACHINE, "a", target, actor="test", at=NOW)
            assert conn.execute(select(lamps.c.state)).scalar_one() == expected
    engine.dispose()
