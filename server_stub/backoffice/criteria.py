"""What a search for transactions asks for: fields of a form, or one text that is recognised by its shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any

from server_stub.foundation import correlation
from server_stub.foundation.clock import CHINA
from server_stub.foundation.ids import ALPHABET
from server_stub.tsp import machines

KINDS = ("purse", "online", "electronic-cash", "wallet", "load")
"""What a transaction was made with; ``online``: a debit or credit card."""
SHOWN = tuple(
    dict.fromkeys(
        [shown.state for shown in machines.PAYMENT_SHOWN.values()]
        + [state for state, _ in machines.LOAD_SHOWN.values()]
    )
)
MONEY = ("taken", "not-taken", "returned", "unknown")
STATES = tuple(dict.fromkeys([*machines.PAYMENT_SHOWN, *machines.LOAD_SHOWN]))
TERMS = ("per-use", "monthly", "quarterly", "yearly")
CASES = ("open", "any")
MOST_FEN = 2**31 - 1
YEARS = range(1971, 9999)
"""Nothing was before, nor will be after; days near the ends of the calendar have no day before, no instant in another zone."""
LONGEST = 200
"""Characters of a field; longer ones are nothing's."""
MOST_MEANINGS = 12
_ROW = re.compile(rf"[{ALPHABET}]{{26}}")
_NUMBER = re.compile(rf"[{ALPHABET}]{{4}} ?[{ALPHABET}]{{4}}")
_YUAN = re.compile(r"([0-9]{1,8})(?:[.]([0-9]{1,2}))?")
_CARD = re.compile(r"([0-9]{6})?[*.…xX-]*([0-9]{4})?")


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is looked for; everything that is given must be true of a transaction. Nothing given: all of them.

    Attributes:
        number: of the order, or of a load, as people have it, without its space.
        id: of the payment or load. ``order``: of its order.
        subscriber: id or exact name, as BOSS has it; ``boxes``: the numbers of that person's boxes, once BOSS was asked.
        card_head, card_end: the first six and last four digits of the card's number.
        since, until: from the first instant on, before the second.
        state: as inside the server; ``shown`` as at the interface; ``money``: what became of it.
        case: ``"open"``, or ``"any"``.
    """

    number: str | None = None
    id: str | None = None
    order: str | None = None
    box: str | None = None
    subscriber: str | None = None
    boxes: tuple[str, ...] | None = None
    method: str | None = None
    kind: str | None = None
    card_head: str | None = None
    card_end: str | None = None
    from_fen: int | None = None
    to_fen: int | None = None
    received_fen: int | None = None
    state: str | None = None
    shown: str | None = None
    money: str | None = None
    reason: str | None = None
    service: str | None = None
    term: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    psam: str | None = None
    terminal: str | None = None
    transaction_number: str | None = None
    offline_number: int | None = None
    batch: str | None = None
    stan: str | None = None
    reference: str | None = None
    authorisation: str | None = None
    correlation: str | None = None
    case: str | None = None

    @property
    def given(self) -> frozenset[str]:
        """The names of what is asked for."""
        return frozenset(field.name for field in fields(self) if getattr(self, field.name) is not None)


class Unreadable(ValueError):
    """A field says nothing that could be looked for; its text is a word for why."""


def fen_of(text: str) -> int:
    """An amount in yuan as people type it. Raises Unreadable.

    >>> fen_of("25"), fen_of("25.5"), fen_of("¥ 25.00")
    (2500, 2550, 2500)
    """
    match = _YUAN.fullmatch(text.strip().lstrip("¥￥").removesuffix("元").strip())
    if match is None:
        raise Unreadable("amount")
    fen = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))
    if fen > MOST_FEN:
        raise Unreadable("amount")
    return fen


def card_of(text: str) -> tuple[str | None, str | None]:
    """First six and last four digits of a card's number as people type it: masked, in parts, or all of it, of which no more
    is kept. Raises Unreadable.

    >>> card_of("6222 02** **** 0035"), card_of("…0035"), card_of("6222020000000000035")
    (('622202', '0035'), (None, '0035'), ('622202', '0035'))
    """
    plain = "".join(text.split())
    if plain.isascii() and plain.isdecimal() and 12 <= len(plain) <= 20:
        return plain[:6], plain[-4:]
    match = _CARD.fullmatch(plain)
    if match is None or not any(match.groups()):
        raise Unreadable("card")
    return match[1], match[2]


def day_of(text: str) -> date:
    """A day as fields give it, within YEARS. Raises Unreadable.

    >>> day_of("2026-06-21")
    datetime.date(2026, 6, 21)
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Unreadable("time") from error
    if day.year not in YEARS:
        raise Unreadable("time")
    return day


