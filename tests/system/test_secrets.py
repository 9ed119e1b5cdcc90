"""A day at a television, and then every file, column, log, answer and screen is searched for what nobody may find there.

What is looked for: the PIN that was typed, the card's full number, private keys, the vault's and the partners' keys, the
activation code.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.server_stub.signing import ACTIVATION
from tests.system.subscriber import NOT_TAKEN, home, online, pin, result, with_card
from tests.system.television import Television

PIN = "123456"
WRONG_PIN = "907315"
NUMBER = "62170018340572162047"
ALLOWED = {"tsp.key", "partners.key", "card-id.key"}
"""Keys, in their own files; besides there are the simulated cards, which have a number and a PIN as real ones do."""


def secrets_of(data: Path) -> dict[str, list[bytes]]:
    """Each secret in the ways in which it might be written."""
    found = {"PIN": [WRONG_PIN.encode()], "card number": _ways(bytes.fromhex(NUMBER)), "activation code": []}
    for name in ("tsp.key", "partners.key"):
        found[name] = [(data / "server" / name).read_bytes().strip()]
    for path in (data / "keys").glob("*.pem"):
        body = b"".join(path.read_bytes().splitlines()[1:-1])
        found[path.name] = [body, *_ways(base64.b64decode(body)[-32:])]
    found["card-id.key"] = _ways((data / "payments" / "card-id.key").read_bytes())
    return found


def _ways(secret: bytes) -> list[bytes]:
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret)]


def leaks(secrets: dict[str, list[bytes]], places: Iterator[tuple[str, bytes]]) -> list[str]:
    """Which secret stands in which place."""
    return [
        f"{name} in {place}"
        for place, content in places
        for name, ways in secrets.items()
        if any(way in content for way in ways)
    ]


def places_of(data: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the box and of its server but those that are a secret's own; databases by column too."""
    for path in sorted(data.rglob("*")):
        own = path.name in ALLOWED or path.suffix == ".pem" or path.parent == data / "cards"
        if not path.is_file() or own:
            continue
        yield str(path.relative_to(data)), path.read_bytes()
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as database:
                yield f"{path.name} as text", "\n".join(database.iterdump()).encode()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, bytes]]]:
    """The folder after a purchase and some faults, and everything that was on the screen."""
    data = tmp_path_factory.mktemp("box")
    shown: list[tuple[str, bytes]] = []
    with Television(data, "--reader", "sim:", "--lang", "en", "--box", "85312047") as tv:

        def look(name: str) -> None:
            shown.append((name, json.dumps(tv.screen(layout=True), ensure_ascii=False).encode()))

        online(tv)
        tv.post("/settings", motion=False)
        with_card(tv)
        pin(tv, WRONG_PIN)
        tv.prompt("wrong-pin")
        look("wrong PIN")
        tv.type(PIN[:4])
        look("half a PIN")
        tv.type(PIN[4:])
        tv.press("OK")
        tv.prompt("remove")
        look("take the card")
        tv.post("/card/pull")
        tv.wait_for("result")
        look("result")
        with_card(tv, "little-money")
        tv.prompt("balance-too-low")
        tv.post("/card/pull")
        tv.prompt("insert")
        tv.press("BACK")
        tv.choose("cancel-payment")
        result(tv, "cancelled", False, NOT_TAKEN)
        look("cancelled")
        home(tv)
        tv.choose("records")
        tv.wait_for(lambda s: s["screen"] == "records" and not s["busy"])
        look("records")
        address = tv.screen(layout=True)["state"].get("tsp", "")
        if address:
            for body in ({"application_serial": NUMBER}, {"activation_code": ACTIVATION}):
                answer = requests.post(f"{address}/stb/v1/inquiries", json=body, timeout=10)
                shown.append(("an error", answer.content))
        output = tv.output
    return data, [*shown, ("the terminal", output.encode())]


def test_no_secret_stands_anywhere(day: tuple[Path, list[tuple[str, bytes]]]) -> None:
    data, shown = day
    secrets = secrets_of(data)
    assert all(secrets[name] for name in ("PIN", "card number", "tsp.key", "partners.key"))
    assert leaks(secrets, places_of(data)) == []
    assert leaks(secrets, iter(shown)) == []
    log = (data / "stb-app.log").read_text("utf-8")
    assert f'"{PIN}"' not in log
    assert ACTIVATION not in log + (data / "server.log").read_text("utf-8")


def test_one_that_is_written_on_purpose_is_found(day: tuple[Path, list[tuple[str, bytes]]]) -> None:
    data, _ = day
    secrets = secrets_of(data)
    log = data / "stb-app.log"
    before = log.read_bytes()
    for name, ways in secrets.items():
        for way in ways:
            log.write_bytes(before + way)
            assert f"{name} in stb-app.log" in leaks(secrets, places_of(data))
    log.write_bytes(before)


def test_the_box_s_log_and_the_books_tell_one_story_under_one_id(
    day: tuple[Path, list[tuple[str, bytes]]],
) -> None:
    data, _ = day
    lines = [json.loads(line) for line in (data / "stb-app.log").read_text("utf-8").splitlines()]
    ended = next(line for line in lines if line["event"] == "ended" and line["what"] == "success")
    mine = [line for line in lines if line.get("correlation") == ended["correlation"]]
    assert [line["what"] for line in mine if line["event"] == "journey"] == ["pay-by-card"]
    assert [line["path"].rpartition("/")[2] for line in mine if line["event"] == "asked"][-1] != "init"
    with closing(sqlite3.connect(data / "server" / "tsp.db")) as tsp:
        asked = "SELECT id FROM payments WHERE correlation = ?"
        assert tsp.execute(asked, (ended["correlation"],)).fetchall() == [(ended["payment"],)]
        moves = "SELECT target FROM state_moves WHERE correlation = ? AND row = ? ORDER BY id"
        told = [row[0] for row in tsp.execute(moves, (ended["correlation"], ended["payment"]))]
    assert told == ["card-checked", "mac1-issued", "paid", "opened"]
    assert ended["correlation"] in (data / "server.log").read_text("utf-8")
