"""The words of the back office: in both languages, whole, in the font; and every state, setting and right has some."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont

from scripts.make_locale import DOMAINS, collect
from server_stub.backoffice import frame, sentences, words
from server_stub.backoffice.pages import PAGES
from server_stub.backoffice.pages.parameters import GROUPS, MEANINGS, parameters
from server_stub.backoffice.rights import Role
from server_stub.foundation.sentences import say
from server_stub.settings import Settings
from server_stub.tsp import cases, machines

ROOT = Path(__file__).resolve().parents[3]
PO = ROOT / "assets" / "locale" / "zh" / "LC_MESSAGES" / "backoffice.po"
STYLE = (ROOT / "server_stub" / "backoffice" / "static" / "backoffice.css").read_text("utf-8")


def translations() -> dict[str, str]:
    with PO.open("rb") as source:
        return {one(message.id): one(message.string) for message in read_po(source) if message.id}


def one(text: str | tuple[str, ...] | list[str]) -> str:
    """A message; of one that counts things its first form."""
    return text if isinstance(text, str) else text[0]


def test_every_message_has_a_translation_with_the_same_places() -> None:
    have, template = translations(), collect(ROOT, DOMAINS["backoffice"])
    wanted = [one(message.id) for message in template if message.id]
    assert len(wanted) > 300
    assert [message for message in wanted if not have.get(message)] == []
    place = re.compile(r"%\((\w+)\)s")
    assert [m for m, text in have.items() if sorted(place.findall(m)) != sorted(place.findall(text))] == []


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_every_character_is_in_the_font(weight: str) -> None:
    cmap = TTFont(ROOT / "assets" / "fonts" / f"NotoSansSC-{weight}.ttf").getBestCmap()
    letters = set("".join((*translations(), *translations().values()))) - set("\n")
    assert {letter for letter in letters if ord(letter) not in cmap} == set()


def test_every_state_has_words_and_a_sign() -> None:
    assert machines.PAYMENT_SHOWN.keys() | machines.LOAD_SHOWN.keys() == words.PAYMENT_STATES.keys()
    assert {*cases.ACTIONS, *cases.LOAD_ACTIONS, "settled"} == words.CASE_ACTIONS.keys()
    assert set(machines.WATCHED.values()) <= words.CASE_KINDS.keys()
    assert {role.value for role in Role} == words.STAFF_ROLES.keys()
    icons = (ROOT / "server_stub" / "backoffice" / "templates" / "macros.html").read_text("utf-8")
    tables = (words.PAYMENT_STATES, words.CASE_STATES, words.BOX_STATES, words.BATCH_STATES)
    for tone in {mark.tone for table in tables for mark in table.values()} - {"plain"}:
        assert f'name == "{tone}"' in icons
        assert f".mark.{tone}" in STYLE


def test_every_setting_has_a_meaning_and_stands_under_one_heading() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(MEANINGS)
    assert MEANINGS.keys() == {field.name for field in fields(Settings)}
    shown = parameters(Settings(), frozenset({"STB_SERVER_HOTLINE"}))
    assert {one.name: one.source for one in shown}["STB_SERVER_HOTLINE"] == "environment"


def test_what_came_of_a_job_is_told_in_the_words_of_the_page() -> None:
    chinese = partial(words.said, "zh")
    assert sentences.result("3 made, 0 sent", chinese) == "生成 3 个，发送 0 个"
    assert sentences.result("3 made, ConnectionError('away')", chinese) == "3 made, ConnectionError('away')"
    assert sentences.result(None, chinese) == "–"


def test_values_of_a_sentence_are_what_their_names_say() -> None:
    told = {
        "limit_fen": 500_000,
        "state": "moon",
        "states": "paid, opened",
        "code": "wrong-state",
        "line": 1234,
    }
    said = say("%(limit_fen)s %(state)s %(states)s %(code)s %(line)s", **told)
    english = "¥5,000.00 moon Paid, being opened; Paid and opened The payment is in another state now. 1,234"
    assert sentences.worded("en", said) == english
    assert (
        sentences.worded("zh", said)
        == "¥5,000.00 moon 已支付，正在开通；已支付并开通 这笔支付的状态已经变了。 1,234"
    )


def test_the_menu_goes_to_pages_that_are_there_each_by_a_key_of_its_own() -> None:
    ways = [way for _, section in frame.MENU for way in section]
    there = {(page.path, page.right) for page in PAGES if page.method == "GET"}
    assert {(way.path, way.right) for way in ways} <= there
    assert len({way.key for way in ways}) == len({way.id for way in ways}) == len(ways)


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_cell_of_a_table_is_laid_out_as_something_else() -> None:
    """A class of a cell is no box's elsewhere: `display` would take the cell out of its row."""
    pages = ROOT / "server_stub" / "backoffice" / "templates"
    texts = [path.read_text("utf-8") for path in pages.glob("*.html")]
    classes = {
        name
        for text in texts
        for found in re.findall(r'<t[dh] class="([a-z ]+)"', text)
        for name in found.split()
    }
    assert {"num", "found"} <= classes
    assert [name for name in classes if re.search(rf"^\.{name} {{[^}}]*display:", STYLE, re.MULTILINE)] == []


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "desk"), ("ink-2", "card"), ("ink-2", "desk"), ("deep", "card"), ("deep", "desk"), ("deep", "wash"),
        ("good", "good-wash"), ("wait", "wait-wash"), ("bad", "bad-wash"), ("off", "off-wash"), ("card", "deep"),
        ("card", "bad"), ("on-night", "night-3"), ("on-night-2", "night-2"), ("night", "gold"), ("night", "mint"),
    ],
)  # fmt: skip
def test_text_stands_out(text: str, ground: str) -> None:
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", STYLE))
    light, dark = sorted((luminance(tokens[text]), luminance(tokens[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
