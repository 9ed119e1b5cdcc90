"""Backup and restore: one moment of all roles, made while they work, and boxes that go on from it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from server_stub import backup
from server_stub.backup import sqlite
from server_stub.boss import tables as boss
from server_stub.cli import parse
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.startup import CannotStart
from server_stub.tsp import tables as tsp
from tests.server_stub.system import (
    ROLES,
    START,
    Box,
    Card,
    System,
    body_of,
    databases,
    first_start,
    running,
    running_with_ppp,
)
from tests.server_stub.tsp.test_online_card import Terminal

pytestmark = pytest.mark.anyio
MADE_AT = START.isoformat()
LOAD = 12


def money(rows: list[Any]) -> list[tuple[Any, ...]]:
    return sorted((row.id, row.state, row.amount_fen, row.correlation) for row in rows)


async def test_what_was_paid_is_there_and_what_was_owed_is_delivered(tmp_path: Path, kind: str) -> None:
    data, copy, kept = tmp_path / "data", tmp_path / "restored", tmp_path / "backup"
    async with running(data) as system:
        box = await system.box()
        done = await box.state((await Card(box).pay(await box.pay("card")))["payment"], "done")
        system.network.cut.add("/boss/v1/boxes/85312048/orders")
        owed = await Card(box, folder=tmp_path).pay(await ordered(system, box, "kids"))
        assert owed["state"] == "paid"
        made = await asyncio.to_thread(backup.make, kept, data, databases.of(data), MADE_AT)
        before = money(await system.rows(tsp.payments))
    assert list(made["roles"]) == ["backoffice", "tsp", "boss", "sandbox", "ppp", "exchange"]
    assert not list(tmp_path.glob("*.part"))
    assert [path for path in kept.rglob("*") if path.is_file() and path.stat().st_mode & 0o077] == []
    backup.put_back(kept, copy, databases.empty(copy))
    # Later than the pause that follows a failed delivery: the backup may be of before it or of after it.
    async with running(copy, clock=SimulatedClock(START + timedelta(minutes=1))) as system:
        assert money(await system.rows(tsp.payments))[0][0] in {row[0] for row in before}
        again = box.at(system)
        assert (await again.state(owed["payment"], "done"))["money"] == "taken"
        assert (await again.get(f"/payments/{done['payment']}"))["state"] == "done"
        more = await Card(again).pay(await again.pay("card", "drama", "monthly"))
        assert more["money"] == "taken"
        rows = await system.rows(tsp.outbox)
        assert len({row.id for row in rows}) == len(rows) == 3


async def ordered(system: System, box: Box, service: str) -> Any:
    """A payment of a service whose order BOSS has taken before it was cut off."""
    system.network.cut.clear()
    payment = await box.pay("card", service, "monthly")
    system.network.cut.add("/boss/v1/boxes/85312048/orders")
    return payment


async def test_a_number_of_the_terminal_is_not_used_again(tmp_path: Path, kind: str) -> None:
    """PPP has gone on: under the next numbers it has what was sold since."""
    data, copy, kept = tmp_path / "data", tmp_path / "restored", tmp_path / "backup"
    async with running_with_ppp(data) as system:
        box = await system.box()
        await Terminal(system, box).pay(await box.pay("card"))
        (before,) = await system.rows(tsp.pos_terminals)
        await asyncio.to_thread(backup.make, kept, data, databases.of(data), MADE_AT)
    backup.put_back(kept, copy, databases.empty(copy))
    async with running_with_ppp(copy, clock=SimulatedClock(START + timedelta(minutes=1))) as system:
        (after,) = await system.rows(tsp.pos_terminals)
        assert (after.stan, after.mak) == (before.stan + 10_000, None)
        again = box.at(system)
        paid = await Terminal(system, again, "credit").pay(await again.pay("card", "kids", "monthly"))
        assert paid["money"] == "taken"


async def test_a_number_of_a_security_module_is_not_used_again(tmp_path: Path, kind: str) -> None:
    """A payment between MAC1 and proof is not lost: the box's proof becomes a case, as the PSAM has gone on."""
    data, copy, kept = tmp_path / "data", tmp_path / "restored", tmp_path / "backup"
    async with running(data) as system:
        box = await system.box()
        await Card(box).pay(await box.pay("card", "news", "monthly"))
        payment = await box.pay("card")
        card = Card(box)
        authorised = await card.authorised(payment)
        await asyncio.to_thread(backup.make, kept, data, databases.of(data), MADE_AT)
        proof = card.debit(authorised)
    backup.put_back(kept, copy, databases.empty(copy))
    async with running(copy, clock=SimulatedClock(START)) as system:
        again = box.at(system)
        refused = await again.refused(f"/payments/{payment['payment']}/debit", body_of(proof))
        assert (refused["code"], refused["money"]) == ("lease-lost", "unknown")
        assert [case.kind for case in await system.rows(tsp.cases)] == ["psam-number-moved"]
        card = Card(again)
        later = await card.authorised(await again.pay("card", "kids", "monthly"))
        numbers = [int(one["terminal_transaction_number"], 16) for one in (authorised, later)]
        assert numbers[1] > numbers[0]


