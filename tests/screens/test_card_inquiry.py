"""Looking at a card: what is on it, in words and figures; Back leaves at once; nothing is taken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cardreader.secret import Pin
from stb_app.journeys import CardStanding
from stb_app.journeys.steps import CardMoved, LoadEnded, Refused
from tests.screens.dummies import Television
from tests.screens.dummy_payments import BANK_CARD, ISSUER, NUMBER, READ, PaymentVerbs, prompt
from tests.screens.scenes_payment import UNASKED, journey, post


@pytest.fixture
def tv() -> Television:
    return Television(PaymentVerbs(), "en").open("card-inquiry")


def test_a_card_is_shown_with_balance_validity_and_its_last_ten(tv: Television) -> None:
    post(tv, prompt("insert"), prompt("reading", known=True), READ)
    for words in (
        NUMBER,
        "¥236.40",
        "Model Bank",
        "2030-12-31",
        "Can pay here",
        "−¥15.00",
        "+¥200.00",
        "2026-11-21 19:33",
    ):
        assert words in tv.words()
    assert tv.state == {
        "prompt": None, "number": NUMBER, "balance_fen": 23640, "expiry_date": "20301231", "usable": True, "refusal": None,
        "transactions": 10, "taken_out": False,
    }  # fmt: skip


def test_a_bank_card_is_shown_with_its_electronic_cash_and_limits(tv: Television) -> None:
    post(tv, prompt("insert"), BANK_CARD)
    for words in ("¥186.50", "2044-02-29", "¥1,000.00", "¥500.00", "Can pay here"):
        assert words in tv.words()
    assert (tv.state["kind"], tv.state["balance_fen"], tv.state["transactions"]) == (
        "electronic-cash",
        18650,
        6,
    )
    post(tv, replace(BANK_CARD, kind="debit", cash=None))
    assert "Debit card" in tv.words()
    assert "The bank tells what is in the account" in tv.words()
    post(tv, replace(BANK_CARD, usable=False))
    assert "Cannot pay here" in tv.words()


def test_the_bank_is_asked_what_is_in_the_account(tv: Television) -> None:
    debit = replace(BANK_CARD, kind="debit", cash=None)
    post(tv, debit)
    tv.ok("account")
    assert tv.verbs.asked[-1] == ("inquire_card", "account")  # type: ignore[union-attr]
    post(tv, prompt("enter-pin"))
    assert "goes to the card's bank alone" in tv.words()
    post(tv, prompt("processing"))
    assert "Asking the card's bank: leave the card in\nThis takes a few seconds." in tv.words()
    assert "Paying" not in tv.words()
    post(tv, replace(debit, account_fen=498_500))
    assert "¥4,985.00" in tv.words()
    assert "account" not in tv.targets()
    assert ("In the account" in tv.words(), "Available credit" in tv.words()) == (True, False)
    assert "Type\nDebit card" in tv.words()


def test_the_balance_is_the_first_way_until_it_is_told(tv: Television) -> None:
    debit = replace(BANK_CARD, kind="debit", cash=None)
    post(tv, debit)
    assert tv.focus == "account"
    assert "See account balance" in tv.words()
    post(tv, replace(debit, account_fen=498_500))
    assert tv.focus == "done"
    post(tv, replace(debit, usable=False))
    assert (tv.focus, "account" in tv.targets()) == ("done", False)
    post(tv, BANK_CARD)
    assert tv.focus == "done"


def test_a_credit_card_s_limit_is_not_called_money_in_the_account(tv: Television) -> None:
    credit = replace(BANK_CARD, kind="credit", cash=None)
    post(tv, credit)
    assert "See available credit" in tv.words()
    post(tv, replace(credit, account_fen=498_500))
    assert "Available credit" in tv.words()
    assert "account" not in tv.words()


def test_a_wrong_pin_for_the_balance_is_a_warning(tv: Television) -> None:
    debit = replace(BANK_CARD, kind="debit", cash=None)
    post(tv, replace(debit, account_refusal="pin-refused"))
    assert "The PIN was not right." in tv.words()
    assert "After three wrong PINs in a row" in tv.words()
    assert "Can pay here" not in tv.words()
    assert tv.focus == "account", "as on the result of a payment: who has mistyped wants to try again"
    post(tv, replace(debit, account_refusal="pin-refused-last"))
    assert "The next may be the last try: the bank locks the card after three." in tv.words()
    assert tv.focus == "done", "another one may lock the card"
    post(tv, replace(debit, account_refusal="ppp-silent"))
    assert "The card's bank does not answer." in tv.words()
    assert "three wrong PINs" not in tv.words()
    assert "Can pay here" not in tv.words()
    assert tv.focus == "account"


@pytest.mark.parametrize(
    "refusal", ["declined-by-issuer", "declined-by-card", "over-limit", "card-listed", "method-not-offered"]
)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_refused_balance_is_no_refused_payment(refusal: str, language: str) -> None:
    tv = Television(PaymentVerbs(), language).open("card-inquiry")
    post(tv, replace(BANK_CARD, kind="debit", cash=None, log=(), account_refusal=refusal))
    said = tv.words()
    assert not {
        word for word in ("pay", "支付", "扣款") if word in said.replace(tv.app.t("Can pay here"), "")
    }
    assert tv.focus == "done", "its bank has said no"
    post(tv, replace(BANK_CARD, kind="debit", cash=None, log=(), account_refusal="ppp-unreachable"))
    assert tv.app.t("The card's bank cannot be asked just now") in tv.words()
    assert tv.focus == "account"


@pytest.mark.parametrize("scale", [100, 150])
def test_what_a_card_may_hold_ends_where_its_other_facts_end(scale: int) -> None:
    tv = Television(PaymentVerbs(), "en", text_scale=scale).open("card-inquiry")
    post(tv, BANK_CARD)
    ends = {text.text: text.rect[0] + text.rect[2] for text in tv.app.stage.texts()}
    assert len({ends[words] for words in (BANK_CARD.number, "2044-02-29", "¥1,000.00", "¥500.00")}) == 1


def test_loading_is_asked_twice_with_the_focus_on_not_loading(tv: Television) -> None:
    post(tv, BANK_CARD)
    tv.ok("load")
    assert (tv.focus, tv.state["options"]) == ("not-now", ["5000", "10000", "20000", "not-now"])
    tv.ok("10000")
    assert (tv.focus, tv.state["options"]) == ("not-now", ["not-now", "load"])
    assert "Load ¥100.00 onto the card?" in tv.words()
    assert "Card ending 4204, balance after loading ¥286.50." in tv.words()
    tv.press("OK")
    assert tv.screen == "card-inquiry"
    assert tv.state["balance_fen"] == 18650
    tv.ok("load").ok("10000").ok("load")
    assert tv.screen == "card-load"
    assert tv.verbs.asked[-1] == ("load_cash", 10000)  # type: ignore[union-attr]


@pytest.mark.parametrize("word", ["reading", "processing"])
def test_a_card_or_a_bank_that_takes_its_time_is_told_of(tv: Television, word: str) -> None:
    post(tv, prompt(word))  # type: ignore[arg-type]
    tv.wait(9)
    assert "This takes longer than usual" in tv.words()
    post(tv, prompt("enter-pin"))
    assert "longer than usual" not in tv.words()
    tv.press(*"123456", "OK").wait(9)
    assert "This takes longer than usual. Please leave the card in." in tv.words()


def test_what_does_not_fit_is_not_offered(tv: Television) -> None:
    post(tv, replace(BANK_CARD, cash=replace(BANK_CARD.cash, balance_fen=85_000)))  # type: ignore[type-var]
    tv.ok("load")
    assert tv.state["options"] == ["5000", "10000", "not-now"]
    tv.press("OK")
    post(tv, replace(BANK_CARD, cash=replace(BANK_CARD.cash, balance_fen=100_000)))  # type: ignore[type-var]
    assert "load" not in tv.targets()


def test_the_transactions_scroll_to_the_tenth(tv: Television) -> None:
    post(tv, READ)
    assert "The arrow keys show them all" in tv.words()
    tv.press("RIGHT", "DOWN")
    assert tv.focus == "log"
    tv.show()
    foot = [key.cap for key in tv.app._composer.picture.foot]  # type: ignore[union-attr]
    assert foot[:2] == ["arrows-ud", "arrows-lr"]
    assert "2026-09-30 07:00" not in tv.words()
    tv.press(*["DOWN"] * 12)
    assert "2026-09-30 07:00" in tv.words()


def test_a_card_that_cannot_pay_here_says_why(tv: Television) -> None:
    post(tv, replace(READ, standing=CardStanding(ISSUER, False, "card-issuer-unknown")))
    assert "Cannot pay here" in tv.words()
    assert "Cards of this bank are not accepted here." in tv.words()
    post(tv, UNASKED)
    assert "Not checked" in tv.words()
    assert "There is no connection to ask" in tv.words()
    post(tv, replace(UNASKED, asked_problem="box-suspended"))
    assert "This box is out of service" in tv.words()
    assert "no connection" not in tv.words()


@pytest.mark.parametrize("log", [None, ()])
def test_a_card_without_a_log_says_so(tv: Television, log: tuple[()] | None) -> None:
    post(tv, replace(READ, log=log))
    assert ("does not show them" if log is None else "no transactions on the card yet") in tv.words()


def test_the_pin_goes_to_the_card_alone(tv: Television) -> None:
    post(tv, prompt("enter-pin"))
    tv.press(*"739182")
    assert "739182" not in json.dumps(tv.app.snapshot()) + repr(tv.app.navigator.layers())
    tv.press("OK")
    assert journey(tv).pins == [Pin("739182")]
    assert tv.app.snapshot()["busy"]
    post(tv, prompt("wrong-pin", 2))
    assert (tv.focus, tv.state["digits"]) == ("pin", 0)


def test_too_few_digits_are_not_sent(tv: Television) -> None:
    post(tv, prompt("enter-pin"))
    tv.press("1", "2", "LEFT", "OK")
    assert journey(tv).pins == []
    assert "Still missing:\u00a05." in tv.words()


def test_with_digits_back_deletes_one_and_says_so_and_home_goes(tv: Television) -> None:
    post(tv, prompt("enter-pin"))
    tv.press("1", "2")
    assert "Delete a digit" in tv.words()
    tv.press("BACK", "BACK")
    assert (tv.screen, tv.state["digits"]) == ("card-inquiry", 0)
    assert "Delete a digit" not in tv.words()
    tv.press("1", "HOME")
    assert tv.screen == "home"


@pytest.mark.parametrize("step", [prompt("insert"), prompt("reading", known=True), prompt("settling"), READ])
def test_back_leaves_at_once_and_ends_the_inquiry(tv: Television, step: object) -> None:
    post(tv, step)
    tv.press("BACK")
    assert tv.screen == "home"
    assert journey(tv).cancelled


def test_again_begins_anew_and_does_not_hear_the_old_inquiry(tv: Television) -> None:
    post(tv, READ)
    old = journey(tv)
    tv.ok("again")
    assert journey(tv) is not old
    assert old.cancelled
    old.post(Refused("cancelled"))
    tv.show()
    assert tv.state["prompt"] == "insert"
    tv.ok("done")
    assert tv.screen == "home"


def test_a_refusal_can_be_tried_again(tv: Television) -> None:
    post(tv, Refused("card-wait-expired", retryable=True))
    assert tv.focus == "again"
    tv.press("OK")
    assert tv.state["prompt"] == "insert"


def test_before_there_is_a_connection_it_waits_for_one() -> None:
    tv = Television(None, "en").open("card-inquiry")
    assert tv.app.snapshot()["busy"]
    assert "getting ready" in tv.words()
    tv.verbs = PaymentVerbs()
    tv.app.connected(tv.verbs)
    tv.show()
    assert tv.state["prompt"] == "insert"
    post(tv, READ)
    assert tv.state["balance_fen"] == 23640


def test_back_leaves_while_there_is_no_connection() -> None:
    tv = Television(None, "en").open("card-inquiry").press("BACK")
    tv.wait(2)
    assert tv.screen == "home"


@pytest.mark.parametrize(
    "step", [prompt("reader-missing"), Refused("card-wait-expired", retryable=True), prompt("removed-early")]
)
def test_where_nothing_is_paid_nobody_speaks_of_paying(tv: Television, step: object) -> None:
    post(tv, step)
    assert not {word for word in ("pay", "phone") if word in tv.words().lower()}
    assert "Back" in tv.words().split("\n")


def moved(tv: Television, *inside: bool) -> None:
    """A hand at the slot, as the watch beside the page sees it."""
    assert isinstance(tv.verbs, PaymentVerbs)
    watch = tv.verbs.watches[-1]
    for one in inside:
        watch.post(CardMoved(one))
        tv.show()


def test_a_load_is_called_so_in_the_card_s_log_too(tv: Television) -> None:
    post(tv, BANK_CARD)
    assert "Top-up" not in tv.words()
    assert "Load" in tv.words().split("\n")


def test_a_card_s_figures_stay_when_it_is_taken_and_go_when_one_is_put_in(tv: Television) -> None:
    post(tv, prompt("insert"), READ)
    first = journey(tv)
    assert "Please take your card" in tv.words()
    moved(tv, False)
    assert "¥236.40" in tv.words()
    assert "The card was taken out." in tv.words()
    assert "Please take your card" not in tv.words()
    assert tv.state["taken_out"]
    moved(tv, True)
    assert "The card was taken out." not in tv.words()
    assert "¥236.40" not in tv.words()
    assert journey(tv) is not first
    post(tv, prompt("reading"), BANK_CARD)
    assert "¥186.50" in tv.words()
    assert "¥236.40" not in tv.words()


def test_a_card_that_may_still_be_needed_is_left_in(tv: Television) -> None:
    asked = replace(BANK_CARD, kind="debit", cash=None)
    for step in (BANK_CARD, asked):
        post(tv, step)
        assert "Please take your card" not in tv.words()
    post(tv, replace(asked, account_fen=498_500))
    assert "Please take your card" in tv.words()


def test_another_card_closes_the_question_about_the_one_before(tv: Television) -> None:
    for keys in ((), ("5000",)):
        post(tv, BANK_CARD)
        tv.ok("load")
        for key in keys:
            tv.ok(key)
        assert tv.screen == "question"
        moved(tv, False, True)
        assert (tv.screen, tv.state["prompt"]) == ("card-inquiry", "insert")


def test_an_account_is_not_asked_for_another_card(tv: Television) -> None:
    post(tv, replace(BANK_CARD, kind="debit", cash=None))
    tv.ok("account")
    post(tv, replace(BANK_CARD, kind="debit", cash=None, account_fen=498_500))
    moved(tv, False, True)
    assert tv.verbs.asked[-1] == ("inquire_card",)  # type: ignore[union-attr]


@pytest.mark.parametrize("other", [False, True])
def test_after_a_load_what_was_read_holds_only_if_the_card_has_stayed_in(tv: Television, other: bool) -> None:
    post(tv, BANK_CARD)
    tv.ok("load").ok("5000").ok("load")
    assert tv.screen == "card-load"
    if other:
        moved(tv, False, True)
    assert tv.screen == "card-load", "the slot is the load's"
    post(tv, LoadEnded("failed", "cancelled", 5000, "", None))
    assert tv.screen == "card-inquiry"
    assert ("¥186.50" in tv.words()) is not other


def test_leaving_ends_the_watch(tv: Television) -> None:
    post(tv, READ)
    assert isinstance(tv.verbs, PaymentVerbs)
    tv.press("BACK")
    assert tv.verbs.watches[-1].cancelled
