"""Loading electronic cash: amount and balances, when Back asks and when it does not, the ends and their ways on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardreader.secret import Pin
from screens.card_load_parts import ended_words, load_words
from stb_app.journeys.steps import CardMoved, CardPrompt, LoadEnded, LoadOutcome
from stb_app.kit import theme
from stb_app.kit.nodes import Color, Target
from tests.screens.dummies import Television
from tests.screens.dummy_payments import BANK_CARD, LOADED, PaymentVerbs
from tests.screens.scenes_payment import LOAD_SCENES, held_up, journey, not_loaded, post
from tests.screens.test_ordering import nodes

UNKNOWN = "It is not yet known whether money was taken."


@pytest.fixture
def tv() -> Television:
    """A load of 100.00 yuan has begun."""
    tv = Television(PaymentVerbs(), "en").open("card-inquiry")
    post(tv, BANK_CARD)
    return tv.ok("load").ok("10000").ok("load")


def cancelled(tv: Television) -> None:
    """The reader's answer."""
    assert journey(tv).cancelled
    post(tv, not_loaded("cancelled"))


def test_it_shows_what_is_loaded_onto_what_and_the_steps(tv: Television) -> None:
    post(tv, held_up("insert"))
    for words in ("To load", "¥100.00", "¥186.50", "¥286.50", "Insert", "PIN", "Load"):
        assert words in tv.words().split("\n")
    assert "Take out" not in tv.words()  # no page of a load ever comes to it
    amounts = [text.rect[3] for text in tv.app.stage.texts() if text.text == "¥100.00"]
    assert amounts[0] == max(text.rect[3] for text in tv.app.stage.texts() if text.text.startswith("¥"))
    post(tv, replace(held_up("enter-pin"), balance_fen=5_000))  # another card than the one that was looked at
    assert {"¥50.00", "¥150.00"} <= set(tv.words().split("\n"))


@pytest.mark.parametrize("word", ["insert", "enter-pin"])
def test_nothing_has_been_taken_before_the_bank_is_asked(tv: Television, word: str) -> None:
    post(tv, held_up(word))  # type: ignore[arg-type]
    assert "Nothing has been taken yet." in tv.words()


@pytest.mark.parametrize("word", ["processing", "put-back", "other-card", "reader-away", "settling"])
def test_after_that_it_is_not_known(tv: Television, word: str) -> None:
    post(tv, held_up(word))  # type: ignore[arg-type]
    ask = "Please do not switch the box off." if word == "processing" else "Please do not load again."
    assert f"{UNKNOWN} {ask}" in tv.words()
    assert "pay" not in tv.words().lower()
    assert ("¥286.50" in tv.words()) == (word == "processing")


@pytest.mark.parametrize("word", ["starting", "reader-missing", "reader-away", "put-back", "cash-full"])
def test_nobody_speaks_of_paying(tv: Television, word: str) -> None:
    post(tv, held_up(word))  # type: ignore[arg-type]
    assert not {said for said in ("pay", "paid", "phone") if said in tv.words().lower()}


@pytest.mark.parametrize("word", ["insert", "enter-pin", "reading", "starting"])
@pytest.mark.parametrize("key", ["BACK", "HOME"])
def test_back_asks_and_leads_to_the_card(tv: Television, word: str, key: str) -> None:
    post(tv, held_up(word))  # type: ignore[arg-type]
    tv.press(key)
    assert (tv.screen, tv.focus) == ("question", "keep")
    assert "Cancel loading?" in tv.words()
    tv.press("OK")
    assert (tv.screen, tv.state["prompt"]) == ("card-load", word)
    tv.press(key).ok("cancel-load")
    assert tv.app.snapshot()["busy"]
    cancelled(tv)
    assert (tv.screen, tv.state["balance_fen"]) == ("card-inquiry", 18650)


def test_while_the_bank_is_asked_back_says_why_not_and_a_wait_is_told_of(tv: Television) -> None:
    post(tv, held_up("processing"))
    tv.press("BACK")
    assert tv.screen == "card-load"
    assert "can't be cancelled now" in tv.words()
    post(tv, replace(held_up("processing"), number="6217 00** **** **** 0000"))
    tv.wait(7)
    assert "This takes a few seconds." in tv.words()
    tv.wait(2)
    assert "This takes longer than usual, up to a minute and a half." in tv.words()


def test_a_question_goes_when_it_is_too_late(tv: Television) -> None:
    post(tv, held_up("reading"))
    tv.press("BACK")
    post(tv, held_up("processing"))
    assert tv.screen == "card-load"
    assert "can't be cancelled now" in tv.words()


