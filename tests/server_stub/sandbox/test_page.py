"""The phone page: words in both languages, no outside resource, harmless buttons."""

from __future__ import annotations

import re

import pytest

import assets
from server_stub.sandbox import page, service
from tests.server_stub.system import OWN, System


@pytest.mark.anyio
async def test_the_page_in_the_phone_s_language_and_in_the_other(system: System) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo")
    url = payment["qr"]["payload"].replace("http://192.168.100.200:8780", OWN)
    english = await system.outside.get(url, headers={"Accept-Language": "en-GB,en;q=0.9"})
    chinese = await system.outside.get(f"{url}?lang=zh", headers={"Accept-Language": "en-GB"})
    assert 'lang="en"' in english.text
    assert 'id="pay"' in english.text
    assert 'id="decline"' in english.text
    assert 'id="pay-late"' in english.text
    assert "Sports Pack · " in english.text
    assert "TV Services" in english.text
    assert "Order number" in english.text
    assert "42.00" in english.text
    assert payment["number"] in english.text
    assert "体育频道包 · 包" in chinese.text
    assert "电视服务厅" in chinese.text
    for text in (english.text, chinese.text):
        assert re.findall(r"https?://|//[a-z]", text) == []
        assert "<script" not in text
        assert "85312048" not in text
        assert "李先生" not in text


@pytest.mark.anyio
async def test_a_browser_without_chinese_letters_gets_the_television_s(system: System) -> None:
    page_of_none = await system.outside.get(f"{OWN}/w/NOTHING")
    assert "url(/w/font.ttf)" in page_of_none.text
    # First of all: a browser that has drawn boxes from another font does not always draw again.
    assert 'font: 17px/1.5 "Television", ' in page_of_none.text
    font = await system.outside.get(f"{OWN}/w/font.ttf")
    assert (font.status_code, font.headers["content-type"]) == (200, "font/ttf")
    assert font.content == assets.path("fonts", "NotoSansSC-Regular.ttf").read_bytes()


@pytest.mark.anyio
async def test_a_code_that_is_not_there_and_a_button_that_is_not_there(system: System) -> None:
    missing = await system.outside.get(f"{OWN}/w/NOTHING")
    assert (missing.status_code, 'data-view="unknown"' in missing.text) == (404, True)
    assert 'href="/w/NOTHING?lang=en"' in missing.text
    assert "没有扣款" in missing.text
    assert "¥" not in missing.text
    payment = await (await system.box()).pay("wallet:demo")
    assert (await system.phone(payment["qr"]["payload"], "steal")).status_code == 404
    assert (await system.phone(f"{OWN}/w/NOTHING", "pay")).status_code == 404


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("verb", "sign", "name", "grey", "words"),
    [
        ("decline", "M25 25l22 22", "订单金额", True, "手机上已拒绝支付"),
        ("pay", "M21 37l11 11 20-23", "实付", False, "已经扣款。"),
    ],
)
async def test_an_end_says_what_became_of_the_money_in_the_television_s_words(
    system: System, verb: str, sign: str, name: str, grey: bool, words: str
) -> None:
    payment = await (await system.box()).pay("wallet:demo")
    url = payment["qr"]["payload"]
    await system.phone(url, verb)
    text = (await system.outside.get(f"{url.replace('http://192.168.100.200:8780', OWN)}?lang=zh")).text
    assert sign in text
    assert f'id="amount-name">{name}<' in text
    assert ('class="amount unpaid"' in text) is grey
    assert words in text
    assert '#a4342a"/>' not in text  # nothing alarming


@pytest.mark.anyio
async def test_testers_can_make_the_wallet_silent_and_speak_again(system: System) -> None:
    payment = await (await system.box()).pay("wallet:demo")
    for silent in (True, False):
        await system.phone(payment["qr"]["payload"], "silence")
        faults = (await system.outside.get(f"{OWN}/sandbox/faults")).json()
        assert faults == {"gateway_silent": silent}


@pytest.mark.anyio
async def test_the_gateway_is_for_merchants_with_the_key_only(system: System) -> None:
    answer = await system.outside.get(f"{OWN}/sandbox/wallet/v1/codes/x")
    assert (answer.status_code, answer.json()["code"]) == (401, "partner-unknown")
    boss = await system.outside.get(f"{OWN}/boss/v1/boxes/85312047/home")
    assert (boss.status_code, boss.json()["code"]) == (401, "partner-unknown")


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        ("en", "zh-CN", "en"),
        ("fr", "zh-CN", "zh"),
        (None, "en-US,zh;q=0.9", "en"),
        (None, "zh;q=0.2, en;q=0.8", "en"),
        (None, "fr, de", "zh"),
        (None, "en;q=much, zh", "zh"),
        (None, None, "zh"),
    ],
)
def test_language(chosen: str | None, accepted: str | None, language: str) -> None:
    assert page.language(chosen, accepted) == language


def test_every_end_has_words_of_its_own() -> None:
    settled = {state for targets in service.MOVES.values() for state in targets} - {"scanned"}
    views = settled | set(page.ENDS.values()) | {"unknown", "settling"}
    for words in page.WORDS.values():
        assert len({words[view] for view in views}) == len(views)
        assert len({words[f"{view}-hint"] for view in views}) >= len(views) - 1
    assert {state for state, _ in page.ENDS} < settled


def test_both_languages_have_the_same_words() -> None:
    assert set(page.WORDS["zh"]) == set(page.WORDS["en"])
    "".join(page.WORDS["zh"].values()).encode("gb2312")
