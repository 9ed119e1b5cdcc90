"""The whole program as a process: start, one at a time, signals, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pygame
import pytest

from stb_app import cli, main
from stb_app.journeys.memory import OpenLoad
from stb_app.journeys.steps import CardAsked, CardWanted, CodesOpen, Finished, LoadsOpen, LoadTold, Unheard
from stb_app.shell.window import Window
from stb_app.tsp.problem import Money
from tests.screens.data import OPEN_PAYMENT
from tests.stb_app.journeys.dummy_tsp import DummyTsp, load_of
from tests.stb_app.shell.dummies import Television

DEADLINE_S = 20.0
NOBODY = "http://127.0.0.1:9"
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")
}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*options: str, data: Path = tmp_path, remote: str = "127.0.0.1:0") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "stb_app", "run", "--data", str(data), "--web-remote", remote]
        process = subprocess.Popen(
            [*command, "--reader", "sim:", *(options or ("--tsp", NOBODY))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line + (process.stderr.read() if process.stderr else "")
    return found.group()


def screen(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/screen.json", timeout=DEADLINE_S) as answer:
        value: dict[str, Any] = json.load(answer)
        return value


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_without_a_display_and_a_signal_switches_it_off(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start("--tsp", NOBODY, "--lang", "en")
    url = address(process)
    shown = screen(url)
    assert shown["screen"] == "home"
    assert shown["language"] == "en"
    assert shown["focus"]
    process.send_signal(number)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")
    assert json.loads((tmp_path / "settings.json").read_text())["language"] == "en"


def test_the_power_key_and_a_yes_switch_it_off(start: Start) -> None:
    process = start()
    url = address(process)

    def press(key: str) -> None:
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/keys/{key}", method="POST"), timeout=DEADLINE_S
        ).close()

    press("KEY_POWER")
    assert screen(url)["screen"] == "question"
    for _ in range(4):
        if screen(url)["focus"] == "off":
            break
        press("KEY_DOWN")
        press("KEY_RIGHT")
    # A television that is switched off may be gone before it has answered.
    with contextlib.suppress(ConnectionError):
        press("KEY_OK")
    assert process.wait(DEADLINE_S) == 0


def test_two_televisions_do_not_share_a_memory(start: Start) -> None:
    first = start()
    address(first)
    second = start()
    _, errors = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 2
    assert "another television uses" in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_said_in_words(start: Start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(remote=f"127.0.0.1:{taken.getsockname()[1]}")
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "that port is in use" in errors
    assert "Traceback" not in errors


def test_a_data_folder_that_cannot_be_made_is_said_in_words(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = start(data=tmp_path / "file" / "data")
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "is not a folder; give --data a folder" in errors
    assert "Traceback" not in errors


def test_a_broken_key_map_of_the_operator_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    (tmp_path / "keymaps").mkdir()
    (tmp_path / "keymaps" / "a.toml").write_text("[keys]\nx = 'KEY_NONSENSE'")
    (tmp_path / "keymaps" / "b.toml").write_text("[keys]\n'scancode:69' = 'KEY_BACK'")
    options = cli.parse(["run", "--demo", "--size", "640x360"], {"DISPLAY": "dummy"})
    window = main._open_screen(options, tmp_path)
    try:
        assert isinstance(window, Window)
        got: list[str] = []
        window.on_key = lambda name, state: got.append(name)
        pygame.event.post(pygame.Event(pygame.KEYDOWN, key=pygame.K_F12, scancode=69))
        pygame.event.post(pygame.Event(pygame.KEYDOWN, key=pygame.K_UP, scancode=82))
        window.wait(0)
    finally:
        window.close()
    assert got == ["KEY_BACK", "KEY_UP"]
    assert "a.toml" in caplog.text


def test_where_no_window_opens_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":4711")
    options = cli.parse(["run", "--demo"], {"DISPLAY": ":4711"})
    with pytest.raises(main.CannotStart, match="--headless"):
        main._open_screen(options, tmp_path)


def test_a_display_at_which_nobody_answers_is_said_and_the_picture_has_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # SDL would go on without a word, with a picture that nobody can see.
    for name in ("SDL_VIDEODRIVER", "XDG_RUNTIME_DIR", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    options, screen = main._screen_of(cli.parse(["run", "--demo"], {"DISPLAY": ":4711"}), tmp_path)
    screen.close()
    assert not isinstance(screen, Window)
    assert (options.headless, options.web_remote) == (True, cli.DEFAULT_REMOTE)
    assert options.no_display == "Nobody answers at the display :4711"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("state", ["{}", "", "[]"])
def test_a_damaged_simulated_card_is_said_and_the_slot_stays_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    (tmp_path / "card-good.json").write_text(state)
    tv = Television()
    reader = main._slot("sim:good", tmp_path, tv.app)
    assert not reader.card_present()
    (line,) = capsys.readouterr().err.splitlines()
    assert "the card slot stays empty" in line
    assert "card-good.json" in line
    tv.work()
    assert "cannot be used" in (tv.stage.picture.notice or "")


def test_a_tester_s_file_that_is_no_card_is_not_called_a_damaged_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text("[card]")
    tv = Television()
    tv.app.set_language("en")
    slot: Any = main._slot(f"sim:{tmp_path / 'mine.toml'}", tmp_path, tv.app)
    assert not slot.card_present()
    assert [(one.name, one.problem) for one in slot.own] == [
        ("mine.toml", "profile mine.toml: description: is missing")
    ]
    (line,) = capsys.readouterr().err.splitlines()
    assert "profile mine.toml: description: is missing; the card slot stays empty" in line
    assert "Delete" not in line
    tv.work()
    assert "its file does not describe a card" in (tv.stage.picture.notice or "")


def telling(looked_at: set[str]) -> Callable[[object], str]:
    """What a television's notice says after a step of the recovery; ``looked_at``: payments and loads that a page shows."""
    tv = Television()
    tv.app.set_language("en")
    tell = main._recovered(tv.app, looked_at.__contains__)

    def told(step: object) -> str:
        tell(step)
        tv.app.draw()
        return tv.stage.picture.notice or ""

    return told


