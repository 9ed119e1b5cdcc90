"""The line at the foot of the page and the INFO page's list:
what the keys do here, made from the live bindings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from stb_app.kit.screen import Binding
from stb_app.kit.stage import FootKey
from stb_app.shell.keys import ARROWS, DIGITS

_CAPS = {
    "KEY_OK": "OK",
    "KEY_INFO": "INFO",
    "KEY_LANGUAGE": "中/EN",
    "KEY_LEFT": "arrow-left",
    "KEY_RIGHT": "arrow-right",
    "KEY_UP": "arrow-up",
    "KEY_DOWN": "arrow-down",
    "KEY_F5": "F5",
}


def N_(msgid: str) -> str:
    """Marks words that are translated later, when the language is known."""
    return msgid


_WORDS = {
    "KEY_BACK": N_("Back"),
    "KEY_HOME": N_("Home"),
    "KEY_POWER": N_("Power"),
    "KEY_PAGEUP": N_("Page up"),
    "KEY_PAGEDOWN": N_("Page down"),
    "KEY_RED": N_("Red"),
    "KEY_GREEN": N_("Green"),
    "KEY_YELLOW": N_("Yellow"),
    "KEY_BLUE": N_("Blue"),
}


_ORDER = {
    "KEY_OK": 2,
    "KEY_BACK": 3,
    "KEY_INFO": 5,
    "KEY_LANGUAGE": 6,
    "KEY_HOME": 7,
    "KEY_POWER": 7,
    "KEY_BLUE": 7,
    "KEY_F5": 7,
}


def arrows(rects: Sequence[Sequence[float]]) -> tuple[str, ...]:
    """The arrows that lead from one of these targets to another: across, down, or both.

    Args:
        rects: x, y, width and height of each.

    What has scrolled out of a list may lie behind something above the list: such a pair does not stand side by side.

    >>> arrows(((0, 0, 9, 9), (20, 0, 9, 9))), arrows(((0, 0, 9, 9), (0, 20, 9, 9)))
    (('KEY_LEFT', 'KEY_RIGHT'), ('KEY_UP', 'KEY_DOWN'))
    >>> arrows(((20, 0, 9, 9), (0, 4, 29, 9), (0, 20, 29, 9)))
    ('KEY_UP', 'KEY_DOWN')
    """
    spans = sorted((rect[1], rect[1] + rect[3]) for rect in rects)
    if not spans or spans[-1][0] < min(bottom for _, bottom in spans):
        return ("KEY_LEFT", "KEY_RIGHT")
    beside = any(_beside(one, other) for one, other in combinations(rects, 2))
    return ARROWS if beside else ("KEY_UP", "KEY_DOWN")


def _beside(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether an arrow leads across from one to the other: at the same height, and nothing of one above the other."""
    same_height = one[1] < other[1] + other[3] and other[1] < one[1] + one[3]
    apart = one[0] + one[2] <= other[0] or other[0] + other[2] <= one[0]
    return same_height and apart


def cap(keys: Sequence[str], t: Callable[[str], str]) -> str:
    """What is printed on the key, or the name of the kit's drawing for it.

    >>> cap(("KEY_LEFT", "KEY_RIGHT"), str), cap(("KEY_0", "KEY_1"), str), cap(("KEY_OK", "KEY_BACK"), str)
    ('arrows-lr', '0-9', 'OK / Back')
    """
    wanted = set(keys)
    if wanted == set(ARROWS):
        return "arrows"
    if wanted == {"KEY_LEFT", "KEY_RIGHT"}:
        return "arrows-lr"
    if wanted == {"KEY_UP", "KEY_DOWN"}:
        return "arrows-ud"
    if len(wanted) > 1 and wanted <= set(DIGITS):
        return "0-9"
    return " / ".join(
        t(_WORDS[key]) if key in _WORDS else _CAPS.get(key, key.removeprefix("KEY_")) for key in keys
    )


def live(
    own: Sequence[Binding],
    t: Callable[[str], str],
    *,
    language: str,
    choices: int,
    ways: Sequence[str] = ARROWS,
    focused: bool,
    scrolls: bool,
    at_home: bool,
    holds: bool,
    modal: bool,
    tray: bool,
) -> tuple[Binding, ...]:
    """The screen's bindings, and after them what the television itself does with the keys that they leave.

    Args:
        choices: number of enabled targets; with fewer than two there is nothing to move between.
        ways: the arrows that lead from one of them to another.
        focused: OK would press something.
        holds: a payment holds the television: Home and Power ask what Back asks.
        scrolls: the focus is on a text that up and down scroll; there is nothing in it to press.
        tray: there is a simulated slot, so that BLUE opens the card tray.
    """
    taken = {key for binding in own for key in binding.keys}
    mine = []
    if not taken & set(ARROWS):
        if scrolls:
            mine.append(Binding(("KEY_UP", "KEY_DOWN"), t("Scroll")))
            across = tuple(key for key in ways if key in ("KEY_LEFT", "KEY_RIGHT"))
            if choices > 1 and across:
                mine.append(Binding(across, t("Move")))
        elif choices > 1:
            mine.append(Binding(tuple(ways), t("Move")))
    if focused and not scrolls:
        mine.append(Binding(("KEY_OK",), t("Select")))
    mine.append(Binding(("KEY_BACK",), t("Exit") if at_home else t("Previous page")))
    mine.append(Binding(("KEY_INFO",), t("All keys"), footer=not modal))
    mine.append(Binding(("KEY_LANGUAGE",), "English" if language == "zh" else "中文", footer=not modal))
    home, off = t("To the home page"), t("Exit")
    if holds:
        home = off = next(binding.label for binding in (*own, *mine) if "KEY_BACK" in binding.keys)
    mine.append(Binding(("KEY_HOME",), home, footer=False))
    mine.append(Binding(("KEY_POWER",), off, footer=False))
    if tray:
        mine.append(Binding(("KEY_BLUE",), t("Test cards"), footer=not modal))
        mine.append(Binding(("KEY_F5",), t("Put the test card in or pull it out"), footer=False))
    live = (*own, *(binding for binding in mine if not taken & set(binding.keys)))
    return tuple(sorted(live, key=lambda binding: _rank(binding.keys[0])))


def _rank(key: str) -> int:
    """The footer's order, the same on every page: arrows, digits, OK, Back, what is the page's own, INFO, language, the rest."""
    if key in ARROWS:
        return 0
    if key in DIGITS:
        return 1
    return _ORDER.get(key, 4)


def foot(bindings: Sequence[Binding], t: Callable[[str], str]) -> tuple[FootKey, ...]:
    """The entries that the footer shows."""
    return tuple(FootKey(cap(binding.keys, t), binding.label) for binding in bindings if binding.footer)