async def test_all_roles_are_of_one_moment_under_load(tmp_path: Path, kind: str) -> None:
    data, copy, kept = tmp_path / "data", tmp_path / "restored", tmp_path / "backup"
    async with running(data) as system:
        box = await system.box()

        async def buy(service: str) -> None:
            for _ in range(LOAD // 3):
                payment = await box.pay("wallet:demo", service, "monthly")
                await system.phone(payment["qr"]["payload"], "pay")
                await box.state(payment["payment"], "done")

        buying = [asyncio.create_task(buy(service)) for service in ("kids", "sports", "news")]
        names = []
        while not all(task.done() for task in buying):
            names.append(tmp_path / f"backup-{len(names)}")
            await asyncio.to_thread(backup.make, names[-1], data, databases.of(data), MADE_AT)
        await asyncio.gather(*buying)
    kept = names[len(names) // 2]
    backup.put_back(kept, copy, databases.empty(copy))
    async with running(copy, clock=SimulatedClock(START)) as system:
        again = box.at(system)
        for payment in await system.rows(tsp.payments):
            if payment.state == "paid":
                await again.state(payment.id, "done")

        async def agreed() -> bool:
            """Not at once: the wallet may have had money for a payment of which the TSP hears only now."""
            opened = {row.id for row in await system.rows(tsp.payments) if row.state == "opened"}
            at_boss = await system.boss(
                lambda conn: set(conn.execute(select(boss.orders.c.payment)).scalars()) - {None}
            )
            return opened == at_boss

        while not await agreed():
            pass


async def test_a_backup_that_is_not_whole_or_has_no_room_is_refused(tmp_path: Path, kind: str) -> None:
    data, kept = tmp_path / "data", tmp_path / "backup"
    async with running(data):
        backup.make(kept, data, databases.of(data), MADE_AT)
        with pytest.raises(CannotStart, match="is there already"):
            backup.make(kept, data, databases.of(data), MADE_AT)
        with pytest.raises(CannotStart, match="not empty"):
            backup.put_back(kept, data, databases.of(data))
        if kind == "postgresql":
            with pytest.raises(CannotStart, match="already; restore into an empty one"):
                backup.put_back(kept, tmp_path / "other", databases.of(data))
        other = "" if kind == "postgresql" else "postgresql://nobody@127.0.0.1/none"
        with pytest.raises(CannotStart, match="is of "):
            backup.put_back(kept, tmp_path / "third", other)
    files = json.loads((kept / "manifest.json").read_bytes())["files"]
    name = next(name for name in files if name.startswith("tsp") and files[name]["bytes"])
    whole = (kept / name).read_bytes()
    (kept / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CannotStart, match="missing or damaged"):
        backup.put_back(kept, tmp_path / "fourth", databases.empty(tmp_path / "fourth"))
    assert not (tmp_path / "fourth").exists()
    (kept / "manifest.json").write_text("[]")
    with pytest.raises(CannotStart, match="not a backup"):
        backup.read(kept)


@pytest.mark.parametrize("lost", [True, False])
async def test_without_the_key_that_sealed_the_database_there_is_no_backup_nor_restore(
    tmp_path: Path, kind: str, lost: bool
) -> None:
    """As with a mistyped --data: the server could never start from it."""
    data, kept, copy, stranger = (tmp_path / name for name in ("data", "backup", "restored", "stranger"))
    async with running(data):
        backup.make(kept, data, databases.of(data), MADE_AT)
    if kind == "postgresql" and lost:
        with pytest.raises(CannotStart, match=r"tsp.key is missing.* let --data name the folder"):
            backup.make(tmp_path / "other", stranger, databases.of(data), MADE_AT)
        assert not stranger.exists()
    right, said = (data / "tsp.key").read_bytes(), "is missing" if lost else "is not the key"
    for folder in (data, kept):
        (folder / "tsp.key").unlink() if lost else (folder / "tsp.key").write_bytes(Fernet.generate_key())
    with pytest.raises(CannotStart, match=f"tsp.key {said}.* let --data name the folder"):
        backup.make(tmp_path / "other", data, databases.of(data), MADE_AT)
    url = databases.empty(copy)
    with pytest.raises(CannotStart, match=f"tsp.key {said}.* put .* back from a copy; or restore another"):
        backup.put_back(kept, copy, url)
    assert sorted(tmp_path.iterdir()) == [kept, data]
    (kept / "tsp.key").write_bytes(right)
    backup.put_back(kept, copy, url)
    async with running(copy):
        assert (copy / "tsp.key").read_bytes() == right


async def test_without_the_counters_of_its_simulated_psams_there_is_no_backup_nor_start(
    tmp_path: Path, kind: str
) -> None:
    """They would begin at 1 again, and use their numbers twice. As with a --data that has only the key."""
    data, kept = tmp_path / "data", tmp_path / "backup"
    async with running(data) as system:
        box = await system.box()
        await Card(box).pay(await box.pay("card"))
    used = [path for path in (data / "psams").glob("*.json") if b'_number": 1,' not in path.read_bytes()]
    assert len(used) == 1
    used[0].unlink()
    for path in (data / "psams").glob("*.json"):
        path.write_text("not a counter")  # that is said where it is opened
    with pytest.raises(
        CannotStart, match=r"psams has no counter of sim:\d+, .* put the folder back from a copy"
    ):
        backup.make(kept, data, databases.of(data), MADE_AT)
    assert not kept.exists()
    with pytest.raises(CannotStart, match="has no counter of sim:"):
        async with running(data):
            pass


def test_beside_a_full_disk_a_server_that_stands_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: Path) -> None:
        full = sqlite3.OperationalError("disk I/O error")
        full.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise full

    monkeypatch.setattr(sqlite, "_open", no_room)
    made = backup.make(tmp_path / "kept", Path(first_start().name), "", MADE_AT)
    assert {*made["roles"]} == {"backoffice", "tsp", "boss", "sandbox", "ppp", "exchange"}
    assert backup.read(tmp_path / "kept") == made


def test_the_commands_say_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["backup", "--data", str(tmp_path), "--to", str(tmp_path / "to")], ROLES)
    assert backup.backup(options) == 2
    assert "has no role" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()
    options = parse(["backup", "--data", str(tmp_path), "--to", "/proc/nope"], ROLES)
    assert backup.backup(options) == 2
    assert capsys.readouterr().err == (
        "stb-server: /proc/nope cannot be written (no such file or directory); give --to another folder\n"
    )
    options = parse(["restore", "--data", str(tmp_path / "new"), "--from", str(tmp_path / "to")], ROLES)
    assert backup.restore(options) == 2
    assert "not a backup" in capsys.readouterr().err
