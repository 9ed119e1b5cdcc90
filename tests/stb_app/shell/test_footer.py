"""The footer: what it says of the arrows and OK, by what has the focus."""

from __future__ import annotations

import pytest

from stb_app.shell.footer import live
from stb_app.shell.keys import ARROWS


@pytest.mark.parametrize(
    ("choices", "scrolls", "first", "has_ok"),
    [
        (1, False, ("KEY_OK",), True),
        (2, False, ARROWS, True),
        (2, True, ("KEY_UP", "KEY_DOWN"), False),
        (1, True, ("KEY_UP", "KEY_DOWN"), False),
    ],
)
def test_arrows_and_ok(choices: int, scrolls: bool, first: tuple[str, ...], has_ok: bool) -> None:
    shown = live(
        (), str, language="en", choices=choices, focused=True, scrolls=scrolls, at_home=False, holds=False,
        modal=False, tray=False,
    )  # fmt: skip
    assert tuple(shown[0].keys) == tuple(first)
    assert any("KEY_OK" in binding.keys for binding in shown) is has_ok