def _instant(text: str, *, end: bool) -> datetime:
    """A day, or a local time; ``end``: the first instant after it."""
    try:
        if "T" not in text and ":" not in text:
            day = datetime.combine(day_of(text), time(), CHINA)
            return day + timedelta(days=1) if end else day
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=CHINA) if found.tzinfo is None else found.astimezone(CHINA)
        if found.year not in YEARS:
            raise Unreadable("time")
    except (ValueError, OverflowError) as error:
        raise Unreadable("time") from error
    # What a page's field gives is a minute.
    return found + timedelta(minutes=1) if end and found.second == 0 and len(text) == 16 else found


def _one_of(names: Iterable[str]) -> Callable[[str], str]:
    known = frozenset(names)

    def read(text: str) -> str:
        if text not in known:
            raise Unreadable("choice")
        return text

    return read


def _pattern(pattern: str, word: str, change: Callable[[str], str] = str) -> Callable[[str], str]:
    def read(text: str) -> str:
        found = change(text)
        if re.fullmatch(pattern, found) is None:
            raise Unreadable(word)
        return found

    return read


def _compact(text: str) -> str:
    return "".join(text.split()).upper()


def _plain(text: str) -> str:
    if len(text) > LONGEST or "\0" in text:
        raise Unreadable("text")
    return text