def test_what_an_earlier_television_left_open_is_told_wherever_one_is() -> None:
    looked_at: set[str] = set()
    told = telling(looked_at)
    code = DummyTsp().pay("order-1", "wallet:demo", "key-1")
    assert told(CodesOpen((code,))).startswith(
        f"An earlier wallet payment is still open: Sports · Monthly · ¥15.00 · Order {code.number} · "
    )
    assert "has taken money: Sports · Monthly · ¥15.00" in told(CodesOpen((replace(code, money="unknown"),)))
    assert "please do not pay again" in told(CodesOpen((None,)))
    assert "Put the same card in" in told(CardWanted((OPEN_PAYMENT,)))
    assert "earlier wallet payment ended" in told(CardWanted(()))
    paid = replace(OPEN_PAYMENT, tac="00", mac2="00", service_name={"en": "Sports"}, term="monthly")
    assert told(Unheard((paid,))).startswith("A card payment went through: Sports · Monthly · ¥15.00. The")
    paid = replace(paid, number="4C7F 20A1", time="2026-11-21T19:33:08+08:00")
    assert "¥15.00 · Order 4C7F 20A1 · 11-21 19:33. The" in told(Unheard((paid,)))
    assert "payment went through" in told(CardWanted((OPEN_PAYMENT,)))
    assert told(Unheard((OPEN_PAYMENT,))).startswith(
        "It is not yet known whether a card payment has taken money: ¥15.00."
    )
    assert "Put the same card in, and" in told(Unheard(()))
    assert "earlier wallet payment ended" in told(CardWanted(()))
    assert told(CodesOpen(())) == ""
    payment = DummyTsp().pay("order-1", "card", "key-1")
    for method, of in (("card", "card payment"), ("wallet:demo", "wallet payment")):
        payment = replace(payment, method=method)
        done = told(Finished("success", "taken", payment=payment))
        assert f"{of} has been completed: Sports · Monthly · ¥15.00 · Order {payment.number} · " in done
    # A page that tells it itself needs no line below it, also when it was opened a moment ago.
    looked_at.add(payment.payment)
    assert told(Finished("expired", "not-taken", payment=payment)) == done


LOAD = OpenLoad(
    "load-1", "0" * 64, 3, "key", "", 10000, "2026-11-21T19:33:08+08:00", "6217 00** **** *** 4204"
)
WHICH = "Electronic cash · ¥100.00 · card ****\u00a04204 · 11-21 19:33"