def test_a_cancelled_load_that_went_on_asks_for_its_card(tv: Television) -> None:
    post(tv, held_up("reading"))
    tv.press("BACK").ok("cancel-load")
    post(tv, held_up("processing"), held_up("put-back"))
    assert (tv.focus, tv.state["leaving"]) == ("leave", False)
    tv.wait(21)
    assert "Please put the card ending 4204 back" in tv.words()


def test_the_card_can_be_left_out_and_is_looked_at_next(tv: Television) -> None:
    post(tv, held_up("put-back"))
    tv.press("BACK")
    assert (tv.screen, tv.focus) == ("question", "keep")
    tv.ok("leave")
    assert journey(tv).cancelled
    post(tv, not_loaded("card-away", "unknown"))
    assert (tv.screen, tv.verbs.asked[-1]) == ("card-inquiry", ("inquire_card",))  # type: ignore[union-attr]


def test_a_card_that_takes_its_time_is_told_of_and_its_pin_too(tv: Television) -> None:
    longer = "This takes longer than usual. Please leave the card in."
    post(tv, held_up("reading"))
    tv.wait(9)
    assert longer in tv.words()
    post(tv, held_up("enter-pin"))
    assert longer not in tv.words()
    tv.press(*"123456", "OK").wait(9)
    assert longer in tv.words()


def test_a_reader_that_does_not_answer_holds_nobody(tv: Television) -> None:
    post(tv, held_up("insert"))
    tv.press("BACK").ok("cancel-load").wait(21)
    assert tv.focus == "back"
    # Where nothing has been taken there is nothing that the card would have to tell.
    assert "Nothing has been taken yet." in tv.words()
    assert "You may go back and take your card." in tv.words()
    assert "shows what happened" not in tv.words()
    tv.press("OK")
    assert tv.screen == "card-inquiry"


def test_the_pin_goes_to_the_journey_alone(tv: Television) -> None:
    post(tv, held_up("enter-pin"))
    tv.press("1", "2", "OK")
    assert "Still missing:\u00a04." in tv.words()
    tv.press("BACK", *"3456", "OK")
    assert journey(tv).pins == []
    tv.press("7", "OK")
    assert journey(tv).pins == [Pin("134567")]
    assert tv.app.snapshot()["busy"]


def test_a_loaded_card_is_looked_at_anew(tv: Television) -> None:
    post(tv, LOADED)
    for words in ("The card is loaded", "After loading", "¥286.50", "¥100.00 was taken from the account."):
        assert words in tv.words()
    assert (tv.state["load"], tv.focus) == ("loaded", "done")
    tv.press("OK")
    assert (tv.screen, tv.state["prompt"]) == ("card-inquiry", "insert")
    assert tv.verbs.asked[-1] == ("inquire_card",)  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", ["over-limit", "too-little-on-account"])
def test_where_less_may_do_another_amount_is_first(tv: Television, reason: str) -> None:
    post(tv, not_loaded(reason))
    assert tv.focus == "amount"
    tv.press("OK")
    assert tv.state["options"] == ["5000", "10000", "20000", "not-now"]
    tv.press("OK")
    assert (tv.screen, tv.state["balance_fen"]) == ("card-inquiry", 18650)


def test_a_card_that_is_full_gives_way_to_another_amount(tv: Television) -> None:
    post(tv, held_up("cash-full"))
    assert (tv.focus, tv.state["balance_fen"]) == ("amount", 95_000)
    assert "choose a smaller amount" in tv.words()
    tv.press("OK")
    cancelled(tv)
    assert tv.state["options"] == ["5000", "10000", "20000", "not-now"]


@pytest.mark.parametrize(
    "end", [LOADED, not_loaded("card-away", "unknown"), not_loaded("load-disputed", "unknown")]
)
def test_every_end_has_a_number_that_the_hotline_can_be_told(tv: Television, end: LoadEnded) -> None:
    post(tv, end)
    assert "Load number\n7KQ2 M81D" in tv.words()
    post(tv, replace(end, load_number=""))
    assert "Load number" not in tv.words(), "the platform has not heard of it"


def test_before_what_may_be_the_last_try_of_the_pin_the_way_out_comes_first(tv: Television) -> None:
    post(tv, not_loaded("pin-refused-last"))
    assert "The next may be the last try: the bank locks the card after three." in tv.words()
    assert tv.focus == "done"
    tv.ok("again")
    assert tv.focus == "not-now"


