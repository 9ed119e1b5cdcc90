"""Six pages out of the kit's nodes, as the screens will be: what tests and bench draw, and what screens can start from.

python -m tests.stb_app.kit.samples FOLDER [HEIGHT [TEXT_SCALE]]     draws them as PNG
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from stb_app.kit.chrome import FootKey, TopBar
from stb_app.kit.nodes import (
    Art,
    Badge,
    Bars,
    CardSlot,
    Column,
    Divider,
    Facts,
    Fit,
    Grid,
    Group,
    Grow,
    Icon,
    Node,
    Panel,
    Pill,
    PinCells,
    Qr,
    Ring,
    Row,
    Scroll,
    Sign,
    Space,
    Span,
    Spinner,
    Steps,
    Target,
    Text,
)
from stb_app.kit.stage import Layer, Picture

Language = str
NAMES = ("home", "service", "confirm", "card", "qr", "result")


@dataclass(frozen=True)
class Say:
    """Both languages side by side; a stand-in for the catalogues."""

    language: Language

    def __call__(self, chinese: str, english: str) -> str:
        return chinese if self.language == "zh" else english


def modules(count: int = 33, seed: int = 4) -> tuple[tuple[bool, ...], ...]:
    """Something that looks like a QR code of version 4."""
    dice = random.Random(seed)
    grid = [[dice.random() < 0.5 for _ in range(count)] for _ in range(count)]
    for top, left in ((0, 0), (0, count - 7), (count - 7, 0)):
        for y in range(-1, 8):
            for x in range(-1, 8):
                if 0 <= top + y < count and 0 <= left + x < count:
                    ring = max(abs(y - 3), abs(x - 3))
                    grid[top + y][left + x] = ring in (0, 1, 3)
    return tuple(tuple(row) for row in grid)


def _tile(key: str, icon: str, plate: str, title: str, under: str) -> Target:
    words = Column((Text(title, "row-bold"), Text(under, "caption", "secondary")), gap=2)
    body = Row((Icon(icon, 80, plate=plate), Grow(words)), gap=30)  # type: ignore[arg-type]
    return Target(key, body, "card", grow=1)


def _small(key: str, icon: str, color: str, title: str, under: str, enabled: bool = True) -> Target:
    words = Column((Text(title, "row-bold"), Text(under, "caption", "secondary")), gap=0)
    return Target(key, Row((Icon(icon, 48, color), Grow(words)), gap=26), "card", enabled)  # type: ignore[arg-type]


def home(say: Say) -> Node:
    """The home page: what I have on the left, where to go on the right, what else there is below."""
    hero = Panel(
        Column(
            (
                Text(say("我的服务", "My service"), "body", "text"),
                Text(say("高清影视包", "HD Movies"), "title"),
                Text(
                    (
                        Span(say("有效至 2026-12-01 · 还有 ", "Until 2026-12-01 · ")),
                        Span(say("10 天", "10 days left"), "money", True),
                    ),
                    "row",
                ),
                Space(grow=1),
                Fit(
                    (
                        Column(
                            (
                                Text(
                                    (
                                        Span(say("近六个月支出 · 本月 ", "Last six months · this month ")),
                                        Span("¥68.00", "money", True),
                                    ),
                                    "small",
                                ),
                                Bars(
                                    (2000, 2000, 5200, 2000, 6400, 6800),
                                    tuple(
                                        say(f"{m}月", n) for m, n in zip(range(6, 12), _MONTHS, strict=True)
                                    ),
                                    84,
                                ),
                            ),
                            gap=18,
                        ),
                        Space(),
                    )
                ),
                Target("renew", Text(say("续订", "Renew"), "row-bold"), "primary", width=320),
            ),
            gap=16,
        ),
        "hero",
        pad=46,
        radius=28,
        grow=2,
    )
    tiles = Group(
        "main",
        Column(
            (
                _tile(
                    "services",
                    "movies",
                    "teal",
                    say("业务订购", "Services"),
                    say("12 项可订", "12 to choose from"),
                ),
                _tile(
                    "records",
                    "records",
                    "blue",
                    say("缴费记录", "Payments"),
                    say("最近 11-01 ¥68.00", "Last: Nov 1, ¥68.00"),
                ),
                _tile(
                    "card-inquiry",
                    "card",
                    "amber",
                    say("银行卡查询", "Card balance"),
                    say("余额与最近十笔", "And last ten payments"),
                ),
                _tile(
                    "settings",
                    "settings",
                    "violet",
                    say("设置", "Settings"),
                    say("语言 · 字号 · 声音", "Language, text, sound"),
                ),
            ),
            gap=12,
        ),
        grow=1,
    )
    small = Group(
        "more",
        Grid(
            (
                _small(
                    "sports",
                    "sports",
                    "accent",
                    say("体育频道", "Sports"),
                    say("¥15/月 起", "from ¥15 a month"),
                ),
                _small(
                    "kids", "kids", "money", say("少儿动画", "Kids"), say("¥12/月 起", "from ¥12 a month")
                ),
                _small(
                    "power",
                    "bolt",
                    "faint",
                    say("电费", "Electricity"),
                    say("敬请期待", "Coming soon"),
                    False,
                ),
                _small(
                    "phone",
                    "phone",
                    "faint",
                    say("话费充值", "Phone bill"),
                    say("敬请期待", "Coming soon"),
                    False,
                ),
            ),
            4,
        ),
    )
    page = Column((Row((hero, tiles), gap=36, align="stretch", grow=1), small), gap=24)
    return Fit((page, Scroll("page", Column((Row((hero, tiles), gap=36, align="stretch"), small), gap=24))))


_MONTHS = ("Jun", "Jul", "Aug", "Sep", "Oct", "Nov")


def _term(key: str, name: str, price: str, until: str, saving: str | None = None) -> Target:
    head: list[Node] = [Grow(Text(name, "row-bold"))]
    if saving:
        head.append(Pill(saving, "money"))
    words = Column(
        (Row(tuple(head)), Text(price, "title", "money"), Text(until, "caption", "secondary")), gap=2
    )
    return Target(key, words, "card")


def service(say: Say) -> Node:
    """A service: what it is and what I had of it on the left, terms and prices on the right."""
    history = (
        (
            say("2026-03-01 至 2026-05-31 · 季", "2026-03-01 to 2026-05-31"),
            say("¥42.00 已到期", "¥42.00 expired"),
        ),
        (say("2025-11-12 · 按次", "2025-11-12, one day"), say("¥5.00 已使用", "¥5.00 used")),
    )
    about = Column(
        (
            Art("sports", say("体育频道", "Sports"), 300),
            Text(
                say(
                    "六个高清体育频道，足球、篮球、网球全年赛事直播，七天回看。订购后立即开通，本机顶盒即可收看。",
                    "Six sports channels in HD: football, basketball and tennis live all year, seven days of catch-up. "
                    "Works on this box at once.",
                )
            ),
            Text(say("您的订购记录", "What you had"), "small", "secondary"),
            Column(
                tuple(
                    Row((Grow(Text(a, "small")), Text(b, "small", "secondary", wrap=False)))
                    for a, b in history
                ),
                gap=10,
            ),
        ),
        gap=26,
    )
    terms = Group(
        "terms",
        Grid(
            (
                _term("term:day", say("按次", "One day"), "¥5.00", say("24 小时", "24 hours")),
                _term("term:month", say("包月", "Month"), "¥15.00", say("至 2026-12-21", "until 2026-12-21")),
                _term(
                    "term:quarter",
                    say("包季", "Quarter"),
                    "¥42.00",
                    say("至 2027-02-21", "until 2027-02-21"),
                    say("省 6%", "-6%"),
                ),
                _term(
                    "term:year",
                    say("包年", "Year"),
                    "¥150.00",
                    say("至 2027-11-21", "until 2027-11-21"),
                    say("省 16%", "-16%"),
                ),
            ),
            2,
            28,
        ),
    )
    note = Panel(
        Text(
            say("到期不自动续费。服务热线 96xxx。", "Does not renew by itself. Hotline 96xxx."),
            "small",
            "secondary",
        ),
        pad=32,
    )
    order = Target("order", Text(say("订购 · 包月 ¥15.00", "Order · month ¥15.00"), "row-bold"), "primary")
    choice = Column((Text(say("选择期限", "Choose a term"), "body", "secondary"), terms, note, order), gap=30)
    wide = Row((Panel(about, "none", pad=0, width=760), Grow(choice)), gap=80, align="start")
    tall = Scroll("page", Column((about, choice), gap=40))
    side = Scroll("page", wide)
    return Fit((wide, side, tall))


def confirm(say: Say) -> Node:
    """The second confirmation: amount and method restated, the focus on Cancel."""
    facts = Facts(
        (
            (say("业务", "Service"), say("体育频道 · 包月", "Sports, one month")),
            (say("有效期", "Valid"), say("2026-11-21 至 2026-12-21", "2026-11-21 to 2026-12-21")),
            (say("支付方式", "Pay with"), say("银联 IC 卡", "UnionPay card")),
            (say("自动续费", "Renews by itself"), say("否", "No")),
            (say("订单号", "Order"), "…4C7F 20A1"),
        )
    )
    buttons = Row(
        (
            Target("cancel", Text(say("取消", "Cancel"), "row-bold"), grow=4),
            Target("confirm", Text(say("确认支付 ¥15.00", "Pay ¥15.00"), "row-bold"), "primary", grow=5),
        ),
        gap=28,
    )
    head = (Text(say("请再次确认", "Please confirm"), "body", "secondary"), Text("¥15.00", "amount", "money"))
    body = Panel(
        Column((*head, Scroll("facts", facts, grow=0), Space(8, grow=1), buttons), gap=20),
        pad=64,
        radius=28,
        width=1200,
        grow=1,
    )
    return Column((body,), align="center")


def card(say: Say) -> Node:
    """Paying by card: the drawing of what to do on the left, where we are on the right."""
    talk = Column(
        (
            Steps((say("插卡", "Insert"), say("密码", "PIN"), say("扣款", "Pay"), say("取卡", "Remove")), 1),
            Text(say("请输入卡密码", "Enter your PIN"), "heading"),
            Text(say("用遥控器数字键输入，按 OK 确认", "With the number keys, then OK"), "body", "secondary"),
            PinCells(3),
            Row(
                (
                    Text((Span(say("应付 ", "To pay ")),), "body", "secondary", wrap=False),
                    Text("¥15.00", "heading", "money", wrap=False),
                    Space(16),
                    Text(say("卡余额 ¥236.40", "On the card ¥236.40"), "body", "secondary"),
                ),
                gap=8,
            ),
            Text(
                say(
                    "密码在卡内核对，不会显示、记录或传出",
                    "The card itself checks the PIN; it is never shown or kept",
                ),
                "small",
                "faint",
            ),
        ),
        gap=12,
        justify="center",
        grow=1,
    )
    drawing = Column(
        (CardSlot("insert", "6217 **** 2047", say("银联 IC 卡", "UnionPay card")),),
        justify="center",
        align="center",
    )
    return Row((Space(40), drawing, talk), gap=60, align="stretch")


def qr(say: Say) -> Node:
    """Paying by phone: the code left, amount, three steps and the time that is left on the right."""
    steps = tuple(
        Row(
            (
                Badge(str(number)),
                Grow(Text(words)),
            ),
            gap=26,
        )
        for number, words in enumerate(
            (
                say("打开手机钱包", "Open the wallet on your phone"),
                say("扫左边的二维码", "Scan the code on the left"),
                say("在手机上确认付款", "Confirm on the phone"),
            ),
            1,
        )
    )
    waiting = Row(
        (
            Ring(125 / 180, 112),
            Column(
                (
                    Text("2:05", "title", wrap=False),
                    Text(say("等待付款", "Waiting for payment"), "small", "secondary"),
                ),
                gap=0,
                grow=1,
            ),
        ),
        gap=34,
    )
    amount = (Text(say("应付", "To pay"), "body", "secondary"), Text("¥15.00", "amount", "money"))
    order = Text(say("体育频道 · 包月 · 订单 …20A1", "Sports, one month · order …20A1"))
    roomy = Column((*amount, order, Space(12), *steps, Space(12), waiting), gap=18, justify="center", grow=1)
    tight = Column((*amount, order, *steps, waiting), gap=4, justify="center", grow=1)
    talk = Grow(Fit((roomy, tight)))
    code = Column(
        (Target("enlarge", Qr(modules(), 14), "plain", text="QR"),), justify="center", align="center"
    )
    return Row((Space(16), code, talk), gap=110, align="stretch")


def result(say: Say) -> Node:
    """The result: a sign that can be read from the kitchen, what was paid, one focused action."""
    facts = Panel(
        Facts(
            (
                (say("实付", "Paid"), Text((Span("¥15.00", "money", True),), "body")),
                (say("卡号", "Card"), "6217 00** **** 2047"),
                (say("付前余额", "Before"), "¥236.40"),
                (say("付后余额", "After"), "¥221.40"),
                (say("时间", "Time"), "11-21 19:33:08"),
                (say("订单号", "Order"), "…4C7F 20A1"),
            ),
            columns=2,
            values_end=True,
        ),
        pad=44,
        width=1240,
    )
    words = (
        Text(say("支付成功，服务已开通", "Paid. Your service is on"), "title", align="center"),
        Text(
            (Span(say("体育频道 · 有效至 ", "Sports · valid until ")), Span("2026-12-21", "text")),
            "row",
            "secondary",
            "center",
        ),
    )
    words_left = tuple(replace(text, align="start") for text in words)
    buttons = Row(
        (
            Target("done", Text(say("完成 (8)", "Done (8)"), "row-bold"), "primary", width=360),
            Target("record", Text(say("查看记录", "See payment"), "row-bold"), width=360),
        ),
        gap=28,
        justify="center",
    )
    large = Column(
        (Sign("success", 148), *words, Space(2), facts, Space(grow=1), buttons), gap=16, align="center"
    )
    small = Column(
        (
            Row((Sign("success", 100), Column(words_left, gap=4, grow=1)), gap=28),
            Scroll("facts", facts, grow=1),
            buttons,
        ),
        gap=20,
    )
    return Fit((large, small))


def records(say: Say) -> Node:
    """A long list."""
    rows = tuple(
        Target(
            f"record:{number}",
            Row(
                (
                    Icon("receipt", 44, "secondary"),
                    Grow(Text(say("体育频道 · 包月", "Sports, one month"), "row")),
                    Text(f"2026-{1 + number % 12:02d}-01", "small", "secondary", wrap=False),
                    Text(f"¥{15 + number}.00", "row-bold", "money", wrap=False),
                ),
                gap=28,
            ),
            "row",
        )
        for number in range(24)
    )
    return Column(
        (Text(say("缴费记录", "Payments"), "heading"), Divider(), Scroll("list", Column(rows, gap=18))),
        gap=20,
    )


def question(say: Say) -> Node:
    """A dialog."""
    return Column(
        (
            Row(
                (Sign("question", 80), Grow(Text(say("取消这次支付？", "Cancel this payment?"), "heading"))),
                gap=24,
            ),
            Text(say("还没有扣款。", "Nothing has been taken yet."), "body", "secondary"),
            Row(
                (Spinner(48), Text(say("正在等读卡器", "Waiting for the reader"), "small", "secondary")),
                gap=20,
            ),
            Row(
                (
                    Target("keep", Text(say("继续支付", "Keep paying"), "row-bold"), grow=1),
                    Target("stop", Text(say("取消支付", "Cancel payment"), "row-bold"), "danger", grow=1),
                ),
                gap=28,
            ),
        ),
        gap=28,
    )


_PAGES = {
    "home": (home, "renew"),
    "service": (service, "term:month"),
    "confirm": (confirm, "cancel"),
    "card": (card, None),
    "qr": (qr, None),
    "result": (result, "done"),
    "records": (records, "record:0"),
}


def picture(name: str, language: Language = "zh", focus: str | None = None, dialog: bool = False) -> Picture:
    """One of the pages with all that stands around it."""
    say = Say(language)
    make, default = _PAGES[name]
    crumbs = () if name == "home" else (say("体育频道", "Sports"), say("确认支付", "Confirm"))
    top = TopBar(
        say("电视服务厅", "TV Services"),
        crumbs,
        say("测试 TEST", "TEST"),
        say("张女士 · 8531 2047", "Ms Zhang · 8531 2047"),
        "19:32",
    )
    foot = (
        FootKey("arrows", say("移动", "Move")),
        FootKey("OK", say("选择", "Choose")),
        FootKey(say("返回", "Back"), say("退出", "Leave")),
        FootKey("INFO", say("按键说明", "All keys")),
        FootKey("中/EN", say("English", "中文")),
    )
    layers: tuple[Layer, ...] = (Layer(name, make(say), focus or default),)
    if dialog:
        layers = (*layers, Layer("question", question(say), focus or "keep", modal=True))
    return Picture(top, layers, foot)


def main() -> int:
    """Draws all pages in both languages."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    import pygame

    from stb_app.kit.stage import Stage

    folder = Path(sys.argv[1])
    height = int(sys.argv[2]) if len(sys.argv) > 2 else 1080
    text_scale = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    folder.mkdir(parents=True, exist_ok=True)
    pygame.display.init()
    surface = pygame.display.set_mode((height * 16 // 9, height))
    for language in ("zh", "en"):
        for name in _PAGES:
            for dialog in (False, True) if name == "card" else (False,):
                stage = Stage(surface, text_scale=text_scale, motion=False)
                stage.show(picture(name, language, dialog=dialog), 0.4)
                stage.frame(0.4)
                target = (
                    folder
                    / f"{name}{'-dialog' if dialog else ''}-{language}-{height}-{round(text_scale * 100)}.png"
                )
                pygame.image.save(surface, str(target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
