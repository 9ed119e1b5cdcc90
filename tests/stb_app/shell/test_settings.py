"""What the subscriber has chosen survives, whatever has happened to the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stb_app.shell.settings import Settings, SettingsFile, checked


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert SettingsFile(tmp_path / "none.json").load() == (Settings(), None)


def test_one_bad_value_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"language": "en", "text_scale": 110, "unknown": 1}))
    settings, problem = SettingsFile(path).load()
    assert settings == Settings(language="en")
    assert "text_scale" in str(problem)


@pytest.mark.parametrize(
    "change",
    [
        {"margin": True},
        {"margin": 11},
        {"sound": 1},
        {"language": "fr"},
        {"text_scale": "100"},
        {"nonsense": 1},
    ],
)
def test_what_is_not_allowed_is_refused_in_words(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        checked(Settings(), change)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["language", "margin", "sound", "x"]), inner)
        ),
    )
)
def test_any_json_loads(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    settings, _ = SettingsFile(path).load()
    assert checked(Settings(), {"margin": settings.margin, "language": settings.language})


@given(st.binary(max_size=40))
def test_any_bytes_load(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(content)
    assert isinstance(SettingsFile(path).load()[0], Settings)