def test_a_load_without_an_end_is_told_beside_what_else_is_open() -> None:
    looked_at: set[str] = set()
    told = telling(looked_at)
    wanted = f"It is not yet known whether the card was loaded: {WHICH}. Put the same card in, and"
    assert told(LoadsOpen((LOAD,))).startswith(wanted)
    both = told(CardWanted((OPEN_PAYMENT,)))
    assert both.startswith("It is not yet known whether a card payment")
    assert wanted in both
    assert told(CardWanted(())).startswith(wanted)
    assert "is found out by itself" in told(LoadsOpen((LOAD.explained(0, logged=False, chip=None),)))
    assert told(LoadsOpen(())) == ""
    ends: tuple[tuple[str, Money, str], ...] = (
        ("loaded", "taken", f"An earlier load has gone through: {WHICH}. The money is on the card."),
        (
            "failed",
            "not-taken",
            f"An earlier load did not take place: {WHICH}. Nothing was taken from the account.",
        ),
        ("unknown", "unknown", f"Our staff are checking an earlier load: {WHICH}. Please do not load again."),
    )
    for state, money, words in ends:
        assert told(LoadTold(LOAD, load_of("load-1", state, money, None, None))) == words
    # Of a record of before nothing is known but that there was one; and a page that tells it itself needs no line.
    old = replace(LOAD, load="load-2", amount_fen=0, time="", card_number="")
    done = told(LoadTold(old, load_of("load-2", "loaded", "taken", None, None)))
    assert "through: Electronic cash. The" in done
    looked_at.add("load-1")
    assert told(LoadTold(LOAD, load_of("load-1", "failed", "not-taken", None, None))) == done


def test_what_is_done_with_a_card_that_was_put_back_is_told() -> None:
    told = telling(set())
    number = (LOAD.card_number,)
    told(LoadsOpen((LOAD,)))
    assert told(CardAsked("asking", number)) == "We are asking with this card. Please do not take it out."
    other = told(CardAsked("other", number))
    assert other.startswith(
        "This is not the card ending 4204. It is not yet known whether the card was loaded"
    )
    assert told(CardAsked("other", (*number, "6217 00** **** *** 6101"))).startswith(
        "This is not one of the cards that we are waiting for"
    )
    assert told(CardAsked("not-readable", number)).startswith("This card cannot be read. ")
    told(CardAsked("told", number))
    open_ = told(LoadsOpen((LOAD.explained(0, logged=False, chip=None),)))
    assert open_.endswith("Please do not load again. You can take your card out.")
    told(LoadsOpen(()))
    done = told(LoadTold(LOAD, load_of("load-1", "loaded", "taken", None, None)))
    assert done.endswith("The money is on the card. You can take your card out.")
    assert told(CardAsked("gone")).endswith("The money is on the card.")


def test_a_notice_turns_a_spinner_while_a_card_is_asked() -> None:
    tv = Television()
    tell = main._recovered(tv.app, lambda payment: False)
    tell(CardAsked("asking", (LOAD.card_number,)))
    tv.app.draw()
    assert tv.stage.picture.notice_tone == "busy"
    tell(CardAsked("other", (LOAD.card_number,)))
    tell(LoadsOpen((LOAD,)))
    tv.app.draw()
    assert tv.stage.picture.notice_tone == "warning"


def test_the_card_that_is_wanted_is_told_until_it_has_come() -> None:
    tv = Television()
    tell = main._recovered(tv.app, lambda payment: False)
    tell(CardWanted((OPEN_PAYMENT,)))
    tv.app.notice("stopped", about="connection")
    tv.app.clear_notice("connection")
    tv.app.draw()
    assert "Put the same card in" in (tv.stage.picture.notice or "")
    tell(CardWanted(()))
    tv.app.draw()
    assert tv.stage.picture.notice is None


def test_while_somebody_pays_nobody_is_told_of_an_open_code_or_card() -> None:
    tv = Television()
    tell = main._recovered(tv.app, lambda payment: False)
    tell(CodesOpen((None,)))
    tv.app.draw()
    assert "wallet payment" in (tv.stage.picture.notice or "")
    tell(CardWanted((OPEN_PAYMENT,)))
    tv.app.draw()
    assert "Put the same card in" in (tv.stage.picture.notice or "")
    tv.app.push("card")
    assert tv.app.notices.seen() is None
    tv.app.pop()
    tell(CodesOpen(()))
    tell(CardWanted(()))
    assert tv.app.notices.seen() is None
