"""Key maps: those we bring, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets import path as asset
from stb_app.shell.keys import ARROWS, COLOURS, DIGITS, KEYS
from stb_app.shell.remote import KeymapError, Keymaps, read_keymap


def test_the_keyboard_reaches_every_key_a_subscriber_needs() -> None:
    keyboard = read_keymap(asset("keymaps", "keyboard.toml"))
    needed = {*ARROWS, *DIGITS, *COLOURS, "KEY_OK", "KEY_BACK", "KEY_INFO", "KEY_LANGUAGE", "KEY_HOME"}
    assert needed <= set(keyboard.values())


def test_every_back_of_chinese_boxes_is_back() -> None:
    keys = Keymaps([read_keymap(asset("keymaps", "epg-generic.toml"))])
    assert {keys.name(code) for code in (8, 22, 27, 340, 461)} == {"KEY_BACK"}


def test_the_map_added_last_decides_and_codes_are_tried_in_order() -> None:
    keys = Keymaps([{"8": "KEY_BACK", "a": "KEY_OK"}, {"8": "KEY_8"}])
    assert keys.name(8) == "KEY_8"
    assert keys.name("unknown", "A") == "KEY_OK"
    assert keys.name("unknown") is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("keys = 1", "one table"),
        ("[keys]\na = 'KEY_NONE'", "KEY_NONE"),
        ("[keys", "map.toml"),
        ("[keys]\n[more]", "one table"),
    ],
)
def test_an_impossible_map_is_refused_in_words(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(text)
    with pytest.raises(KeymapError, match=word):
        read_keymap(file)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_map_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(b"[keys]\n" + content)
    try:
        names = read_keymap(file).values()
    except KeymapError:
        return
    assert set(names) <= set(KEYS)
