"""Where a line of text may end: Chinese between characters, Latin at spaces, punctuation where it belongs.

The rules are the common core of UAX #14 and of the Requirements for Chinese Text Layout (W3C clreq, 3.1.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

NO_START = frozenset("，。！？、：；）》」』】〉”’…—·・％,.!?:;)]}%°℃")
"""No line begins with one of these."""
NO_END = frozenset("（《「『【〈“‘([{¥￥$")
"""No line ends with one of these."""


def is_cjk(char: str) -> bool:
    """Whether a line may end on either side of ``char`` as far as its script is concerned."""
    code = ord(char)
    return 0x2E80 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0xFF00 <= code <= 0xFF60 or code >= 0x20000


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between two neighbouring characters, neither of which is a space."""
    if after in NO_START or before in NO_END:
        return False
    return is_cjk(before) or is_cjk(after)


def pieces(text: str) -> list[str]:
    """``text`` (one paragraph) cut into the smallest parts that stay together; spaces end the part before them.

    >>> pieces("打开（手机）wallet now。")
    ['打', '开', '（手', '机）', 'wallet ', 'now。']
    """
    found: list[str] = []
    start = 0
    for at in range(1, len(text)):
        before, after = text[at - 1], text[at]
        if after == " ":
            continue
        if (before == " " and after not in NO_START) or (before != " " and may_break(before, after)):
            found.append(text[start:at])
            start = at
    if start < len(text):
        found.append(text[start:])
    return found


def fill(parts: Sequence[tuple[str, int, int]], width: int) -> list[list[int]]:
    """Fills lines greedily.

    ``parts``: (text, width without trailing spaces, width with them) of each part; ``width``: of a line.
    Returns the indices of the parts on each line; a part wider than the line has one to itself.
    """
    lines: list[list[int]] = []
    line: list[int] = []
    used = 0
    for index, (_, bare, full) in enumerate(parts):
        if line and used + bare > width:
            lines.append(line)
            line, used = [], 0
        line.append(index)
        used += full
    if line:
        lines.append(line)
    return lines


def split_long(text: str, width: int, measure: Callable[[str], int]) -> list[str]:
    """A part that is wider than the line, cut into the fewest that are not (at least one character each).

    No cut leaves punctuation that may not begin a line at the beginning of one, unless that is all that fits.
    """
    cut: list[str] = []
    rest = text
    while len(rest) > 1 and measure(rest.rstrip(" ")) > width:
        low, high = 1, len(rest) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if measure(rest[:middle]) <= width:
                low = middle
            else:
                high = middle - 1
        at = low
        while at > 1 and (rest[at] in NO_START or rest[at - 1] in NO_END or rest[at] == " "):
            at -= 1
        cut.append(rest[:at])
        rest = rest[at:]
    cut.append(rest)
    return cut
