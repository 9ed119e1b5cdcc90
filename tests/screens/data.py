"""Fixed answers of a TSP for the pages: one catalogue, one subscriber, the evening of 21 November 2026."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from stb_app.journeys import (
    Earlier,
    Hello,
    Home,
    Load,
    Method,
    Order,
    PaidCard,
    Payment,
    Records,
    Service,
    ServicePage,
    Subscriber,
    Subscription,
    Term,
    Words,
)
from stb_app.journeys.memory import OpenLoad, OpenPayment
from stb_app.kit.clock import CHINA

NOW = datetime(2026, 11, 21, 19, 34, tzinfo=CHINA)
HOTLINE = "96123"
HELLO = Hello("stb-pay TSP", "0.1.0", 1, True, NOW, HOTLINE)


def words(zh: str, en: str) -> Words:
    return {"zh": zh, "en": en}


def last(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 23, 59, 59, tzinfo=CHINA)


def _service(
    name: str, icon: str, zh: tuple[str, str, str], en: tuple[str, str, str], term: str, fen: int
) -> Service:
    return Service(
        name, words(zh[0], en[0]), words(zh[1], en[1]), words(zh[2], en[2]), icon, term, fen, "none", None, None
    )  # fmt: skip


MOVIES = replace(
    _service(
        "movies",
        "movies",
        ("高清影院", "院线新片，每周上新", "影视"),
        ("HD Movies", "New films every week", "Film and series"),
        "per-use",
        600,
    ),
    status="active",
    valid_until=last(2026, 12, 1),
    days_left=10,
)
SPORTS = replace(
    _service(
        "sports",
        "sports",
        ("体育频道包", "六个频道，赛事直播", "体育"),
        ("Sports Pack", "Six channels, live matches", "Sport"),
        "monthly",
        1500,
    ),
    status="expired",
    valid_until=last(2026, 5, 31),
)
KIDS = _service(
    "kids",
    "kids",
    ("少儿乐园", "动画儿歌，放心观看", "少儿"),
    ("Kids' World", "Cartoons and songs, safely", "Children"),
    "monthly",
    1200,
)
DRAMA = _service(
    "drama",
    "drama",
    ("热剧抢先", "热播剧集，提前看完", "影视"),
    ("Drama First", "Series before they air", "Film and series"),
    "per-use",
    500,
)
DOCUMENTARY = _service(
    "documentary", "documentary", ("纪录天地", "自然历史，看见世界", "人文"),
    ("Documentary", "Nature, history, the world", "Culture"), "per-use", 300,
)  # fmt: skip
LEARNING = _service(
    "learning",
    "learning",
    ("名师课堂", "中小学同步课程", "教育"),
    ("Master Classes", "Courses for school years", "Learning"),
    "monthly",
    3200,
)
GAMES = _service(
    "games",
    "games",
    ("电视游戏", "遥控器就能玩", "娱乐"),
    ("TV Games", "Play with the remote", "Entertainment"),
    "monthly",
    1800,
)
MUSIC = _service(
    "music",
    "music",
    ("音乐现场", "演唱会与在家唱歌", "音乐"),
    ("Live Music", "Concerts and karaoke", "Music"),
    "quarterly",
    2800,
)
NEWS = _service(
    "news",
    "news",
    ("财经资讯", "行情解读，早晚播报", "资讯"),
    ("Business News", "Markets, morning and night", "News"),
    "monthly",
    800,
)
OPERA = _service(
    "opera",
    "opera",
    ("戏曲大观", "京昆越豫，名家名段", "人文"),
    ("Chinese Opera", "Great voices of the stage", "Culture"),
    "yearly",
    5800,
)
HEALTH = _service(
    "health",
    "health",
    ("健康养生", "名医讲座，居家锻炼", "生活"),
    ("Good Health", "Doctors' talks and exercise", "Living"),
    "per-use",
    300,
)
LIFE = _service(
    "life",
    "life",
    ("生活百科", "烹饪家居，已停止销售", "生活"),
    ("Everyday Life", "Cooking and home; withdrawn", "Living"),
    "monthly",
    500,
)
SERVICES = (MOVIES, SPORTS, KIDS, DRAMA, DOCUMENTARY, LEARNING, GAMES, MUSIC, NEWS, OPERA, HEALTH, LIFE)
LONGEST = replace(
    SPORTS, name={language: max((s.name[language] for s in SERVICES), key=len) for language in ("zh", "en")}
)
"""As wide a name as there is in either language."""

ZHANG = Subscriber(words("张女士", "Ms Zhang"), "8531 2047")
HOME = Home(
    ZHANG,
    MOVIES,
    (
        ("2026-06", 4200),
        ("2026-07", 4200),
        ("2026-08", 7000),
        ("2026-09", 4200),
        ("2026-10", 6100),
        ("2026-11", 6800),
    ),
    12,
    5,
    (date(2026, 11, 21), 1500),
    (SPORTS, KIDS, OPERA, DOCUMENTARY),
)
NEWCOMER = Home(
    Subscriber(words("李先生", "Mr Li"), "8531 2055"),
    None,
    tuple((m, 0) for m, _ in HOME.spending),
    12,
    0,
    None,
    (SPORTS, KIDS, OPERA, DOCUMENTARY),
)

INTRODUCTION = words(
    "六个高清体育频道，直播足球、篮球、网球和乒乓球等重要赛事，每天提供精彩集锦与专家点评。错过直播，七天之内可以回看全场。",
    "Six sports channels in high definition: live football, basketball, tennis and table tennis, with highlights and comment "
    "every day. Missed it? Watch the whole match within seven days.",
)
PAST = (
    Subscription("quarterly", datetime(2026, 3, 1, tzinfo=CHINA), last(2026, 5, 31), 4200, "expired"),
    Subscription(
        "per-use",
        datetime(2025, 11, 12, 20, 10, tzinfo=CHINA),
        datetime(2025, 11, 13, 20, 10, tzinfo=CHINA),
        500,
        "used",
    ),
)
TERMS = (
    Term("per-use", 500, 0, NOW, NOW + timedelta(hours=24), None),
    Term("monthly", 1500, 0, NOW, last(2026, 12, 21), None),
    Term("quarterly", 4200, 6, NOW, last(2027, 2, 21), None),
    Term("yearly", 15000, 16, NOW, last(2027, 11, 21), None),
)
SPORTS_PAGE = ServicePage(SPORTS, INTRODUCTION, TERMS, PAST, False, HOTLINE)
SOME_REFUSED = replace(
    SPORTS_PAGE,
    terms=(
        replace(TERMS[0], refusal="already-subscribed"),
        TERMS[1],
        Term("quarterly", None, 0, None, None, "term-not-sold"),
        TERMS[3],
    ),
    subscriptions=(
        Subscription("monthly", datetime(2026, 11, 2, tzinfo=CHINA), last(2026, 12, 1), 1500, "active"),
        *PAST,
    ),
)
ALL_REFUSED = replace(
    SPORTS_PAGE,
    terms=tuple(replace(term, refusal="subscriber-in-arrears") for term in TERMS),
    subscriptions=(),
)
HAD_ALREADY = replace(
    SOME_REFUSED,
    terms=(
        Term("per-use", None, 0, None, None, "term-not-sold"),
        *(replace(term, refusal="already-subscribed") for term in TERMS[1:]),
    ),
)
CLASHING = replace(
    ALL_REFUSED,
    terms=tuple(replace(term, refusal="order-clash") for term in TERMS),
    clashes_with=MOVIES.name,
)

METHODS = (
    Method(
        "card",
        words("银联 IC 卡", "UnionPay card"),
        words("插卡，按提示支付", "Insert the card, follow the steps"),
        True,
        None,
    ),
    Method(
        "wallet:demo",
        words("演示钱包（扫码）", "Demo wallet (scan)"),
        words("用手机扫码支付", "Scan with a phone to pay"),
        True,
        None,
    ),
)
ORDER = Order(
    "01JD0000000000000000000001", "4C7F 20A1", SPORTS, "monthly", 1500, 0, None, 1500,
    datetime(2026, 11, 21, tzinfo=CHINA), last(2026, 12, 21), False, HOTLINE, 900, "quoted", METHODS,
)  # fmt: skip
SHORT = replace(ORDER, seconds_left=30)
REDUCED = replace(
    ORDER,
    order="01JD0000000000000000000002",
    number="4C7F 20B7",
    term="yearly",
    list_fen=15000,
    reduction_fen=1500,
    reduction_reason=words("老用户优惠九折", "10% off for loyal subscribers"),
    amount_fen=13500,
    valid_until=last(2027, 11, 21),
)
ONE_METHOD = replace(
    ORDER, methods=(METHODS[0], replace(METHODS[1], enabled=False, refusal="wallet-unreachable"))
)
NO_METHOD = replace(
    ORDER,
    methods=(
        replace(METHODS[0], enabled=False, refusal="psam-none-free"),
        replace(METHODS[1], enabled=False, refusal="wallet-unreachable"),
    ),
)

CARD = PaidCard("6217 00** **** **** 2047", 23640, 22140, "purse")


def _payment(
    number: str,
    service: Service,
    term: str,
    method: str,
    fen: int,
    when: datetime,
    state: str,
    money: str,
    reason: str | None = None,
) -> Payment:
    taken = money == "taken"
    return Payment(
        f"p{number.replace(' ', '').lower()}", f"o{number.replace(' ', '').lower()}", number, service, term, method, fen, when, state,
        money, reason, last(2026, 12, 21) if taken and state == "done" else None, CARD if method == "card" and taken else None, None, 3,  # type: ignore[arg-type]
    )  # fmt: skip


RECORDS = (
    _payment("4C7F 20A1", SPORTS, "monthly", "card", 1500, datetime(2026, 11, 21, 19, 33, 8, tzinfo=CHINA), "done", "taken"),
    _payment("4C7F 1F03", KIDS, "quarterly", "wallet:demo", 3300, datetime(2026, 11, 20, 8, 5, 41, tzinfo=CHINA), "unknown", "unknown"),
    replace(
        _payment("4C7E 9B22", MOVIES, "monthly", "wallet:demo", 2500, datetime(2026, 11, 1, 20, 14, 2, tzinfo=CHINA), "done", "taken"),
        valid_until=MOVIES.valid_until,
    ),
    _payment("4C7E 88D0", MOVIES, "per-use", "wallet:demo", 600, datetime(2026, 10, 28, 21, 2, 55, tzinfo=CHINA), "expired", "not-taken", "expired"),
    _payment("4C7E 5510", OPERA, "yearly", "card", 5800, datetime(2026, 10, 3, 10, 45, 30, tzinfo=CHINA), "failed", "not-taken", "card-removed"),
    _payment("4C7D F0E4", MUSIC, "quarterly", "wallet:demo", 2800, datetime(2026, 9, 17, 18, 20, 0, tzinfo=CHINA), "late", "returned", "expired"),
    _payment("4C7D 1C77", HEALTH, "per-use", "card", 300, datetime(2026, 9, 2, 7, 0, 12, tzinfo=CHINA), "cancelled", "not-taken", "cancelled"),
    _payment("4C7C 0A5E", DRAMA, "monthly", "card", 2000, datetime(2026, 8, 2, 19, 11, 49, tzinfo=CHINA), "paid", "taken", "service-not-opened"),
)  # fmt: skip
BY_KIND = tuple(
    replace(RECORDS[0], payment=f"p{kind}", number=number, card=PaidCard("6217 00** **** *** 4204", before, after, kind))
    for number, kind, before, after in (
        ("4C7G 10A1", "debit", None, None),
        ("4C7G 10B2", "credit", None, None),
        ("4C7G 10C3", "electronic-cash", 18650, 17150),
        ("4C7G 10D4", "purse", 23640, 22140),
        ("4C7G 10E5", None, 23640, 22140),
    )
)  # fmt: skip
"""Paid with one of each kind of card; of the last nobody knows, as of an old payment."""
UNSETTLED = replace(
    _payment("4C7F 1D55", SPORTS, "monthly", "card", 1500, datetime(2026, 11, 21, 18, 2, 44, tzinfo=CHINA), "unknown", "unknown"),
    order="order-earlier",
    card=PaidCard("6217 00** **** **** 2047", None, None),
)  # fmt: skip
"""A card was pulled in the middle of it and did not come back."""
LONGEST_NAME = {"zh": "体育频道包", "en": "Master Classes"}
"""The longest name of a service in each language, of those in the BOSS's catalogue."""
OPEN_LOAD = OpenLoad(
    "load-1", "", 3, "key", "", 20000, "2026-11-21T18:02:44+08:00", "6217 00** **** *** 4204"
)
OPEN_PAYMENT = OpenPayment(UNSETTLED.payment, "", "330100000001", 1, 7, 1500, 23640, "key", service="sports")
EARLIER = (
    Earlier(MOVIES, "monthly", date(2026, 11, 2), 2500, "active"),
    Earlier(LEARNING, "quarterly", date(2026, 10, 9), 8800, "active"),
    Earlier(DOCUMENTARY, "monthly", date(2026, 8, 2), 1200, "cancelled"),
    Earlier(SPORTS, "per-use", date(2026, 7, 31), 500, "used"),
)
LOADS = (
    Load("l1", "loaded", "taken", None, PaidCard("6217 00** **** *** 4204", 18650, 28650), 10000, datetime(2026, 11, 20, 9, 12, 30, tzinfo=CHINA), "7KQ2 M81D"),
    Load("l2", "unknown", "unknown", None, PaidCard("6217 00** **** *** 4204", 8650, None), 10000, datetime(2026, 10, 15, 20, 1, 4, tzinfo=CHINA), "3HV9 0T4C"),
    Load("l3", "failed", "not-taken", "card-removed", PaidCard("6217 00** **** *** 4204", 3650, 3650), 5000, datetime(2026, 9, 30, 18, 44, 10, tzinfo=CHINA), "9XW4 C7F2"),
    Load("l4", "unknown", "unknown", "load-disputed", PaidCard("6217 00** **** *** 4204", 3650, 8650), 5000, datetime(2026, 8, 30, 12, 0, 0, tzinfo=CHINA), "5B8Z Q7T2"),
)  # fmt: skip
"""Loads of electronic cash; only its card knows what became of the second one."""
ALL_RECORDS = Records(RECORDS, EARLIER, LOADS)
NO_RECORDS = Records((), ())
UNEVEN = replace(
    HOME,
    spending=tuple((month, 11800 if month == HOME.spending[-1][0] else 400) for month, _ in HOME.spending),
)
"""One month of which the others are hardly a thirtieth."""
