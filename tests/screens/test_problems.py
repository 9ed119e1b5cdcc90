"""The words for problems: every code of the interface has its own, in both languages, and none is an exception's."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from screens.card_load_parts import load_words
from screens.problem_words import PROBLEMS
from screens.problems import MONEY, PROMPTS, all_msgids, money_words, prompt_words, words_for
from server_stub.foundation.problems import CODES as SERVERS
from stb_app.journeys import Money
from stb_app.journeys.steps import CardPrompt, Prompt
from tests.screens.dummies import ROOT
from tests.screens.scenes_payment import OF_A_LOAD

TABLE = (ROOT / "docs" / "tsp-api.md").read_text("utf-8").partition("## Codes")[2]
CODES = sorted(
    {code for row in re.findall(r"^\| (`.+?) \|", TABLE, re.M) for code in re.findall(r"`([a-z0-9-]+)`", row)}
)
OWN = (
    "tsp-unreachable",
    "tsp-answer-bad",
    "card-away",
    "card-wait-expired",
    "box-storage",
    "reader-missing",
    "reader-lost",
    "reader-service-lost",
    "reader-service-down",
    "pin-refused-last",
)


def _chinese() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((ROOT / "assets/locale/zh/LC_MESSAGES").glob("stb_pay*.po")):
        with path.open("rb") as file:
            found.update({str(m.id): str(m.string) for m in read_po(file) if m.id and m.string})
    return found


CHINESE = _chinese()


FOR_PARTNERS = {"amount-differs", "partner-unknown", "notice-refused"}
"""What BOSS and the platform say to each other and to wallets; no box ever hears it."""


def test_the_interface_lists_every_code_that_the_server_can_send_to_a_box() -> None:
    assert set(SERVERS) - FOR_PARTNERS <= set(CODES)
    assert {"body-too-large"} <= set(CODES)


def test_the_interface_lists_its_codes() -> None:
    assert len(CODES) > 35
    assert {"balance-too-low", "mac2-refused", "boss-unreachable", "internal"} <= set(CODES)


@pytest.mark.parametrize("code", [*CODES, *OWN])
def test_every_code_has_words_of_its_own_in_both_languages(code: str) -> None:
    for translate in (str, CHINESE.__getitem__):
        said = words_for(code, {}, translate)
        assert said.title
        assert said.text
        assert said.code == ""


def test_no_two_codes_of_the_interface_say_the_same_unless_they_mean_the_same() -> None:
    titles: dict[tuple[str, str], list[str]] = {}
    for code in CODES:
        titles.setdefault(PROBLEMS[code], []).append(code)
    assert [codes for codes in titles.values() if len(codes) > 1] == []


@pytest.mark.parametrize("prompt", get_args(Prompt))
def test_every_prompt_has_words_in_both_languages(prompt: Prompt) -> None:
    for translate in (str, CHINESE.__getitem__):
        if prompt in OF_A_LOAD:
            said = load_words(CardPrompt(prompt), translate)
        else:
            said = prompt_words(prompt, 2, {}, translate)
        assert said.title
        assert said.text
        assert said.code == ""
        assert "{" not in said.text


def test_the_last_try_is_warned_of_and_the_others_are_counted() -> None:
    assert "2" in prompt_words("wrong-pin", 2, {}, str).text
    last = prompt_words("wrong-pin", 1, {}, str)
    assert "locks the card" in last.text
    assert last.title != prompt_words("wrong-pin", 2, {}, str).title


def test_too_little_money_names_what_there_is_and_the_gap() -> None:
    said = words_for("balance-too-low", {"balance_fen": 320, "amount_fen": 1500}, CHINESE.__getitem__)
    assert "¥3.20" in said.text
    assert "¥11.80" in said.text


@given(
    st.from_regex(r"[a-z][a-z-]{2,30}", fullmatch=True), st.dictionaries(st.text(), st.integers() | st.text())
)
def test_whatever_comes_there_are_words(code: str, facts: dict[str, object]) -> None:
    said = words_for(code, facts, str)
    assert said.title
    assert said.text
    assert said.code == ("" if code in PROBLEMS else code)


def test_the_money_has_a_sentence_for_everything_that_can_become_of_it() -> None:
    assert set(MONEY) == set(get_args(Money))
    assert len({money_words(what, CHINESE.__getitem__) for what in MONEY}) == len(MONEY)
    assert money_words("frobnicated", str) == money_words("unknown", str)


def test_the_chinese_words_are_those_that_the_font_has() -> None:
    for msgid in all_msgids():
        CHINESE[msgid].replace("¥", "").encode("gb2312")
    names = {
        re.sub("(-named|-earlier|-service|-in-use|-silent)+$", "", name)
        for name in {*PROMPTS}.difference(get_args(Prompt))
    }
    assert names - {"wrong-pin-last"} <= set(get_args(Prompt))


def test_the_card_that_has_to_come_back_is_named_where_it_is_known() -> None:
    assert "ending 2047" in words_for("card-away", {"number": "6217 00** **** **** 2047"}, str).text
    assert "the same card" in words_for("card-away", {}, str).text


@pytest.mark.parametrize("prompt", ["reader-missing", "reader-away"])
def test_a_service_that_does_not_run_is_not_called_a_missing_reader(prompt: str) -> None:
    for translate, reader, service in (
        (str, "reader", "service"),
        (CHINESE.__getitem__, "读卡器", "读卡服务"),
    ):
        said = prompt_words(prompt, None, {}, translate, trouble="service")
        assert service in said.title
        assert reader not in said.title + said.text


@pytest.mark.parametrize("prompt", ["reader-missing", "reader-away"])
@pytest.mark.parametrize(("trouble", "so"), [("in-use", "其他程序"), ("silent", "没有应答")])
def test_a_reader_that_is_there_is_not_called_missing(prompt: str, trouble: str, so: str) -> None:
    said = prompt_words(prompt, None, {}, CHINESE.__getitem__, trouble=trouble)
    assert so in said.title
    assert "找不到" not in said.title
    assert "cable" not in prompt_words(prompt, None, {}, str, trouble=trouble).text


def test_a_card_service_that_died_is_no_cable() -> None:
    said = words_for("reader-service-lost", {}, str)
    assert "card service" in said.title
    assert "cable" not in said.title + said.text