@pytest.mark.parametrize("reason", ["pin-refused", "ppp-silent", "card-wait-expired", "card-removed"])
def test_the_same_again_is_asked_for_once_more(tv: Television, reason: str) -> None:
    post(tv, held_up("enter-pin"), not_loaded(reason))
    assert tv.focus == "again"
    assert ("three wrong PINs in a row" in tv.words()) == (reason == "pin-refused")
    tv.press("OK")
    assert tv.focus == "not-now"
    assert "Card ending 4204, balance after loading ¥286.50." in tv.words()
    tv.press("OK")
    assert (tv.screen, tv.state["load"]) == ("card-load", "failed")
    first = journey(tv)
    tv.ok("again").ok("load")
    assert journey(tv) is not first
    assert tv.verbs.asked[-1] == ("load_cash", 10000)  # type: ignore[union-attr]
    assert tv.state["prompt"] == "starting"
    tv.press("BACK")
    assert tv.screen == "question"


@pytest.mark.parametrize(
    ("outcome", "reason", "words"),
    [
        ("failed", "card-removed", "The card was not loaded. You can try again"),
        ("failed", "declined-by-issuer", "refused to load it"),
        ("failed", "box-storage", "storage of this box is full"),
        ("failed", "card-away", "So the load was undone."),
        ("failed", "something-new", "Something went wrong"),
        ("unknown", "card-away", "Put the same card in"),
        ("unknown", "tsp-unreachable", "goes back to the account"),
    ],
)
def test_the_end_says_what_became_of_the_money_and_leads_to_the_card(
    tv: Television, outcome: LoadOutcome, reason: str, words: str
) -> None:
    post(tv, not_loaded(reason, outcome))
    assert words in tv.words()
    assert "money back" not in tv.words()  # nothing was taken, or it was: not both
    assert ("Nothing was taken from the account." if outcome == "failed" else UNKNOWN) in tv.words()
    tv.press("BACK")
    assert tv.screen == "card-inquiry"
    looked_again = tv.verbs.asked[-1] == ("inquire_card",)  # type: ignore[union-attr]
    assert looked_again == (outcome == "unknown")


@pytest.mark.parametrize(
    "end", [LOADED, not_loaded("over-limit"), not_loaded("card-away", "unknown")], ids=lambda end: end.outcome
)
def test_every_end_has_amount_card_and_time(tv: Television, end: LoadEnded) -> None:
    post(tv, end)
    shown = tv.words().split("\n")
    for words in ("Load amount", "¥100.00", "Card number", LOADED.number, "Time", "2026-11-21 19:34:03"):
        assert words in shown


@pytest.mark.parametrize("reason", ["card-away", "load-disputed"])
def test_where_it_is_not_known_there_are_hotline_and_records(tv: Television, reason: str) -> None:
    tv.app.facts["hotline"] = "96123"
    post(tv, not_loaded(reason, "unknown"))
    assert "Questions? Call 96123." in tv.words()
    tv.ok("records")
    assert tv.screen == "records"


def test_words_that_send_to_the_hotline_have_its_number_beside_them(tv: Television) -> None:
    tv.app.facts["hotline"] = "96123"
    post(tv, not_loaded("box-storage"))
    assert "Questions? Call 96123." in tv.words()


def test_what_is_known_needs_neither(tv: Television) -> None:
    tv.app.facts["hotline"] = "96123"
    post(tv, not_loaded("over-limit"))
    assert "96123" not in tv.words()
    assert "See the records" not in tv.words()


def moved(tv: Television) -> None:
    """Somebody takes the card."""
    assert isinstance(tv.verbs, PaymentVerbs)
    tv.verbs.watches[-1].post(CardMoved(inside=False))
    tv.show()


@pytest.mark.parametrize("end", [LOADED, not_loaded("box-storage")], ids=lambda end: end.outcome)
def test_nobody_is_asked_to_take_a_card_that_is_out(tv: Television, end: LoadEnded) -> None:
    post(tv, replace(end, card_in_slot=True))
    assert "Please take your card" in tv.words()
    moved(tv)
    assert "Please take your card" not in tv.words()
    assert tv.state["load"] == end.outcome


@pytest.mark.parametrize(
    ("reason", "words", "color"),
    [
        ("pin-refused", "Done? Take your card", "secondary"),
        ("box-storage", "Please take your card", "warning"),
    ],
)
def test_nobody_is_told_to_take_the_card_that_trying_again_needs(
    tv: Television, reason: str, words: str, color: Color
) -> None:
    post(tv, replace(not_loaded(reason), card_in_slot=True))
    assert tv.color(words) == theme.TEXT[color]


def test_a_success_goes_by_itself_and_not_without_the_card(tv: Television) -> None:
    post(tv, replace(LOADED, card_in_slot=True))
    tv.wait(60)
    assert (tv.screen, tv.state["seconds_left"]) == ("card-load", None)
    moved(tv)
    assert "Done (10)" in tv.words()
    tv.wait(10.5)
    assert tv.screen == "card-inquiry"


