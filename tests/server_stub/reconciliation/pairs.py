"""Pairs and layouts that tests compare with."""

from __future__ import annotations

from datetime import date

from server_stub.reconciliation.layout import Layout
from server_stub.reconciliation.pair import Pair, parse

DAY = date(2026, 6, 21)
COLUMNS = [
    {"name": "key"},
    {"name": "amount", "kind": "fen"},
    {"name": "currency"},
    {"name": "status"},
    {"name": "day", "kind": "date"},
    {"name": "note"},
]
ENDS = {
    "header": [
        {"name": "tag", "kind": "constant", "value": "H"},
        {"name": "day", "kind": "date", "pattern": "%Y%m%d"},
    ],
    "trailer": [
        {"name": "tag", "kind": "constant", "value": "T"},
        {"name": "count", "kind": "count"},
        {"name": "fen", "kind": "fen"},
    ],
}
PLAIN = Layout.model_validate({"form": "delimited", "columns": COLUMNS})
ENDED = Layout.model_validate(
    {"form": "delimited", "columns": COLUMNS, "charsets": ["gb18030", "utf-16"], **ENDS}
)
WIDTHS = {
    "tag": 1,
    "key": 12,
    "amount": 15,
    "currency": 3,
    "status": 4,
    "day": 10,
    "note": 20,
    "count": 9,
    "fen": 15,
}


def widened(columns: list[dict[str, object]]) -> list[dict[str, object]]:
    """The same columns in lines of fixed width."""
    return [{**column, "width": WIDTHS[str(column["name"])]} for column in columns]


FIXED = Layout.model_validate(
    {
        "form": "fixed",
        "charset": "gb18030",
        "columns": widened(COLUMNS),
        **{name: widened(columns) for name, columns in ENDS.items()},
    }
)
YUAN = Layout.model_validate(
    {
        "form": "delimited",
        "separator": "\t",
        "strip": "`",
        "charset": "utf-16",
        "charsets": ["utf-8"],
        "end": "crlf",
        "skip": 0,
        "key": ["terminal", "number"],
        "columns": [
            {"name": "tag", "kind": "constant", "value": "D"},
            {"name": "number"},
            {"name": "paid", "kind": "date", "pattern": "%Y-%m-%d %H:%M:%S"},
            {"name": "terminal"},
            {"name": "amount", "kind": "yuan"},
            {"name": "status"},
        ],
    }
)
STATUSES = {"S": "settled", "R": "reversed", "F": "failed"}


def pair(*, here: Layout = PLAIN, there: Layout = ENDED, **more: object) -> Pair:
    """A pair of two such books."""
    title = {"zh": "账", "en": "book"}
    book = {"title": title, "statuses": STATUSES}
    values = {"name": "a-b", "title": title, "reversed": ["reversed"], **more}
    return Pair.model_validate(
        {**values, "here": {**book, "layout": here}, "there": {**book, "layout": there}}
    )


TOML = """
name = "tsp-ppp"
title = {zh = "支付平台与收单方", en = "TSP and PPP"}
window_days = 1
reversed = ["reversed"]

[here]
title = {zh = "支付平台", en = "TSP"}

[there]
title = {zh = "收单方", en = "PPP"}
statuses = {00 = "settled", 25 = "reversed"}
[there.layout]
form = "delimited"
columns = [{name = "key"}, {name = "amount", kind = "fen"}, {name = "status"}]

[[heal]]
rule = "paid-but-not-opened"
class = "status"
there = "settled"
action = "open"
limit_count = 100
limit_fen = 1_000_000
"""


def from_toml() -> Pair:
    """One as an integrator writes it."""
    return parse(TOML, "tsp-ppp.toml")
