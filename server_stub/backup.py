"""``stb-server backup`` and ``restore``: one moment of everything that a server keeps, in a folder, and back.

A backup is what a power cut at that moment would have left: all roles of one folder or database at one instant. So what
was under way between them then is brought to its end after a restore as after a power cut: deliveries are repeated, and
each counts once.

- SQLite: a write lock on every role's file at once, taken in one order; while nobody can commit, a reader is opened on
  each. Then the locks are let go of, after milliseconds, and each reader's moment is copied with SQLite's backup.
- PostgreSQL: one REPEATABLE READ transaction over the schemas of all roles, read with COPY; no client program is needed.

The manifest has the SHA-256 of every file and is written last, the folder gets its name after that: what has the name
is whole. There are keys in it: whoever can read it can sign like the server.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

import psycopg
import structlog
from psycopg import sql
from sqlalchemy import URL, Connection, NullPool, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from cardreader.disk import trouble
from server_stub import cli, tls
from server_stub.boss import tables as boss
from server_stub.commands import settings_of, subcommand
from server_stub.foundation import migrations, postgresql, sqlite
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.startup import CannotStart, only_one
from server_stub.foundation.vault import vault_file
from server_stub.ppp import tables as ppp
from server_stub.sandbox import tables as sandbox
from server_stub.tsp import psam_pool
from server_stub.tsp import tables as tsp
from server_stub.tsp.server_keys import expect_sealed

FORMAT = 1
MANIFEST = "manifest.json"
ROLES = {one.info["role"]: one for one in (tsp.metadata, boss.metadata, sandbox.metadata, ppp.metadata)}
"""In the order in which they ask each other; locks are always taken in this one."""
VAULT = "tsp.key"
KEYS = (
    VAULT,
    "partners.key",
    "ppp.key",
    "terminal.key",
    tls.AUTHORITY,
    tls.AUTHORITY_KEY,
    tls.CERTIFICATE,
    tls.KEY,
)
PSAMS = "psams"
LOCK_SECONDS = 10.0
PSAM_LEAP = 10_000
"""How far a simulated PSAM's number is moved on: a real one has gone on since, and never uses a number twice."""
TERMINALS = "pos_terminals"
TERMINALS_LEAP = (
    f"UPDATE {TERMINALS} SET stan = (stan + {PSAM_LEAP}) % 999999, pik = NULL, mak = NULL, tdk = NULL"
)
"""What a terminal has asked PPP since stands there under the next numbers: one that is used again would be taken for the
old message, and its reversal would undo another subscriber's sale. Signing in tells the batch that is open."""
COPY_BYTES = 1 << 20

log = structlog.get_logger(__name__)


