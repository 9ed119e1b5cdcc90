"""The Chinese catalogue: every message of the pages and the television is there, whole, and in the font."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont

from scripts.make_fonts import wanted
from scripts.make_locale import add_card_words, collect
from stb_app.journeys import lab_words
from tests.screens.dummies import ROOT

PO = ROOT / "assets" / "locale" / "zh" / "LC_MESSAGES" / "stb_pay.po"


def translations() -> dict[str, str]:
    with PO.open("rb") as source:
        return {str(message.id): str(message.string) for message in read_po(source) if message.id}


def test_every_message_has_a_translation() -> None:
    have, template = translations(), collect(ROOT)
    add_card_words(template)
    assert [message.id for message in template if message.id and not have.get(str(message.id))] == []


def test_translations_keep_the_placeholders() -> None:
    def names(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    assert [msgid for msgid, words in translations().items() if names(msgid) != names(words)] == []


def test_every_character_is_one_that_the_fonts_are_made_with() -> None:
    letters = set("".join((*translations(), *translations().values()))) - set("\n")
    made = wanted()
    assert {letter for letter in letters if ord(letter) not in made} == set()


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_every_character_is_in_the_font(weight: str) -> None:
    font: Path = ROOT / "assets" / "fonts" / f"NotoSansSC-{weight}.ttf"
    cmap = TTFont(font).getBestCmap()
    letters = set("".join((*translations(), *translations().values()))) - set("\n")
    assert {letter for letter in letters if ord(letter) not in cmap} == set()


@pytest.mark.parametrize(
    "word",
    [
        "付款",
        "付过了",
        "客服热线",
        "卡片",
        "支付服务",
        "本机",
        "手机钱包",
        "失效",
        "请勿",
        "取走",
        "不清楚",
        "退回",
        "密码不正确",
        "锁定",
        "系统会自动",
        "还没有结果",
        "卡自己会",
    ],
)
def test_one_thing_has_one_name(word: str) -> None:
    """The words are those of the table in docs/house.md; data objects have the names of JR/T 0025."""
    of_standards = lab_words.messages()
    found = [
        words
        for english, words in translations().items()
        if english not in of_standards and word in words.replace("支付款", "").replace("支付过了", "")
    ]
    assert found == []
