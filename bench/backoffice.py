"""Pages of the back office over ten million transactions, as a browser has them: signed in, over HTTP, on SQLite.

Values to search for are drawn anew for every request, so hardly one of them was read before. Cold is right after the system
was told to forget the files' pages.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection

from bench._history import NEWEST, PAYMENTS, make
from bench._servers import open_role, servers
from server_stub.backoffice import passwords, staff, tables
from server_stub.backoffice.rights import roles_of
from server_stub.backoffice.transactions import first_id
from server_stub.foundation.clock import CHINA, SystemClock

DATA = Path("build/backoffice")
NAME, PASSWORD = "bench", "heron walks over the dam"
ROUNDS = 20
"""Requests for each page and each field."""
COLD = 3
NOTHING = {
    "number": "ZZZZ ZZZZ", "id": "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "order": "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "box": "12345678", "subscriber": "nobody",
    "method": "wallet:none", "card": "999999…9999", "amount": "7777.77", "received_fen": "7777.77", "state": "disputed", "reason": "none",
    "service": "none", "psam": "sim:none", "terminal": "999999999999", "transaction_number": "FFFFFFFF", "offline_number": "999999", "batch": "999999",
    "stan": "999999", "reference": "ZZZZZZZZZZZZ", "authorisation": "ZZZZZZ", "correlation": "f" * 32, "journal": "7ZZZZZZZZZZZZZZZZZZZZZZZZZ 3 paid",
    "from_fen": "7777.77", "day": "2019-01-01", "q": "nothing of that kind",
}  # fmt: skip
"""What nobody has, by field."""


class Values:
    """Random transactions of the database, and what is known of them by the form's fields."""

    def __init__(self, data: Path, chance: random.Random) -> None:
        self._conn = sqlite3.connect(f"file:{data / 'tsp.db'}?mode=ro", uri=True)
        self._conn.row_factory = sqlite3.Row
        self._chance = chance
        now = datetime.now(CHINA)
        self._span = (now - timedelta(days=725), now - timedelta(hours=3))

    def close(self) -> None:
        self._conn.close()

    def instant(self) -> datetime:
        """Any of the time that there are payments of."""
        first, last = self._span
        return first + (last - first) * self._chance.random()

    def row(self, table: str, key: str, where: str = "1") -> sqlite3.Row:
        """The first row of a table after a random instant."""
        query = f"SELECT * FROM {table} WHERE {key} >= ? AND {where} ORDER BY {key} LIMIT 1"
        found: sqlite3.Row | None = None
        while found is None:
            found = self._conn.execute(query, (first_id(self.instant()),)).fetchone()
        return found

    def fields(self) -> Iterator[tuple[str, str]]:
        """A value of something that there is for each field."""
        paid = self.row("payments", "id", "+state = 'opened'")
        order = self._conn.execute("SELECT number FROM orders WHERE id = ?", (paid["order_id"],)).fetchone()
        yield "number", order["number"]
        yield from (("id", paid["id"]), ("order", paid["order_id"]), ("box", paid["box_number"]))
        yield from (("method", paid["method"]), ("service", paid["service"]), ("term", paid["term"]))
        yield from (("amount", _yuan(paid["amount_fen"])), ("received_fen", _yuan(paid["received_fen"])))
        yield from (("correlation", paid["correlation"]), ("journal", f"{paid['id']} 3 paid"))
        yield "subscriber", f"用户{paid['box_number']}"
        yield "from_fen", _yuan(self._chance.choice((100, 5_000, 20_000)))
        yield "to_fen", _yuan(self._chance.choice((300, 1_000, 5_000)))
        yield "day", f"{self.instant():%Y-%m-%d}"
        yield "since", f"{self.instant():%Y-%m-%dT%H:%M}"
        yield "until", f"{self.instant():%Y-%m-%dT%H:%M}"
        yield "reason", self.row("payments", "id", "+reason IS NOT NULL")["reason"]
        yield (
            "state",
            self._chance.choice(
                ("opened", "failed", "refunding", "mac1-issued", "amount-differs", "expired")
            ),
        )
        yield "shown", self._chance.choice(("done", "unknown", "late", "loaded", "waiting"))
        yield "money", self._chance.choice(("taken", "not-taken", "returned", "unknown"))
        yield "kind", self._chance.choice(("purse", "online", "electronic-cash", "wallet", "load"))
        yield "case", self._chance.choice(("open", "any"))
        debit = self.row("card_debits", "payment_id")
        yield from (("psam", debit["psam"]), ("terminal", debit["terminal_number"]))
        yield from (
            ("transaction_number", debit["terminal_transaction_number"]),
            ("offline_number", str(debit["offline_number"])),
        )
        head, end = debit["card_masked"].replace(" ", "")[:6], debit["card_masked"][-4:]
        yield "card", self._chance.choice((f"{head}…{end}", f"…{end}", f"{head}…"))
        asked = self.row("card_authorisations", "payment_id")
        yield from (
            ("batch", asked["batch"]),
            ("stan", asked["stan"]),
            ("reference", asked["retrieval_reference"]),
        )
        yield "authorisation", asked["authorisation_code"]
        yield "q", self._chance.choice((order["number"], paid["box_number"], f"{head}…{end}", paid["id"], "25.00", "wallet:demo 25.00", asked["stan"], paid["correlation"]))  # fmt: skip

    def pairs(self) -> Iterator[dict[str, str]]:
        """Two or three fields at once, of one transaction or of none."""
        one, other = dict(self.fields()), dict(self.fields())
        yield {"method": one["method"], "amount": one["amount"]}
        yield {"service": one["service"], "amount": other["amount"]}
        yield {"state": "refunding", "method": "wallet:demo"}
        yield {"psam": one["psam"], "amount": other["amount"]}
        yield {"day": one["day"], "state": "failed"}
        yield {"box": one["box"], "money": "taken"}
        yield {"kind": "online", "state": "refunded"}  # there is none: cards are not paid back so
        yield {"reason": "declined", "service": one["service"], "term": one["term"]}


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def let_in(data: Path) -> None:
    """Somebody who may see and export everything."""
    clock, hashed = SystemClock(), passwords.Passwords().hash_now(PASSWORD)

    def enter(conn: Connection) -> None:
        if not any(person.name == NAME for person in staff.listed(conn)):
            staff.add(conn, clock, "bench", NAME, "Bench", roles_of("clerk,supervisor,admin"), hashed, "zh")
            staff.set_password(conn, clock, "bench", NAME, hashed, once=False)

    with closing(open_role(data, "", tables.metadata)) as database:
        database.submit(enter).result()


