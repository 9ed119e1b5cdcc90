"""Revisions: every way to the present tables, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text

from server_stub.backoffice import tables as backoffice
from server_stub.boss import tables as boss
from server_stub.exchange import tables as exchange
from server_stub.foundation import migrations
from server_stub.foundation.database import Database
from server_stub.foundation.startup import CannotStart
from server_stub.ppp import tables as ppp
from server_stub.sandbox import tables as sandbox
from server_stub.tsp import tables as tsp
from tests.server_stub.system import databases

ROLES = [
    *(boss.metadata, tsp.metadata, sandbox.metadata, ppp.metadata),
    *(exchange.metadata, backoffice.metadata),
]
Open = Callable[[Callable[[Connection], object]], Database]


@pytest.fixture(params=ROLES, ids=lambda metadata: metadata.info["role"])
def metadata(request: pytest.FixtureRequest) -> MetaData:
    one: MetaData = request.param
    return one


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Open:
    """Opens the test's database, prepared like this; as often as wanted."""
    return lambda prepare: databases.open(tmp_path / "one.db", prepare)


def first(metadata: MetaData) -> Callable[[Connection], None]:
    """The tables of the first version, which kept no account of revisions."""

    def prepare(conn: Connection) -> None:
        from alembic.operations import Operations

        folder = migrations.folder_of(metadata)
        step = ScriptDirectory(str(folder.parent), version_locations=[str(folder)]).get_revision("0001_first")
        assert step is not None
        with Operations.context(MigrationContext.configure(conn)):
            step.module.upgrade()

    return prepare


def differences(conn: Connection, metadata: MetaData) -> list[object]:
    context = MigrationContext.configure(conn, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def brought_up(
    database: Open,
    metadata: MetaData,
    revision: str,
    fill: Callable[[Connection], None],
    query: str,
) -> list[tuple[object, ...]]:
    """What a query finds in tables that were filled at a revision, once they are those of today."""

    def before(conn: Connection) -> None:
        migrations.upgrade(conn, migrations.folder_of(metadata), revision)
        fill(conn)

    with closing(database(before)):
        pass
    with closing(database(migrations.prepare(metadata))) as one:
        return one.submit(lambda conn: [tuple(row) for row in conn.execute(text(query))]).result()


def test_new_tables_are_those_the_program_works_with(database: Open, metadata: MetaData) -> None:
    with closing(database(migrations.prepare(metadata))) as one:
        assert one.submit(lambda conn: differences(conn, metadata)).result() == []


def test_rows_that_the_database_numbers_are_never_all(database: Open, metadata: MetaData, kind: str) -> None:
    def after_many(conn: Connection, table: str) -> object:
        if kind == "postgresql":
            conn.execute(text(f"SELECT setval('{table}_id_seq', {1 << 31})"))
            return conn.execute(text(f"SELECT nextval('{table}_id_seq')")).scalar_one()
        # The number of the row itself, of 64 bits (SQLite, "ROWIDs and the INTEGER PRIMARY KEY").
        (column,) = (one for one in inspect(conn).get_columns(table) if one["name"] == "id")
        return (1 << 31) + 1 if str(column["type"]) == "INTEGER" else column["type"]

    with closing(database(migrations.prepare(metadata))) as one:
        for table in metadata.tables.values():
            if table.autoincrement_column is not None:
                assert one.submit(partial(after_many, table=table.name)).result() == (1 << 31) + 1


def test_a_folder_of_the_first_version_is_brought_up_and_keeps_its_rows(
    database: Open, metadata: MetaData
) -> None:
    with closing(database(first(metadata))) as one:
        before = one.submit(lambda conn: set(inspect(conn).get_table_names())).result()
        assert before & set(metadata.tables)
        assert migrations.VERSION_TABLE not in before
        one.submit(lambda conn: conn.execute(text("CREATE TABLE kept (id INTEGER)"))).result()
    with closing(database(migrations.prepare(metadata))) as one:
        one.submit(lambda conn: conn.execute(text("DROP TABLE kept"))).result()
        assert one.submit(lambda conn: differences(conn, metadata)).result() == []
    with closing(database(migrations.prepare(metadata))) as one:
        assert one.submit(lambda conn: differences(conn, metadata)).result() == []


def test_loads_that_were_disputed_before_there_were_cases_are_cases(database: Open) -> None:
    def disputed(conn: Connection) -> None:
        conn.execute(text("INSERT INTO boxes (box_number, enrolled_at) VALUES ('85312048', 1)"))
        for name, state, code in (
            ("one", "disputed", "00"),
            ("two", "disputed", None),
            ("three", "failed", "00"),
        ):
            load = text(
                "INSERT INTO card_loads (id, box_number, amount_fen, state, version, created_at, reversal_code,"
                " balance_after_fen) VALUES (:name, '85312048', 100, :state, 1, 7, :code, 300)"
            )
            conn.execute(load, {"name": name, "state": state, "code": code})

    query = "SELECT load_id, payment_id, kind, facts, at, state FROM cases ORDER BY load_id"
    assert brought_up(database, tsp.metadata, "0021_card_loads", disputed, query) == [
        ("one", None, "load-disputed", '{"balance_fen": 300, "reversal": "00"}', 7, "open"),
        ("two", None, "load-disputed", '{"balance_fen": 300, "reversal": "unanswered"}', 7, "open"),
    ]


def test_tables_of_a_newer_program_are_left_alone(database: Open, metadata: MetaData) -> None:
    def newer(conn: Connection) -> None:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999_to_come'"))

    with closing(database(migrations.prepare(metadata))) as one:
        one.submit(newer).result()
    with pytest.raises(CannotStart, match="a newer stb-server has changed its tables \\(to 9999_to_come"):
        database(migrations.prepare(metadata))


def test_several_that_start_at_once_make_the_tables_once(database: Open) -> None:
    opened: list[Database] = []
    gate = threading.Barrier(4)

    def start() -> None:
        gate.wait(10)
        opened.append(database(migrations.prepare(tsp.metadata)))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 4
    assert opened[0].submit(lambda conn: differences(conn, tsp.metadata)).result() == []
    for one in opened:
        one.close()


def test_revisions_are_named_like_their_files_and_follow_each_other(metadata: MetaData) -> None:
    folder = migrations.folder_of(metadata)
    history = ScriptDirectory(str(folder.parent), version_locations=[str(folder)])
    names = migrations.revisions(folder)
    assert [one.revision for one in reversed(list(history.walk_revisions()))] == names
    assert history.get_heads() == [names[-1]]


def test_of_several_proposals_that_waited_about_one_subject_the_first_stays(database: Open) -> None:
    def waiting(conn: Connection) -> None:
        for name, subject, state in (
            *(("A1", "A", "open"), ("A2", "A", "open"), ("A0", "A", "done")),
            *(("B1", "B", "open"), ("B2", "B", "confirmed")),
        ):
            row = text(
                "INSERT INTO proposals (id, kind, subject, facts, state, proposed_by, proposed_at)"
                " VALUES (:name, 'break', :subject, '{}', :state, 'wu', 7)"
            )
            conn.execute(row, {"name": name, "subject": subject, "state": state})

    query = "SELECT id, state FROM proposals ORDER BY id"
    assert brought_up(database, backoffice.metadata, "0002_totals", waiting, query) == [
        *(("A0", "done"), ("A1", "open"), ("A2", "withdrawn")),
        *(("B1", "withdrawn"), ("B2", "confirmed")),
    ]