def _offline(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise Unreadable("number")
    return int(text)


READ: Mapping[str, Callable[[str], Any]] = {
    "number": _pattern(f"[{ALPHABET}]{{8}}", "number", _compact),
    "id": _pattern(f"[{ALPHABET}]{{26}}", "id", _compact),
    "order": _pattern(f"[{ALPHABET}]{{26}}", "id", _compact),
    "box": _pattern("[0-9]{1,20}", "number", _compact),
    "subscriber": _plain,
    "method": _plain,
    "kind": _one_of(KINDS),
    "from_fen": fen_of,
    "to_fen": fen_of,
    "received_fen": fen_of,
    "state": _one_of(STATES),
    "shown": _one_of(SHOWN),
    "money": _one_of(MONEY),
    "reason": _plain,
    "service": _plain,
    "term": _one_of(TERMS),
    "since": lambda text: _instant(text, end=False),
    "until": lambda text: _instant(text, end=True),
    "psam": _plain,
    "terminal": _pattern("[0-9A-F]{1,12}", "number", _compact),
    "transaction_number": _pattern("[0-9A-F]{1,8}", "number", _compact),
    "offline_number": _offline,
    "batch": _pattern("[0-9]{1,6}", "number"),
    "stan": _pattern("[0-9]{1,6}", "number"),
    "reference": _pattern("[0-9A-Z]{1,12}", "number", _compact),
    "authorisation": _pattern("[0-9A-Z]{1,6}", "number", _compact),
    "correlation": _pattern(correlation.PATTERN.pattern, "number", str.lower),
    "case": _one_of(CASES),
}
"""How each field of the form is read; each raises Unreadable. ``amount``, ``card``, ``day`` and ``journal`` are several."""
_OWN_WORDS = frozenset({*STATES, *SHOWN, *TERMS, *KINDS, "card"})
PADDED = {"terminal": 12, "transaction_number": 8, "batch": 6, "stan": 6}
"""Numbers that people write without the zeros in front."""
FIELDS = (*READ, "amount", "card", "day", "journal")


def criteria_of(form: Mapping[str, str]) -> tuple[Criteria, dict[str, str]]:
    """What a form asks for, and what of it could not be read: a word for why, by the field's name."""
    found: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in FIELDS:
        text = form.get(name, "").strip()
        if not text:
            continue
        try:
            found |= _read(name, text)
        except Unreadable as error:
            wrong[name] = str(error)
    return Criteria(**found), wrong


def _read(name: str, text: str) -> dict[str, Any]:
    if len(text) > LONGEST or "\0" in text:
        raise Unreadable("text")
    match name:
        case "amount":
            fen = fen_of(text)
            return {"from_fen": fen, "to_fen": fen}
        case "card":
            head, end = card_of(text)
            return {"card_head": head, "card_end": end}
        case "day":
            return {"since": _instant(text, end=False), "until": _instant(text, end=True)}
        case "journal":
            return {"id": READ["id"](text.split(" ", 1)[0])}
    value = READ[name](text)
    return {name: value.zfill(PADDED[name]) if name in PADDED else value}


def form_of(asked: Criteria) -> dict[str, str]:
    """The same as a form: what ``criteria_of`` reads again."""
    given = {name: getattr(asked, name) for name in asked.given - {"boxes", "card_head", "card_end"}}
    form = {name: _written(name, value) for name, value in given.items()}
    if asked.card_head or asked.card_end:
        form["card"] = f"{asked.card_head or ''}…{asked.card_end or ''}"
    return form


def _written(name: str, value: Any) -> str:
    if name.endswith("_fen"):
        return f"{value // 100}.{value % 100:02d}"
    if isinstance(value, datetime):
        here = value.astimezone(CHINA)
        # A whole day is one, as a page's field for dates has it.
        if here.time() == time():
            return (here.date() - timedelta(days=1) if name == "until" else here.date()).isoformat()
        return value.isoformat()
    return str(value)


def meanings(text: str) -> tuple[Criteria, ...]:
    """What one text can mean, each with at least one thing that is asked for; nothing for a text that says nothing.

    A whole card number is taken for its first six and last four digits.

    >>> [sorted(one.given) for one in meanings("85312048")]
    [['number'], ['box'], ['transaction_number']]
    """
    text = text.strip()
    if not text or len(text) > LONGEST or "\0" in text:
        return ()
    whole = _shapes(text)
    if whole:
        # Letters alone may be a number of an order, and a name.
        return (*whole, *_words(text)) if text.isalpha() and text.lower() not in _OWN_WORDS else whole
    words = text.split()
    if len(words) > 1:
        parts = [_shapes(word) for word in words]
        if all(parts):
            joined = [_joined(combination) for combination in product(*(part[:4] for part in parts))]
            found = tuple(dict.fromkeys(one for one in joined if one is not None))
            if found:
                return found[:MOST_MEANINGS]
    return _words(text)


def _words(text: str) -> tuple[Criteria, ...]:
    """What a text without a shape can be the name of."""
    return (Criteria(subscriber=text), Criteria(service=text), Criteria(reason=text), Criteria(psam=text))


def _joined(parts: Iterable[Criteria]) -> Criteria | None:
    """All of it together; None where two say something of the same."""
    values: dict[str, Any] = {}
    for part in parts:
        for name in part.given:
            if name in values:
                return None
            values[name] = getattr(part, name)
    return Criteria(**values)


def _shapes(text: str) -> tuple[Criteria, ...]:
    """What a text is by its shape; nothing where it has none."""
    compact = _compact(text)
    digits = compact.isascii() and compact.isdecimal()
    found: list[dict[str, Any]] = []
    if correlation.PATTERN.fullmatch(compact.lower()):
        found.append({"correlation": compact.lower()})
    if _ROW.fullmatch(compact):
        found += [{"id": compact}, {"order": compact}]
    elif _ROW.fullmatch(first := text.split(" ", 1)[0].upper()) and len(text.split()) == 3:
        found.append({"id": first})  # a journal
    if _NUMBER.fullmatch(text.upper()):
        found.append({"number": compact})
    if digits:
        found += _numbers(compact)
    elif re.fullmatch("[0-9A-F]{8}", compact):
        found.append({"transaction_number": compact})
    elif re.search(r"[*…]|\.\.|[xX]{2}", text):
        found += _tried("card", text)
    elif "." in text or text[0] in "¥￥" or text.endswith("元"):
        found += _tried("amount", text)
    elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        found += _tried("day", text)
    elif text in STATES:
        found.append({"state": text})
        if text in SHOWN:
            found.append({"shown": text})
    elif text in TERMS:
        found.append({"term": text})
    elif text in KINDS:
        found.append({"kind": text})
    elif text == "card" or text.startswith("wallet:"):
        found.append({"method": text})
    elif re.fullmatch(r"(?:sim|pcsc):\S*", text):
        found.append({"psam": text})
    return tuple(Criteria(**one) for one in found)


def _numbers(digits: str) -> list[dict[str, Any]]:
    """What digits alone can be, by how many they are."""
    found: list[dict[str, Any]] = []
    length = len(digits)
    if 13 <= length <= 20 or length == 10:
        head, end = digits[:6], digits[-4:]
        found.append({"card_head": head, "card_end": end})
    if length == 8:
        found += [{"box": digits}, {"transaction_number": digits}]
    if length == 12:
        found += [{"reference": digits}, {"terminal": digits}]
    if length == 6:
        found += [{"stan": digits}, {"authorisation": digits}, {"batch": digits}, {"card_head": digits}]
    if length == 4:
        found.append({"card_end": digits})
    if length <= 5:
        fen = int(digits) * 100
        found += [{"from_fen": fen, "to_fen": fen}, {"offline_number": int(digits)}]
    if length not in (8, 10) and not found:
        found.append({"box": digits})
    return found


def _tried(name: str, text: str) -> list[dict[str, Any]]:
    try:
        return [_read(name, text)]
    except Unreadable:
        return []


def at_boxes(asked: Criteria, boxes: Iterable[str]) -> Criteria:
    """The same once BOSS has said which boxes a subscriber has."""
    return replace(asked, boxes=tuple(boxes))
