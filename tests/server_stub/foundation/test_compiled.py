"""What one engine has compiled another one of its kind runs, with values and rows of its own."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    StaticPool,
    String,
    Table,
    create_engine,
    event,
    select,
)
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from server_stub.foundation.compiled import SHARED

METADATA = MetaData()
THINGS = Table("compiled_once", METADATA, Column("id", Integer, primary_key=True), Column("name", String))
NAMED = select(THINGS.c.name).where(THINGS.c.id == 1)


def an_engine(name: str) -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool, execution_options=SHARED)
    with engine.begin() as conn:
        METADATA.create_all(conn)
        conn.execute(THINGS.insert().values(id=1, name=name))
    return engine


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled from now on."""
    found: list[str] = []
    visit = SQLiteCompiler.visit_select

    def noted(self: SQLiteCompiler, stmt: Any, *args: Any, **named: Any) -> str:
        text = visit(self, stmt, *args, **named)
        found.append(text)
        return text

    monkeypatch.setattr(SQLiteCompiler, "visit_select", noted)
    return found


def test_a_second_engine_compiles_nothing_again(compiled: list[str]) -> None:
    one, other = an_engine("one"), an_engine("other")
    for engine, name in ((one, "one"), (other, "other"), (one, "one")):
        with engine.connect() as conn:
            assert conn.execute(NAMED.where(THINGS.c.name == name)).scalars().all() == [name]
    assert len(compiled) == 1


def test_one_with_a_compiler_of_its_own_uses_that(compiled: list[str]) -> None:
    class Other(SQLiteCompiler):
        def limit_clause(self, select: Any, **named: Any) -> str:
            return " LIMIT 0"

    first, second = NAMED.limit(1), NAMED.limit(1)
    usual, unusual = an_engine("one"), an_engine("other")
    unusual.dialect.statement_compiler = Other
    said: list[str] = []
    event.listen(unusual, "before_cursor_execute", lambda *given: said.append(given[2]))
    with usual.connect() as conn:
        assert conn.execute(first).scalars().all() == ["one"]
    with unusual.connect() as conn:
        assert conn.execute(second).scalars().all() == []
    assert said[0].endswith("LIMIT 0")
    assert len(compiled) == 2
