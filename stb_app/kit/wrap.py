"""Where a line of text may end: Chinese between characters, Latin at spaces, punctuation where it belongs.

The rules are the common core of UAX #14 and of the Requirements for Chinese Text Layout (W3C clreq, 3.1.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

NBSP = "\N{NO-BREAK SPACE}"
NO_START = frozenset(NBSP + "，。！？、：；）》」』】〉”’…—·・％,.!?:;)]}%°℃")
"""No line begins with one of these."""
NO_END = frozenset(NBSP + "（《「『【〈“‘([{¥￥$")
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


WHOLE = re.compile(
    "支付|扣款|解锁|用时|“[^”]{1,12}”"
    r"|(?:Order |订单 ?)?[0-9A-Z]{4} [0-9A-Z]{4}\b"
    r"|\d\d-\d\d \d\d:\d\d"
)
"""What a line never ends in: the words about money that must be read at a glance, what a time is, a service's name in quotes,
and what tells one payment from another: the number of its order, its time."""


def pieces(text: str) -> list[str]:
    """``text`` (one paragraph) cut into the smallest parts that stay together; spaces end the part before them.

    >>> pieces("打开（手机）wallet now。")
    ['打', '开', '（手', '机）', 'wallet ', 'now。']
    >>> pieces("请支付“高清影院”。")
    ['请', '支付', '“高清影院”。']
    >>> pieces("起 · 用时\u00a01.7\u00a0ms")
    ['起 · ', '用时\xa01.7\xa0ms']
    """
    inside = {at for whole in WHOLE.finditer(text) for at in range(whole.start() + 1, whole.end())}
    found: list[str] = []
    start = 0
    for at in range(1, len(text)):
        before, after = text[at - 1], text[at]
        if after == " " or at in inside:
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


PAUSES = frozenset("，。！？、：；,.!?:;")
"""After one of these a balanced text likes to be broken."""
COMPOUNDS = (
    "一种", "不上", "业务", "付款", "余额", "使用", "出来", "包月", "取消", "可用", "名称", "完成", "密码", "平台", "开通", "已经",
    "手机", "扫码", "找不到", "拔卡", "收费", "有效", "服务", "机顶盒", "查清", "正在", "没有", "热线", "电视", "确认", "结果",
    "网络", "订单", "订购", "记录", "读卡器", "费用", "超时", "过期", "连接", "选择", "重新", "金额", "银行", "锁住", "需要", "同时", "还没有",
)  # fmt: skip
"""Words of this trade; Chinese does not space its words, and a short text that is cut inside one reads badly."""
_WORDS = re.compile("|".join(sorted(COMPOUNDS, key=len, reverse=True)))


def balance(parts: Sequence[tuple[str, int, int]], width: int) -> list[list[int]]:
    """Like ``fill``, in as many lines, but about equally long ones: for titles and short texts.

    A break after punctuation is preferred, one inside a word of ``COMPOUNDS`` is avoided.
    """
    count = len(fill(parts, width))
    if count < 2:
        return fill(parts, width)
    cuts = _cut_costs(parts)
    # best[end] after a number of lines: what they cost, and where the last of them begins.
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for _ in range(count):
        ends: dict[int, tuple[float, int]] = {}
        for start, (cost, _) in best[-1].items():
            used = 0
            for end in range(start + 1, len(parts) + 1):
                bare, full = parts[end - 1][1:]
                if used + bare > width and end > start + 1:
                    break
                own = cost + (1 - (used + bare) / width) ** 2 + (cuts[end] if end < len(parts) else 0.0)
                if end not in ends or own <= ends[end][0]:
                    ends[end] = (own, start)
                used += full
        best.append(ends)
    lines: list[list[int]] = []
    end = len(parts)
    for line in range(count, 0, -1):
        start = best[line][end][1]
        lines.append(list(range(start, end)))
        end = start
    return lines[::-1]


def _cut_costs(parts: Sequence[tuple[str, int, int]]) -> list[float]:
    """What a break before each part costs: more than nothing inside a word, less after a pause."""
    text = "".join(part[0] for part in parts)
    inside = {at for word in _WORDS.finditer(text) for at in range(word.start() + 1, word.end())}
    costs = [0.0]
    at = 0
    for part, _, _ in parts[:-1]:
        at += len(part)
        pause = part.rstrip(" ")[-1:] in PAUSES
        costs.append(-0.2 if pause else 1.0 if at in inside else 0.0)
    return costs


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