def browser(url: str) -> httpx.Client:
    """Somebody who is signed in."""
    client = httpx.Client(base_url=f"{url}/backoffice", follow_redirects=True, trust_env=False, timeout=60)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/sign-in").text)
    assert token is not None
    answer = client.post("/sign-in", data={"csrf": token[1], "name": NAME, "password": PASSWORD})
    assert "sign-out" in answer.text, answer.status_code
    return client


def forget(data: Path) -> None:
    """The system keeps no page of the files in memory."""
    for path in data.glob("*.db"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Watch:
    """How long requests took, by what was asked for, in ms."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.took: dict[str, list[float]] = {}

    def ask(self, name: str, path: str, **query: str) -> str:
        began = time.perf_counter()
        answer = self._client.get(path, params=query or None)
        self.took.setdefault(name, []).append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, f"{path} {query}: {answer.status_code}"
        return answer.text

    def p95(self) -> float:
        """Of all."""
        return percentile([one for part in self.took.values() for one in part], 95)

    def told(self, title: str) -> None:
        """Prints each, the slowest first."""
        for name, part in sorted(self.took.items(), key=lambda one: -percentile(one[1], 95)):
            print(
                f"{title} {name:<28} p50 {statistics.median(part):7.1f} p95 {percentile(part, 95):7.1f} ms of {len(part)}"
            )


def percentile(values: Sequence[float], share: int) -> float:
    """The value that so many of a hundred do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * share // 100) - 1)]


def pages(watch: Watch, values: Values, rounds: int) -> None:
    """Each kind of page."""
    for _ in range(rounds):
        day = values.instant()
        for path in ("/", "/transactions", "/cases", "/boxes", "/psams", "/jobs", "/reports", f"/reports/{day:%Y-%m}", f"/reports/{day:%Y-%m-%d}"):  # fmt: skip
            watch.ask(re.sub(r"\d{4}.*", "...", path), path)
        watch.ask("/reports/today", f"/reports/{datetime.now(CHINA):%Y-%m-%d}")
        watch.ask("story, old", f"/transactions/{values.row('payments', 'id')['id']}")
        newest = values._conn.execute("SELECT row FROM state_moves WHERE id > abs(random()) % (SELECT max(id) FROM state_moves) LIMIT 1").fetchone()  # fmt: skip
        watch.ask("story, with all", f"/transactions/{newest['row']}")
        # The fifth page of what is listed.
        older = values.row("payments", "id")["id"]
        watch.ask("listed, far back", "/transactions", before=older, state="opened")


def searches(watch: Watch, values: Values, rounds: int, before: Callable[[], None] = lambda: None) -> None:
    """Each field with hits and without, and some together."""
    for number in range(rounds):
        for name, value in values.fields():
            before()
            watch.ask(name, "/transactions", **{name: value})
        for asked in values.pairs():
            before()
            watch.ask(" + ".join(asked), "/transactions", **asked)
        if number < max(1, rounds // 4):
            for name, value in NOTHING.items():
                before()
                watch.ask(f"{name}, nothing", "/transactions", **{name: value})


def counted(client: httpx.Client) -> float:
    """Seconds until the background has counted all days."""
    began = time.perf_counter()
    year = datetime.now(CHINA).year
    while any(
        "note wait" in client.get("/reports", params={"year": one}).text for one in (year, year - 1, year - 2)
    ):
        time.sleep(1)
    return time.perf_counter() - began


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.backoffice")
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    make(options.data, options.payments)
    print(
        f"{options.payments} payments; moves, journals, deliveries, answers and BOSS's side of the newest {NEWEST}"
    )
    let_in(options.data)
    chance = random.Random(20260621)
    figures: dict[str, Any] = {}
    with (
        closing(Values(options.data, chance)) as values,
        servers(options.data, "") as serving,
        closing(browser(serving[0][1])) as client,
    ):
        figures["totals_seconds"] = counted(client)
        by_page, by_field, cold = Watch(client), Watch(client), Watch(client)
        pages(by_page, values, options.rounds)
        searches(by_field, values, options.rounds)
        searches(cold, values, COLD, lambda: forget(options.data))
        by_page.told("page")
        by_field.told("search")
        cold.told("cold")
    figures |= {
        "page_p95_ms": by_page.p95(),
        "search_p95_ms": by_field.p95(),
        "search_cold_p95_ms": cold.p95(),
    }
    worst = {name: percentile(part, 95) for name, part in by_field.took.items()}
    figures["search_worst_field_p95_ms"] = max(worst.values())
    print(
        json.dumps(
            {"bench": "backoffice", "figures": {name: round(value, 1) for name, value in figures.items()}}
        )
    )


if __name__ == "__main__":
    main()
