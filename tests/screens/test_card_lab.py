"""The card lab: what a card has, tells and was asked, where a tester finds it; saved, and with faults that are ordered here."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from cardreader.lab.trace import Exchange
from cardreader.sim.profiles import NAMES
from stb_app.journeys.card_lab import CardReading, Kept, OwnCard
from stb_app.journeys.steps import CardPrompt, Refused
from stb_app.kit.items import Run
from tests.screens.dummies import Television
from tests.screens.dummy_lab import READER, READERS, pulled, seen, traces
from tests.screens.dummy_payments import PaymentVerbs, Slot
from tests.screens.scenes_payment import journey, post

CUT = re.compile(r"(\S\.\.\.|\N{HORIZONTAL ELLIPSIS})$")
"""As a text that has no room ends; not as a list of tags that is told in part."""


@pytest.fixture
def tv() -> Television:
    return Television(PaymentVerbs(keep_trace=Kept("/traces", "a.trace"), traces=traces()), "en").open(
        "card-lab"
    )


def test_it_is_found_in_the_settings() -> None:
    tv = Television(PaymentVerbs(), "en").open("settings").ok("card-lab")
    assert tv.screen == "card-lab"
    assert "Put in any card" in tv.words()


def test_a_bank_card_is_laid_open(tv: Television) -> None:
    post(tv, CardPrompt("insert"), CardPrompt("reading"), seen("electronic-cash"))
    for words in ("UNIONPAY EC", "A0000003 33010106", "Electronic cash ¥186.50", "Genuine", "In the slot"):
        assert words in tv.words()
    assert tv.state["applications"] == ["A000000333010106"]
    tv.press("OK")
    assert tv.screen == "card-lab-files"
    for words in ("Certificates", "¥1,000.00", "Not needed", "Application Transaction Counter (ATC)"):
        assert words in tv.words()
    tv.press("DOWN")
    assert tv.state["chosen"] == 1
    assert "9F38  Processing Options Data Object List (PDOL)" in tv.words()
    assert "9F7A 1, 9F02 6, 5F2A 2" in tv.words()


def test_no_number_and_no_holder_s_secret_is_shown_in_full(tv: Television) -> None:
    post(tv, seen("debit"))
    tv.press("OK")
    for _ in range(len(seen("debit").found.applications[0].told)):
        assert "6101" not in tv.words().replace(" ", "").replace("***6101", "")
        tv.press("DOWN")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_name_in_a_list_is_cut_with_the_largest_letters(language: str) -> None:
    tv = Television(PaymentVerbs(), language, 150).open("card-lab")
    post(tv, seen("electronic-cash"))
    for way in ("files", "commands"):
        tv.ok(way)
        for _ in range(tv.state["items"]):
            lines = [item.what.text for item in tv.stage._laid.items if isinstance(item.what, Run)]
            assert [line for line in lines if CUT.search(line)] == []
            tv.press("DOWN")
        tv.press("BACK")


def test_a_long_record_is_read_with_the_arrows(tv: Television) -> None:
    post(tv, seen("debit"))
    tv.press("OK", *["DOWN"] * 8, "OK")
    assert tv.focus == "detail:8"
    assert "Back to the list" in tv.words()
    assert "Static Data Authentication Tag List" not in tv.words()
    assert "Read on" not in tv.words(), "OK does nothing in what is read"
    tv.press(*["DOWN"] * 8)
    assert "9F4A  Static Data Authentication Tag List" in tv.words()
    tv.app.change_settings(text_scale=150)
    tv.show()
    assert tv.focus == "detail:8", "a text that is read keeps the focus when the page is made anew"
    tv.press("BACK")
    assert (tv.screen, tv.focus) == ("card-lab-files", "item:8")
    assert "Back to the list" not in tv.words()
    assert "Read on" in tv.words()


def test_the_line_that_is_read_stays_marked_and_in_sight(tv: Television) -> None:
    post(tv, seen("debit"))
    tv.press("OK", *["DOWN"] * 8, "OK", "DOWN")
    tv.app.change_settings(text_scale=150)
    tv.show()
    assert tv.focus == "detail:8"
    (list_,) = (view for view in tv.stage._laid.viewports if view.key == "all")
    (row,) = (spot for spot in tv.stage._laid.spots if spot.chosen)
    assert row.key == "item:8"
    assert list_.rect[1] <= row.rect[1]
    assert row.rect[1] + row.rect[3] <= list_.rect[1] + list_.rect[3]


def test_moving_through_a_long_card_is_quick(tv: Television) -> None:
    post(tv, seen("debit"))
    tv.ok("commands")
    began = time.perf_counter()
    tv.press(*["DOWN"] * 20)
    assert tv.state["chosen"] == 20
    assert time.perf_counter() - began < 2, "a page of it takes milliseconds; a tester holds the key down"


def test_a_card_that_was_taken_stays_on_the_screen(tv: Television) -> None:
    post(tv, seen("good"), CardPrompt("insert"))
    assert "Taken out" in tv.words()
    assert "¥236.40" in tv.words()
    post(tv, CardPrompt("reading"), CardPrompt("removed-early"))
    assert "It came out before everything was read." in tv.words()
    post(tv, CardPrompt("reading"), seen("no-purse"))
    assert "It has no application that this box knows." in tv.words()


def test_while_a_card_is_read_nothing_of_the_last_one_is_there(tv: Television) -> None:
    post(tv, seen("debit"), CardPrompt("insert"))
    assert {"UNIONPAY DEBIT", "Genuine"} <= set(tv.words().split("\n"))
    post(tv, CardPrompt("reading"), CardReading(READER, b"\x3b\x00", 17))
    for words in ("Reading the card", READER, "3B00", "Commands so far\n17"):
        assert words in tv.words()
    for words in ("UNIONPAY DEBIT", "Genuine", "Commands and times"):
        assert words not in tv.words()
    assert (tv.state["commands"], tv.focus) == (17, "sessions")


def test_of_a_card_that_left_early_is_shown_what_it_has_told(tv: Television) -> None:
    post(tv, seen("debit"), CardPrompt("insert"), CardPrompt("reading"), pulled("credit"))
    post(tv, CardPrompt("removed-early"))
    for words in ("Credit card", "Taken out", "It came out before everything was read."):
        assert words in tv.words()
    for words in ("Debit card", "Genuine", "UNIONPAY DEBIT"):
        assert words not in tv.words()
    assert (tv.focus, tv.state["whole"], tv.state["applications"]) == ("files", False, [])
    post(tv, CardPrompt("insert"))
    assert "It came out before everything was read." in tv.words(), "as long as it is there"
    tv.press("OK")
    assert "SELECT A0000003 33010102" in tv.words()
    tv.press("BACK").ok("commands")
    assert tv.state["items"] == len(pulled("credit").trace.exchanges) + 1


def test_a_purse_is_laid_open(tv: Television) -> None:
    post(tv, seen("good"))
    tv.press("OK")
    for words in ("¥236.40", "2024-03-01", "2044-02-29", "Transactions in its log"):
        assert words in tv.words()
    tv.press("DOWN", "DOWN")
    for words in ("2026-11-18 19:32 · ¥15.00", "READ RECORD 1 of SFI 24", "Amount", "2026-11-18"):
        assert words in tv.words()
    said = tv.words().split("\n")
    assert {"\N{YEN SIGN}15.00", "\N{YEN SIGN}0.00", "purchase (06)"} <= set(said)


def test_certificates_that_do_not_verify_say_why(tv: Television) -> None:
    post(tv, seen("credit", ca=False))
    assert "Could not be checked" in tv.words()
    tv.press("OK")
    assert "Could not be checked: issuer public key certificate: the certification authority" in tv.words()


def test_numbers_and_reasons_are_read_in_whole_lines_with_the_largest_letters() -> None:
    tv = Television(PaymentVerbs(), "en", 150).open("card-lab")
    post(tv, seen("credit", ca=False))
    lines = [item.what.text for item in tv.stage._laid.items if isinstance(item.what, Run)]
    assert {"UNIONPAY CREDIT", "A0000003 33010102", "6259 94** **** 3654"} <= set(lines)
    tv.press("OK")
    lines = [item.what.text for item in tv.stage._laid.items if isinstance(item.what, Run)]
    assert "the certification authority's key is not known" in lines


def test_the_drawn_reader_moves_only_while_it_is_at_work(tv: Television) -> None:
    post(tv, CardPrompt("starting"))
    assert tv.stage._laid.live
    post(tv, Refused("internal", retryable=True))
    assert tv.stage._laid.live == []


def test_of_a_card_that_another_program_uses_no_number_is_drawn(tv: Television) -> None:
    in_use = CardPrompt("reader-missing", trouble="in-use")
    for before in (CardPrompt("insert"), seen("debit")):
        post(tv, before, in_use)
        assert "CardSlot(pose='inside', number='', title=''" in repr(tv.app.navigator.top.compose())


def test_a_replayed_recording_is_no_card(tv: Television) -> None:
    post(tv, replace(seen("debit"), recording="good.trace"))
    assert "A replayed recording (good.trace)" in tv.words()
    assert tv.state["replayed"] == "good.trace"
    post(tv, seen("debit"))
    assert ("recording" in tv.words(), tv.state["replayed"]) == (False, None)


@pytest.mark.parametrize(
    ("trouble", "title", "text"),
    [
        ("in-use", "Another program is using the card reader", "End that one"),
        ("silent", "The card reader does not answer", "Unplug it"),
        ("service", "The card service of this box is not running", "pcscd"),
        ("missing", "The card reader cannot be found", "cable"),
    ],
)
def test_what_is_wrong_with_the_reader_is_said(tv: Television, trouble: Any, title: str, text: str) -> None:
    post(tv, CardPrompt("reader-missing", trouble=trouble))
    assert title in tv.words()
    assert text in tv.words()
    post(tv, seen("debit"), CardPrompt("reader-missing", trouble=trouble))
    assert text in tv.words(), "also beside the last card"


def test_an_aid_is_written_in_one_way(tv: Television) -> None:
    post(tv, seen("debit"))
    for way in ("application:0", "files", "commands"):
        tv.ok(way)
        for _ in range(tv.state["items"]):
            assert not re.search(r"A0000000?3\d{6}", tv.words())
            tv.press("DOWN")
        tv.press("BACK")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_standards_abbreviate_is_in_capitals(language: str) -> None:
    tv = Television(PaymentVerbs(), language).open("card-lab")
    post(tv, seen("debit-sda"))
    tv.ok("files")
    words = []
    for _ in range(tv.state["items"]):
        words.append(tv.words())
        tv.press("DOWN")
    assert "SDA" in "".join(words)
    assert not re.search(r"\b(sda|dda|cda|cvm|pin|arqc)\b", "".join(words))


def test_loading_is_called_as_the_standard_and_as_the_subscriber_calls_it() -> None:
    tv = Television(PaymentVerbs(), "zh").open("card-lab")
    post(tv, seen("electronic-cash"))
    tv.press("OK")
    assert "日志中的圈存（充值）" in tv.words()


def test_one_that_has_stopped_can_be_begun_again(tv: Television) -> None:
    post(tv, Refused("internal", retryable=True))
    assert tv.focus == "again"
    assert "The card lab has stopped" in tv.words()


def test_in_chinese_names_are_those_of_the_standard() -> None:
    tv = Television(PaymentVerbs(), "zh").open("card-lab")
    post(tv, seen("credit", ca=False))
    tv.press("OK")
    for words in ("应用交易计数器 (ATC)", "未能验证：发卡行公钥证书：没有对应的 CA 公钥"):
        assert words in tv.words()
    tv.press(*["DOWN"] * 8)
    for words in ("应用失效日期", "2044-02-29", "中国 (156)"):
        assert words in tv.words()
    tv.press("OK", *["DOWN"] * 5)
    assert "超过连续脱机交易上限、随机选择联机" in tv.words()


def test_leaving_ends_it_and_again_begins_it_anew(tv: Television) -> None:
    post(tv, seen("good"))
    first = journey(tv)
    tv.ok("again")
    assert (first.cancels, journey(tv) is first) == (1, False)
    first.post(Refused("cancelled"))
    tv.show()
    assert tv.state["prompt"] == "insert"
    tv.press("BACK")
    assert journey(tv).cancels == 1


def test_commands_are_shown_and_saved(tv: Television) -> None:
    post(tv, seen("no-purse"))
    tv.ok("commands").press("DOWN")
    for words in ("6A82", "no such file or application", "00A40400 09A00000 00038698 070100"):
        assert words in tv.words()
    tv.press("UP", "OK")
    assert tv.state["saved"] == "/traces/a.trace"
    assert "a.trace" in tv.words()
    assert tv.verbs is not None
    tv.press("OK")
    assert [name for name, *_ in tv.verbs.asked].count("keep_trace") == 1, "the same is not written again"


def test_earlier_cards_and_one_that_left_in_a_payment(tv: Television) -> None:
    tv.ok("sessions")
    assert tv.state == {"sessions": [27, 20, 26], "outcomes": ["not done", None, None]}
    for words in (
        "Debit card **** 6101 · Payment",
        "Not paid",
        "Purse card **** 2047 · Looked at",
        "2026-11-21 19:34:00",
    ):
        assert words in tv.words()
    tv.press("OK", *["DOWN"] * 30)
    assert "GENERATE AC ARQC" in tv.words()
    assert "The card left instead of answering." in tv.words()


@pytest.mark.parametrize(
    ("sw", "data", "words"),
    [(0x9000, "0011223344556677", "Paid"), (0x9302, "", "Not paid"), (None, "", "Not known")],
)
def test_of_an_earlier_card_it_is_said_whether_it_paid(sw: int | None, data: str, words: str) -> None:
    purse = seen("good").trace
    debit = Exchange(bytes.fromhex("80540100"), bytes.fromhex(data), sw, 300.0, 2.0)
    stay = replace(purse, exchanges=(*purse.exchanges, debit))
    tv = Television(PaymentVerbs(traces=(stay, purse)), "en").open("card-lab-sessions")
    marks = [line for line in tv.words().split("\n") if line in ("Paid", "Not paid", "Not known")]
    assert marks == [words]
    assert tv.state["outcomes"] == [{"Paid": "done", "Not paid": "not done"}.get(words, "not known"), None]


def test_a_reader_is_chosen() -> None:
    tv = Television(PaymentVerbs(readers=READERS), "en").open("card-lab").ok("readers")
    assert tv.focus == "reader:0"
    first = journey(tv)
    tv.press("DOWN", "OK")
    assert tv.verbs is not None
    assert ("choose_reader", READERS[1].name) in tv.verbs.asked
    assert (tv.screen, first.cancels) == ("card-lab", 1)


def test_every_card_of_the_simulator_can_be_put_in_and_a_tester_s_own() -> None:
    tv = Television(PaymentVerbs(), "en")
    slot = tv.app.slot = Slot("mine.toml", OwnCard("mine.toml", "a card without a track"))
    tv.press("BLUE")
    cards = [key.removeprefix("insert:") for key in tv.targets() if key.startswith("insert:")]
    assert sorted(cards) == sorted(NAMES)
    assert tv.state == {"inside": "mine.toml", "own": ["mine.toml"], "bad": {}}
    tv.ok("pull")
    tv.press("BLUE").ok("own:0")
    tv.app._worker.close(5)
    assert slot.profile == "mine.toml"


def test_what_is_in_is_marked_also_when_it_is_a_tester_s_own() -> None:
    tv = Television(PaymentVerbs(), "en")
    tv.app.slot = Slot("mine.toml", OwnCard("mine.toml", "a card without a track"))
    tv.press("BLUE", *["DOWN"] * 11)
    assert tv.focus == "own:0"
    assert "For testers\nmine.toml\na card without a track\nIn the slot" in tv.words()


def test_faults_are_ordered_and_forgotten() -> None:
    tv = Television(PaymentVerbs(), "en")
    slot = tv.app.slot = Slot("debit")
    tv.press("BLUE").ok("faults")
    assert tv.screen == "card-lab-faults"
    tv.ok("kind:2").ok("place:80AE").press("1", "2", "OK")
    tv.app._worker.close(5)
    assert slot.faults == ("delay@80AE:2000", "delay@12:2000")


def test_pressing_again_orders_nothing_and_says_so() -> None:
    tv = Television(PaymentVerbs(), "en")
    slot = tv.app.slot = Slot()
    slot.faults = ("pull@80AE",)
    tv.open("card-lab-faults")
    assert "No card is in the slot: they wait for the next one." in tv.words()
    tv.ok("place:80AE")
    tv.app._worker.close(5)
    tv.show()
    assert slot.faults == ("pull@80AE",)
    assert "This fault is ordered already. It happens once." in tv.words()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_faults_read_well_with_the_largest_letters(language: str) -> None:
    """A command's name stands in one line, its code beside it; however much is ordered, there is room to choose."""
    tv = Television(PaymentVerbs(), language, 150)
    slot = tv.app.slot = Slot("debit")
    slot.faults = ("pull@80AE", "delay@3:2000", "word@00B2:6985", "garbage@00A4", "lose@8054")
    tv.open("card-lab-faults").ok("kind:0").press("DOWN", "DOWN")
    assert tv.focus == "place:80A8"
    lines = [item.what.text for item in tv.stage._laid.items if isinstance(item.what, Run)]
    assert {"GET PROCESSING OPTIONS", "80A8"} <= set(lines)
    assert [line for line in lines if CUT.search(line)] == []
    tall = [target.rect[3] for target in tv.stage.targets() if target.key.startswith("place:")]
    assert len(tall) >= 3
    tv.press("UP", "UP", "UP")
    assert tv.focus == "ordered", "what is ordered is read line by line"
    tv.press(*["UP"] * 2)
    assert tv.focus == "forget"


def test_those_that_are_ordered_are_seen_and_forgotten() -> None:
    tv = Television(PaymentVerbs(), "en")
    slot = tv.app.slot = Slot("debit")
    slot.faults, slot.happened = ("mac@0082",), ((7, "pull@80A8"),)
    tv.open("card-lab-faults")
    for words in (
        "EXTERNAL AUTHENTICATE: Wrong MAC",
        "mac@0082",
        "GET PROCESSING OPTIONS: Pulled before it obeys",
    ):
        assert words in tv.words()
    assert "pull@80A8 (7)" in tv.words()
    tv.ok("kind:0").press("UP")
    assert tv.focus == "forget"
    tv.press("OK")
    tv.app._worker.close(5)
    assert slot.faults == ()