@pytest.mark.parametrize("key", ["BACK", "RIGHT", "5"])
def test_any_key_stops_the_count(tv: Television, key: str) -> None:
    post(tv, LOADED)
    tv.press(key).wait(60)
    assert (tv.screen, tv.state["seconds_left"]) == ("card-load", None)


def test_what_has_gone_wrong_stays(tv: Television) -> None:
    post(tv, not_loaded("over-limit"))
    tv.wait(600)
    assert tv.screen == "card-load"


def styles_of(tv: Television) -> dict[str, str]:
    """Of the buttons of a question."""
    composed = nodes(tv.app.navigator.top.compose())
    return {node.key: node.style for node in composed if isinstance(node, Target)}


def test_the_way_forward_is_the_loud_one_and_not_loading_has_the_focus(tv: Television) -> None:
    tv.press("BACK").ok("cancel-load")
    cancelled(tv)
    tv.ok("load")
    assert "How much do you want to load?" in tv.words()
    styles = styles_of(tv)
    assert (tv.focus, styles["not-now"]) == ("not-now", "button")
    tv.ok("10000")
    assert "Load ¥100.00" in tv.words().split("\n")
    styles = styles_of(tv)
    assert (tv.focus, styles["not-now"], styles["load"]) == ("not-now", "button", "primary")


@pytest.mark.parametrize("word", ["insert", "enter-pin", "processing", "put-back", "settling"])
def test_with_large_letters_the_steps_keep_away_from_the_title(word: str) -> None:
    tv = Television(PaymentVerbs(), "en", 150).open("card-load", amount_fen=10_000, held_fen=18_650)
    post(tv, held_up(word))  # type: ignore[arg-type]
    texts = list(tv.app.stage.texts())
    at = next(i for i, text in enumerate(texts) if text.text == "Load")
    label, title = texts[at], texts[at + 1]
    assert title.rect[1] - (label.rect[1] + label.rect[3]) >= 20


REASONS = (
    *("box-storage", "card-expired", "card-issuer-unknown", "card-listed", "pin-blocked", "pin-refused"),
    *("declined-by-issuer", "declined-by-card", "too-little-on-account", "over-limit", "method-not-offered"),
    *("wrong-state", "ppp-silent", "ppp-unreachable", "tsp-unreachable", "internal"),
)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_load_that_failed_speaks_of_no_payment(reason: str, language: str) -> None:
    tv = Television(PaymentVerbs(), language)
    said = ended_words(not_loaded(reason), tv.app.t)
    words = f"{said.title} {said.text}".replace("payment service", "").replace("支付平台", "")
    assert not [word for word in ("pay", "order", "支付", "扣款", "订购") if word in words]


def test_a_full_box_says_that_nothing_was_loaded_and_whom_to_call(tv: Television) -> None:
    tv.app.facts["hotline"] = "96123"
    post(tv, not_loaded("box-storage"))
    assert "So the card was not loaded. Please call the hotline." in tv.words()
    assert "Questions? Call 96123." in tv.words()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_another_card_than_one_of_no_known_number_is_no_card_that_pays(language: str) -> None:
    t = Television(PaymentVerbs(), language).app.t
    words = load_words(CardPrompt("other-card", amount_fen=10_000), t)
    assert words.text == t(
        "Take it out and put back the card that is being loaded: only that one can tell us."
    )
    assert "支付" not in words.title + words.text
    assert "4204" in load_words(held_up("other-card"), t).text


def loading_at(language: str, scale: int) -> Television:
    """A load onto a card that is full: two balances of unequal length."""
    scene = next(scene for scene in LOAD_SCENES if scene.name == "card-load-cash-full")
    return scene.play(language, scale)


@pytest.mark.parametrize("scale", [100, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_both_balances_stand_beside_each_other_and_beside_what_is_loaded(language: str, scale: int) -> None:
    tv = loading_at(language, scale)
    seen = {text.text: text.rect for text in tv.app.stage.texts()}
    sum_, now, after = (seen[words] for words in ("¥100.00", "¥950.00", "¥1,050.00"))
    names = [seen[tv.app.t(words)] for words in ("Electronic cash", "After loading")]
    assert now[1] == after[1] < sum_[1] + sum_[3]
    assert sum_[0] + sum_[2] < now[0] < now[0] + now[2] < after[0]
    # Each amount ends below its name.
    for amount, name in zip((now, after), names, strict=True):
        assert abs(amount[0] + amount[2] - name[0] - name[2]) <= 1
        assert name[1] < amount[1]
    tv.close()
