"""The command line: what is understood, and what is refused in words."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stb_app import cli, main

SCREEN = {"DISPLAY": ":0"}


def test_the_demo_has_an_empty_simulated_slot_and_no_remote() -> None:
    options = cli.parse(["run", "--demo"], SCREEN)
    assert (options.reader, options.tsp, options.web_remote, options.headless) == ("sim:", None, None, False)
    assert (options.size, options.box, options.data) == ((1920, 1080), "85312047", None)


def test_a_real_tsp_has_a_real_reader() -> None:
    options = cli.parse(["run", "--tsp", "http://127.0.0.1:8780/"], SCREEN)
    assert options.tsp == "http://127.0.0.1:8780"
    assert (options.demo, options.reader) == (False, "pcsc:")


def test_without_a_display_it_draws_off_screen_and_opens_the_remote() -> None:
    options = cli.parse(["run", "--demo"], {})
    assert (options.headless, options.no_display, options.web_remote) == (
        True,
        "There is no display",
        ("127.0.0.1", 8790),
    )
    options = cli.parse(["run", "--demo", "--headless"], SCREEN)
    assert (options.headless, options.no_display, options.web_remote) == (True, "", ("127.0.0.1", 8790))


def test_everything_can_be_said() -> None:
    options = cli.parse(
        [
            "run",
            "--demo",
            "--data",
            "d",
            "--lang",
            "en",
            "--size",
            "1280x720",
            "--fullscreen",
            "--web-remote",
            "[::1]:0",
            "--reader",
            "sim:good",
            "--box",
            "700000",
        ],
        SCREEN,
    )
    assert options.data == Path("d").absolute()
    assert (options.lang, options.size, options.fullscreen) == ("en", (1280, 720), True)
    assert (options.web_remote, options.reader, options.box) == (("::1", 0), "sim:good", "700000")


def test_the_environment_speaks_where_the_command_line_is_silent() -> None:
    given = {
        **SCREEN,
        "STB_APP_DEMO": "1",
        "STB_APP_LANG": "en",
        "STB_APP_SIZE": "1280x720",
        "STB_APP_WEB_REMOTE": "127.0.0.1:1",
    }
    options = cli.parse(["run", "--lang", "zh"], given)
    assert (options.demo, options.lang, options.size, options.web_remote) == (
        True,
        "zh",
        (1280, 720),
        ("127.0.0.1", 1),
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("run", "--demo"),
        ("", "run"),
        ("fly", "run"),
        ("run --demo --tsp http://x", "leave out"),
        ("run --tsp x", "http://127.0.0.1:8780"),
        ("run --tsp http://[::1", "http://127.0.0.1:8780"),
        ("run --tsp http://x:99999", "http://127.0.0.1:8780"),
        ("run --tsp http://x/?y", "http://127.0.0.1:8780"),
        ("run --demo --lang fr", "zh or en"),
        ("run --demo --size big", "1280x720"),
        ("run --demo --size 1x1", "320"),
        ("run --demo --size ²00x300", "1280x720"),
        ("run --demo --web-remote 8790", "127.0.0.1:8790"),
        ("run --demo --web-remote h:99999", "127.0.0.1:8790"),
        ("run --demo --reader usb:", "pcsc:"),
        ("run --demo --reader sim:golden", "good"),
        ("run --demo --reader sim:golden", "FILE.toml"),
        ("run --demo --reader sim:nowhere.toml", "nowhere.toml cannot be read"),
        ("run --demo --box x1", "digits"),
        ("run --demo --warp", "--warp"),
        ("run --tsp https://x --ca nowhere.pem", "no such file"),
        (f"run --tsp https://x --ca {__file__}", "PEM"),
        ("enrol --tsp https://x --smart-card= --activation-code 246810", "16 to 20 digits"),
        ("enrol --tsp https://x --smart-card 831 --activation-code 246810", "16 to 20 digits"),
        ("enrol --tsp https://x --smart-card 8310220477550019 --activation-code 246", "4 to 16 characters"),
        ("run --demo --box 123", "6 to 16 digits"),
        ("rotate-key --tsp https://x --lang fr", "zh or en"),
    ],
)
def test_wrong_words_are_refused_with_better_ones(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.parse(arguments.split(), SCREEN)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_wrong_environment_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["run"], {**SCREEN, "STB_APP_DEMO": "yes"})
    assert "STB_APP_DEMO" in capsys.readouterr().err


def test_help_tells_of_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.parse(["run", "--help"], {})
    assert stopped.value.code == 0
    assert "STB_APP_WEB_REMOTE" in capsys.readouterr().out


@pytest.mark.parametrize("module", [cli, main])
def test_each_module_that_could_be_run_is_the_command(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["stb-app", "run", "--demo", "--lang", "fr"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(module.__file__), run_name="__main__")
    assert end.value.code == 2
    assert "--lang 'fr': zh or en" in capsys.readouterr().err