@subcommand
def backup(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """``stb-server backup``. Returns the exit code: 0; 2 with a line that says what is wrong."""
    now = (clock or SystemClock()).now()
    with _words(options.data, options.to, "--to"):
        made = make(options.to, options.data, settings_of(options).database, now.isoformat())
    size = sum(one["bytes"] for one in made["files"].values())
    cli.announce(f"{options.to} has {', '.join(made['roles'])}: {len(made['files'])} files, {size} bytes")
    return 0


@subcommand
def restore(options: argparse.Namespace) -> int:
    """``stb-server restore``. Returns the exit code: 0; 2 with a line that says what is wrong."""
    with _words(options.source, options.data, "--data"):
        manifest = put_back(options.source, options.data, settings_of(options).database)
    cli.announce(f"restored {', '.join(manifest['roles'])} as of {manifest['made_at']}")
    return 0


@contextmanager
def _words(source: Path, target: Path, option: str) -> Iterator[None]:
    """Raises CannotStart for what cannot be read from a folder or written to the other.

    Args:
        option: what names the target on the command line.
    """
    try:
        yield
    except OSError as error:
        name = str(error.filename or "")
        if name.startswith(str(source)) and not name.startswith(str(target)):
            why = (error.strerror or "no reason is known").lower()
            raise CannotStart(f"{name} cannot be read ({why})") from error
        raise CannotStart(trouble(target, error, option)) from error


def make(to: Path, data: Path, url: str, made_at: str) -> dict[str, Any]:
    """Makes a backup of servers that run or stand; returns its manifest.

    Raises:
        CannotStart: there is nothing to back up, or something where it is to go, or the folder has not the key that
            the database was sealed with, or not the counters of its simulated PSAMs; the text says what and where.
        OSError: nothing can be written there.
    """
    if to.exists():
        raise CannotStart(f"{to} is there already; --to names a folder that is to be made")
    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        manifest: dict[str, Any] = {"format": FORMAT, "made_at": made_at}
        manifest |= _copy_postgresql(part, data, url) if url else _copy_sqlite(part, data)
        _expect_key(
            data, part, manifest, "let --data name the folder of the server that runs on this database"
        )
        manifest["files"] = {
            str(path.relative_to(part)): {"sha256": _sha256(path), "bytes": path.stat().st_size}
            for path in sorted(part.rglob("*"))
            if path.is_file()
        }
        _write(part / MANIFEST, json.dumps(manifest, indent=1).encode())
        for path in part.rglob("*"):
            _sync(path)
        _sync(part)
        part.rename(to)
        _sync(to.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    log.info("backup-made", roles=list(manifest["roles"]), files=len(manifest["files"]))
    return manifest


def put_back(source: Path, data: Path, url: str) -> dict[str, Any]:
    """Restores a backup into a folder, and a database, in which there is nothing; returns its manifest.

    Raises:
        CannotStart: the backup is not whole, or of another kind of database, or has not its key, or something is there
            already.
    """
    manifest = read(source)
    kind = "postgresql" if url else "sqlite"
    if manifest["kind"] != kind:
        raise CannotStart(f"{source} is of {manifest['kind']}, not of {kind}: --database says which it is")
    if data.exists() and any(data.iterdir()):
        raise CannotStart(f"{data} is not empty; restore into a folder of its own")
    _expect_key(source, source, manifest, "restore another backup")
    with only_one(data, () if url else list(manifest["roles"]), time.sleep):
        if url:
            _fill_postgresql(source, url, manifest)
        for name in {*manifest["files"], *(VAULT for _ in source.glob(VAULT))}:
            path = Path(name)
            if path.suffix != ".copy":
                _put(source / path, data / path)
        for path in (data / PSAMS).glob("*.json"):
            _leap(path)
        if not url and "tsp" in manifest["roles"]:
            _count_terminals_on(data / "tsp.db")
    log.info("backup-restored", roles=list(manifest["roles"]), made_at=manifest["made_at"])
    return manifest


def read(source: Path) -> dict[str, Any]:
    """The manifest of a backup all of whose files are as it says.

    Raises:
        CannotStart: it is no backup, or one that is not whole.
    """
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_bytes())
        wanted = {name: one["sha256"] for name, one in manifest["files"].items()}
        right = manifest["format"] == FORMAT and set(manifest["roles"]) <= set(ROLES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotStart(f"{source} is not a backup of this program") from error
    if not right:
        raise CannotStart(f"{source} is a backup of another version of this program")
    for name, sha256 in wanted.items():
        path = source / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise CannotStart(f"{source} names a file outside of itself")
        if name == VAULT:
            continue  # what it has sealed says more of it; and a lost one can be put into a backup by hand
        if not path.is_file() or _sha256(path) != sha256:
            raise CannotStart(f"{path} is missing or damaged: nothing was restored")
    for role, revision in manifest["roles"].items():
        if revision not in migrations.revisions(migrations.folder_of(ROLES[role])):
            raise CannotStart(f"{source} is of a newer stb-server ({role} {revision}); restore with that one")
    return manifest


# SQLite


def _copy_sqlite(part: Path, data: Path) -> dict[str, Any]:
    roles = [role for role in ROLES if (data / f"{role}.db").exists()]
    if not roles:
        raise CannotStart(f"{data} has no role; --data names the folder of a server that has run")
    try:
        with ExitStack() as opened:
            readers = _readers(data, roles, opened)
            _copy_files(part, data)
            revisions = {role: _save(readers[role], part, role) for role in roles}
        if "tsp" in roles:
            with _alone(part / "tsp.db") as conn:
                psam_pool.expect_counters(conn, psam_pool.used(conn), str(data / PSAMS))
        return {"kind": "sqlite", "roles": revisions}
    except sqlite3.Error as error:
        raise CannotStart(f"{data} cannot be copied: {error}") from error


def _readers(data: Path, roles: Sequence[str], opened: ExitStack) -> dict[str, sqlite3.Connection]:
    """A reader for each role; all of them see the same instant."""
    try:
        with ExitStack() as shared:
            readers = _one_moment(data, roles, shared)
            opened.push(shared.pop_all())
            return readers
    except sqlite3.OperationalError as error:
        if not sqlite.is_full(error):
            raise
        # Nobody else is at files beside which there is no room: whoever is alone needs none.
        readers = {role: opened.enter_context(closing(sqlite.alone(data / f"{role}.db"))) for role in roles}
        for reader in readers.values():
            _begin(reader)
        return readers


def _one_moment(data: Path, roles: Sequence[str], opened: ExitStack) -> dict[str, sqlite3.Connection]:
    """A reader for each role; all of them see the same instant."""
    writers = [opened.enter_context(closing(_open(data / f"{role}.db"))) for role in roles]
    try:
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
        readers = {role: opened.enter_context(closing(_open(data / f"{role}.db"))) for role in roles}
        for reader in readers.values():
            _begin(reader)
    finally:
        for writer in writers:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
    return readers


def _begin(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it sees this moment


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)


@contextmanager
def _alone(path: Path) -> Iterator[Connection]:
    """The copy of a role's file, for reading."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as conn:
        yield conn


def _save(reader: sqlite3.Connection, part: Path, role: str) -> str:
    """Copies what a reader sees; returns its revision."""
    path = part / f"{role}.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        reader.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
        found = target.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise CannotStart(f"the database of role {role} is damaged: {found}")
        revision = str(target.execute(f"SELECT version_num FROM {migrations.VERSION_TABLE}").fetchone()[0])
    path.chmod(0o600)
    return revision


# PostgreSQL


@contextmanager
def _connected(url: str, **settings: str) -> Iterator[Connection]:
    address: URL = postgresql.address(url)
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    engine = create_engine(
        address,
        poolclass=NullPool,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",
        connect_args={
            "connect_timeout": postgresql.CONNECT_SECONDS,
            **({"options": options} if options else {}),
        },
    )
    try:
        with engine.begin() as conn:
            yield conn
    except DBAPIError as error:
        raise CannotStart(f"the database cannot be used: {' '.join(str(error.orig).split())}") from error
    finally:
        engine.dispose()


def _copy_postgresql(part: Path, data: Path, url: str) -> dict[str, Any]:
    with _connected(url, default_transaction_read_only="on") as conn:
        there = set(inspect(conn).get_schema_names())
        roles = [role for role in ROLES if role in there]
        if not roles:
            raise CannotStart("the database has no role; --database names that of a server that has run")
        _copy_files(part, data)
        revisions, tables = {}, {}
        for role in roles:
            version = sql.SQL("SELECT version_num FROM {}").format(
                sql.Identifier(role, migrations.VERSION_TABLE)
            )
            revisions[role] = _driver(conn).execute(version).fetchall()[0][0]
            tables[role] = [_save_table(conn, part, role, name) for name in _in_order(conn, role)]
        if "tsp" in roles:
            conn.execute(text("SET LOCAL search_path = tsp"))
            psam_pool.expect_counters(conn, psam_pool.used(conn), str(data / PSAMS))
    return {"kind": "postgresql", "roles": revisions, "tables": tables}


def _in_order(conn: Connection, role: str) -> list[str]:
    """The tables of a role, each after those that its rows belong to."""
    found = inspect(conn).get_sorted_table_and_fkc_names(role)
    return [name for name, _ in found if name is not None and name != migrations.VERSION_TABLE]


def _save_table(conn: Connection, part: Path, role: str, name: str) -> dict[str, Any]:
    columns = [str(column["name"]) for column in inspect(conn).get_columns(name, role)]
    path = part / role / f"{name}.copy"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(role, name), _columns(columns))
    with _private(path) as file, _driver(conn).cursor() as cursor, cursor.copy(statement) as rows:
        for block in rows:
            file.write(block)
    return {"name": name, "columns": columns}


def _fill_postgresql(source: Path, url: str, manifest: dict[str, Any]) -> None:
    with _connected(url) as conn:
        there = set(inspect(conn).get_schema_names()) & set(ROLES)
        if there:
            raise CannotStart(
                f"the database has {', '.join(sorted(there))} already; restore into an empty one"
            )
        for role in manifest["roles"]:
            conn.execute(text(f'CREATE SCHEMA "{role}"'))
    try:
        for role, revision in manifest["roles"].items():
            with _connected(url, search_path=role) as conn:
                migrations.upgrade(conn, migrations.folder_of(ROLES[role]), revision)
                _fill_role(conn, source, role, manifest["tables"][role])
                if any(table["name"] == TERMINALS for table in manifest["tables"][role]):
                    conn.execute(text(TERMINALS_LEAP))
    except BaseException:
        with _connected(url) as conn:
            for role in manifest["roles"]:
                conn.execute(text(f'DROP SCHEMA "{role}" CASCADE'))
        raise


def _fill_role(conn: Connection, source: Path, role: str, tables: Sequence[dict[str, Any]]) -> None:
    driver = _driver(conn)
    places = [sql.Identifier(role, table["name"]) for table in tables]
    # What the triggers would do or refuse has been done: it stands in the rows.
    for place in places:
        driver.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(place))
    for place in reversed(places):  # what a revision has put in is in the copy, too
        driver.execute(sql.SQL("DELETE FROM {}").format(place))
    driver.execute("SET CONSTRAINTS ALL DEFERRED")
    for table, place in zip(tables, places, strict=True):
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(place, _columns(table["columns"]))
        path = source / role / f"{table['name']}.copy"
        with path.open("rb") as file, driver.cursor() as cursor, cursor.copy(statement) as rows:
            while block := file.read(COPY_BYTES):
                rows.write(block)
        _count_on(driver, role, table, place)
        if "claimed_by" in table["columns"]:
            # Whoever had claimed it lived in another life: it is anybody's now.
            given_back = sql.SQL("UPDATE {} SET claimed_by = NULL, claimed_until = NULL")
            driver.execute(given_back.format(place))
    driver.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for place in places:
        driver.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(place))


def _count_on(
    driver: psycopg.Connection[Any], role: str, table: dict[str, Any], place: sql.Identifier
) -> None:
    """Rows that are made later get numbers after those that are there."""
    for column in table["columns"]:
        name = f'"{role}"."{table["name"]}"'
        found = driver.execute("SELECT pg_get_serial_sequence(%s, %s)", (name, column)).fetchone()
        if found is not None and found[0] is not None:
            highest = sql.SQL("SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}")
            driver.execute(highest.format(sql.Identifier(column), place), (found[0],))


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _driver(conn: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", conn.connection.driver_connection)


# Files


def _sealed(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What a backup has of the vault's sealing: the keys of answers, as they stand in the database; none where the TSP
    has not begun, or is older than they are.
    """
    if "tsp" not in manifest["roles"]:
        return []
    table = tsp.server_keys.name
    if manifest["kind"] == "sqlite":
        place = f"file:{quote(str(folder / 'tsp.db'))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(place, uri=True)) as conn:
            there = conn.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
            return [row[0] for row in conn.execute(f"SELECT sealed FROM {table}")] if there else []
    columns = next((one["columns"] for one in manifest["tables"]["tsp"] if one["name"] == table), None)
    if columns is None:
        return []
    # What is sealed is in base64: no character of it means anything else to COPY.
    lines = (folder / "tsp" / f"{table}.copy").read_text("utf-8").splitlines()
    return [line.split("\t")[columns.index("sealed")] for line in lines]


def _expect_key(keys: Path, folder: Path, manifest: dict[str, Any], otherwise: str) -> None:
    """As a start does: what is sealed in a backup was sealed with the key in the folder ``keys``; makes nothing.

    Args:
        otherwise: what else can be done than to put the key there.

    Raises:
        CannotStart
    """
    if sealed := _sealed(folder, manifest):
        try:
            expect_sealed(vault_file(keys / VAULT, make=False), sealed)
        except CannotStart as error:
            raise CannotStart(f"{keys}: {error}; or {otherwise}") from error


def _copy_files(part: Path, data: Path) -> None:
    """Keys, and what simulated PSAMs keep. Those of a reader keep their own."""
    for name in KEYS:
        if (data / name).exists():
            _put(data / name, part / name)
    for path in sorted((data / PSAMS).glob("*.json")):
        _put(path, part / PSAMS / path.name)


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with source.open("rb") as file, _private(target) as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())


def _leap(path: Path) -> None:
    contents = json.loads(path.read_bytes())
    contents["terminal_transaction_number"] += PSAM_LEAP
    _write(path, json.dumps(contents, indent=1).encode())


def _count_terminals_on(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as restored:
        known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if restored.execute(known, (TERMINALS,)).fetchone() is not None:  # a copy may be older
            restored.execute(TERMINALS_LEAP)


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file


def _write(path: Path, content: bytes) -> None:
    with _private(path) as file:
        file.write(content)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
