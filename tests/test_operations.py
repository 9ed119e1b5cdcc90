"""docs/operations.md says what there is: every setting with its default, every event, every metric."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from server_stub import cli
from server_stub.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
EVENT = re.compile(r'\blog\.(?:info|warning|error|exception)\(\s*"([^"]+)"')


def test_every_setting_stands_there_with_its_default() -> None:
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    for one in fields(Settings):
        default = getattr(Settings(), one.name)
        assert rows.pop(one.name.upper()) == (f"`{default}`" if default else "empty"), one.name
    assert rows == {}


def test_every_setting_has_words_of_its_own() -> None:
    said = re.findall(rf"^\| `{PREFIX}\w+` \| .*? \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(set(said)) == len(said) == len(fields(Settings))


def test_every_command_of_the_server_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = " ".join(re.findall(r"^\| `stb-server (.*?) \|", readme, re.MULTILINE))
    commands = next(action.choices for action in cli.parser()._actions if action.dest == "command")
    assert sorted(re.findall(r"[a-z-]+", rows)) == sorted(commands)
    assert {"docs/ledger.md", "docs/operations.md"} <= set(re.findall(r"\((docs/[a-z-]+\.md)\)", readme))


def test_every_event_of_the_server_stands_there() -> None:
    events = {
        event
        for path in (ROOT / "server_stub").rglob("*.py")
        for event in EVENT.findall(path.read_text("utf-8"))
    }
    assert {"delivered", "psam-locked", "stop-forced"} <= events
    assert {event for event in events if f"`{event}`" not in PAGE} == set()


def test_every_metric_stands_there() -> None:
    source = "".join(
        (ROOT / "server_stub" / path).read_text("utf-8") for path in ("metrics.py", "foundation/measures.py")
    )
    names = set(re.findall(r'"(stb_[a-z_]+)"', source))
    assert len(names) > 10
    missing = {name for name in names if name not in PAGE and name.replace("stb_psam_pool", "") not in PAGE}
    assert missing == set()
