"""The records: what stands in them, that an open payment changes by itself, and one payment in full."""

from __future__ import annotations

from dataclasses import replace

import pytest

from screens.problems import money_words, words_for
from screens.words import PENDING
from stb_app.journeys import Load, Money, PaidCard, Payment, Records
from stb_app.journeys.steps import finished
from stb_app.kit import theme
from stb_app.kit.nodes import Color
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Television
from tests.screens.dummy_payments import PAID, PaymentVerbs
from tests.screens.scenes import UNREACHABLE

OPEN = data.RECORDS[1]
NUMBER_OF_LOAD = "6217 00** **** *** 4204"
CLOSED = replace(OPEN, state="done", money="taken", version=4)


def test_a_record_says_when_what_how_much_and_what_became_of_it() -> None:
    words = Television(DummyVerbs(), "en").open("records").words()
    for part in (
        "Sports Pack · Monthly",
        "2026-11-21 19:33 · Purse card",
        "¥15.00",
        "Paid",
        "Being checked",
        "The code has run out",
    ):
        assert part in words


def test_how_a_payment_was_made_is_told_in_the_list_in_full_and_at_its_end() -> None:
    kinds = ("Debit card", "Credit card", "Electronic cash", "Purse card", "UnionPay card")
    records = Television(DummyVerbs(records=Records(data.BY_KIND, ())), "en").open("records")
    assert [line.partition(" · ")[2] for line in records.words().split("\n") if ":33 · " in line] == list(
        kinds
    )
    for payment, kind in zip(data.BY_KIND, kinds, strict=True):
        record = Television(DummyVerbs(), "en").open("record", payment=payment)
        result = Television(DummyVerbs(), "en").open("result", finished=finished(payment), order=data.ORDER)
        for tv in (record, result):
            assert {"Paid with", kind} <= set(tv.words().split("\n"))


def test_open_payments_are_followed_to_their_end() -> None:
    verbs = DummyVerbs(follow=(finished(CLOSED),))
    tv = Television(verbs).open("records")
    assert ("follow", OPEN.payment) in verbs.asked
    states = {record["number"]: record["state"] for record in tv.state["records"]}
    assert states[OPEN.number] == "done"


def test_a_record_opens_in_full_and_back_finds_the_focus() -> None:
    tv = Television(DummyVerbs(), "en").open("records").ok(f"record:{data.RECORDS[2].payment}")
    assert tv.screen == "record"
    assert "4C7E 9B22" in tv.words()
    assert tv.press("BACK").focus == f"record:{data.RECORDS[2].payment}"


def test_a_card_payment_shows_card_and_balances() -> None:
    words = Television(DummyVerbs(), "en").open("record", payment=data.RECORDS[0]).words()
    for part in ("6217 00** **** **** 2047", "¥236.40", "¥221.40", "2026-12-21", "The money was taken."):
        assert part in words


@pytest.mark.parametrize(
    ("reason", "pill", "said"),
    [
        ("psam-none-free", "Not paid", "Too many people are paying just now"),
        ("card-wait-expired", "Time ran out", "No card was put in"),
        ("cancelled", "Cancelled", "No money was taken."),
    ],
)
def test_a_payment_that_the_box_gave_up_was_not_cancelled_by_anybody(
    reason: str, pill: str, said: str
) -> None:
    given_up = replace(data.RECORDS[6], reason=reason)
    words = Television(DummyVerbs(), "en").open("record", payment=given_up).words()
    assert pill in words
    assert said in words
    assert ("Cancelled" in words) == (reason == "cancelled")


def test_what_a_person_has_written_off_is_no_fault_of_the_platform() -> None:
    payment = replace(
        PAID, state="failed", money="not-taken", reason="not-debited", card=None, valid_until=None
    )
    words = Television(DummyVerbs(), "en").open("record", payment=payment).words()
    assert "Our staff have checked this payment" in words
    assert "Something went wrong" not in words


def test_an_open_payment_in_full_changes_by_itself() -> None:
    tv = Television(DummyVerbs(follow=(finished(CLOSED),)), "en").open("record", payment=OPEN)
    assert tv.state["state"] == "done"
    assert "The money was taken." in tv.words()


def test_looking_again_asks_again() -> None:
    verbs = DummyVerbs(records=data.NO_RECORDS)
    tv = Television(verbs).open("records")
    assert tv.focus == "services"
    verbs.answers["records"] = data.ALL_RECORDS
    assert tv.ok("refresh").state["numbers"] == [payment.number for payment in data.RECORDS]


def test_loads_stand_among_the_payments_by_their_time() -> None:
    tv = Television(DummyVerbs(), "en").open("records")
    mine = sorted((*data.RECORDS, *data.LOADS), key=lambda one: one.time, reverse=True)
    keys = [f"load:{one.load}" if isinstance(one, Load) else f"record:{one.payment}" for one in mine]
    assert [key for key in tv.targets() if key.startswith(("load:", "record:"))] == keys
    assert f"The last {len(mine)} records" in tv.words()
    for part in (
        "Electronic cash load",
        "2026-11-20 09:12 · card ****\u00a04204",
        "¥100.00",
        "Loaded",
    ):
        assert part in tv.words().split("\n")
    assert tv.state["loads"][2] == {"load": "l3", "state": "failed", "money": "not-taken", "amount_fen": 5000}


def test_a_load_s_mark_says_what_became_of_it() -> None:
    tv = Television(DummyVerbs(records=Records((), (), data.LOADS)), "en").open("records")
    marks = [word for word in tv.words().split("\n") if word in ("Loaded", "Not loaded", "Being checked")]
    assert marks == ["Loaded", "Being checked", "Not loaded", "Being checked"]


def test_whoever_has_only_loaded_has_records_too() -> None:
    tv = Television(DummyVerbs(records=Records((), None, data.LOADS[:1])), "en").open("records")
    assert tv.focus == "load:l1"
    assert "One record" in tv.words()
    assert "Nothing paid" not in tv.words()


def test_a_load_opens_in_full_and_back_finds_the_focus() -> None:
    tv = Television(DummyVerbs(), "en").open("records").ok("load:l1")
    assert (tv.screen, tv.focus, tv.state["load"]) == ("load-record", "back", "l1")
    rows = {text.text: text.rect[1] for text in tv.app.stage.texts()}
    assert rows["Before loading"] == rows["After loading"]
    assert tv.words().count("7KQ2 M81D") == 2, "above, and among what a hotline asks for"
    for part in (
        *("The card is loaded", "¥100.00 was taken from the account.", "6217 00** **** *** 4204"),
        *("¥186.50", "¥286.50", "2026-11-20 09:12:30"),
    ):
        assert part in rows
    assert tv.press("OK").focus == "load:l1"


@pytest.mark.parametrize(
    ("state", "money", "reason", "said"),
    [
        (
            *("unknown", "unknown", None),
            (
                "The load has no result yet",
                "Put the same card in at any time: that shows what happened.",
                "96123",
            ),
        ),
        (
            *("unknown", "unknown", "load-disputed"),
            ("Our staff are checking this load", "You need not do anything.", "96123"),
        ),
        (
            *("unknown", "unknown", "ppp-silent"),
            ("What the card does not get goes back to the account.", "do not load again", "96123"),
        ),
        (
            *("failed", "not-taken", "card-away"),
            ("Not loaded", "The card was not put in again", "Nothing was taken from the account."),
        ),
        (
            *("failed", "not-taken", "not-debited"),
            ("Our staff have checked this load", "Nothing was taken from the account."),
        ),
        (*("failed", "not-taken", "pin-refused"), ("The PIN was not right",)),
    ],
)
@pytest.mark.parametrize("scale", [100, 150])
def test_a_load_says_what_became_of_the_money_and_what_to_do(
    state: str, money: Money, reason: str | None, said: tuple[str, ...], scale: int
) -> None:
    load = Load(
        "l9",
        state,
        money,
        reason,
        PaidCard("6217 00** **** *** 4204", 100, None),
        5000,
        data.NOW,
        "4C7F 20A1",
    )
    tv = Television(DummyVerbs(), "en", text_scale=scale).open("load-record", load=load)
    seen = "\n".join(text.text for text in tv.app.stage.texts() if not text.clipped)
    for part in said:
        assert part in seen
    assert ("Please do not load again." in seen) == (money == "unknown")
    assert "Something went wrong" not in seen


@pytest.mark.parametrize(
    ("load", "label"),
    [(data.LOADS[0], "After loading"), (data.LOADS[3], "Electronic cash on the card")],
    ids=["loaded", "disputed"],
)
def test_what_the_card_says_of_a_load_in_dispute_is_no_balance_after_it(load: Load, label: str) -> None:
    shown = Television(DummyVerbs(), "en").open("load-record", load=load).words().split("\n")
    assert {"After loading", "Electronic cash on the card"} & set(shown) == {label}


def test_an_open_load_in_full_changes_by_itself() -> None:
    loaded = replace(data.LOADS[1], state="loaded", money="taken", card=None)
    tv = Television(DummyVerbs(), "en").open("load-record", load=data.LOADS[1])
    here = "This changes here by itself as soon as we know."
    assert here in tv.words()
    tv = Television(DummyVerbs(follow_load=(loaded,)), "en").open("load-record", load=data.LOADS[1])
    assert (tv.state["state"], tv.state["money"]) == ("loaded", "taken")
    assert "¥100.00 was taken from the account." in tv.words()
    assert here not in tv.words()
    assert NUMBER_OF_LOAD in tv.words(), "the card's part stays"


def test_a_load_that_is_over_or_with_our_staff_is_not_followed() -> None:
    for load in (data.LOADS[0], data.LOADS[2], data.LOADS[3]):
        verbs = DummyVerbs()
        Television(verbs).open("load-record", load=load)
        assert not [asked for asked in verbs.asked if asked[0] == "follow_load"]


def test_following_a_load_ends_with_its_page() -> None:
    verbs = PaymentVerbs()
    Television(verbs).open("load-record", load=data.LOADS[1]).press("BACK")
    assert verbs.begun[-1].cancels == 1


def test_open_loads_of_the_list_are_followed_to_their_end() -> None:
    loaded = replace(data.LOADS[1], state="loaded", money="taken")
    verbs = DummyVerbs(follow_load=(loaded,))
    tv = Television(verbs).open("records")
    assert [asked for asked in verbs.asked if asked[0] == "follow_load"] == [("follow_load", "l2")]
    assert {one["load"]: one["state"] for one in tv.state["loads"]}["l2"] == "loaded"


def test_an_empty_list_leads_to_the_services() -> None:
    assert Television(DummyVerbs(records=data.NO_RECORDS)).open("records").press("OK").screen == "services"


def test_what_was_paid_elsewhere_stands_below_under_its_own_heading() -> None:
    tv = Television(DummyVerbs(), "en").open("records")
    assert tv.focus == f"record:{data.RECORDS[0].payment}"
    assert tv.targets()[-len(data.EARLIER) :] == [f"earlier:{place}" for place in range(len(data.EARLIER))]
    tv.press(*["DOWN"] * (len(data.RECORDS) + len(data.LOADS)))
    assert tv.focus == "earlier:0"
    words = [text.text for text in tv.app.stage.texts()]
    below = words[words.index("Paid elsewhere") + 1 :]
    assert below[:4] == ["HD Movies · Monthly", "2026-11-02", "¥25.00", "In use"]
    assert tv.state["earlier"][0] == {
        "service": "movies",
        "date": "2026-11-02",
        "amount_fen": 2500,
        "status": "active",
    }


def test_what_was_paid_elsewhere_leads_to_its_service() -> None:
    verbs = DummyVerbs(records=Records((), data.EARLIER))
    tv = Television(verbs, "en").open("records")
    assert tv.focus == "earlier:0"
    assert "Paid elsewhere" in tv.words()
    assert "Nothing paid yet" not in tv.words()
    assert tv.press("OK").screen == "service"
    assert ("service", "movies") in verbs.asked


def test_when_boss_is_silent_the_payments_are_there_and_nothing_is_claimed() -> None:
    said = "What you paid elsewhere cannot be shown just now."
    some = Television(DummyVerbs(records=Records(data.RECORDS, None)), "en").open("records").words()
    none = Television(DummyVerbs(records=Records((), None)), "en").open("records").words()
    assert said in some
    assert "Sports Pack · Monthly" in some
    assert said in none
    assert "Nothing paid yet" not in none


@pytest.mark.parametrize(
    ("payment", "outcome", "money_taken"),
    [
        (data.RECORDS[0], "success", True),
        (data.RECORDS[1], "pending", None),
        (data.RECORDS[3], "expired", False),
        (data.RECORDS[4], "failed", False),
    ],
)
def test_a_record_tells_programs_what_its_result_told(
    payment: Payment, outcome: str, money_taken: bool | None
) -> None:
    state = Television(DummyVerbs()).open("record", payment=payment).state
    assert (state["outcome"], state["money_taken"], state["number"]) == (outcome, money_taken, payment.number)
    until = payment.valid_until
    assert state["valid_until"] == (None if until is None else until.isoformat())


@pytest.mark.parametrize("payment", data.RECORDS, ids=lambda payment: payment.number)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_large_letters_keep_what_became_of_the_money_and_what_to_do(payment: Payment, language: str) -> None:
    tv = Television(DummyVerbs(), language, text_scale=150).open("record", payment=payment)
    seen = [text.text for text in tv.app.stage.texts() if not text.clipped]
    assert money_words(payment.money, tv.app.t) in seen
    if payment.reason:
        said = words_for(payment.reason, payment.facts, tv.app.t)
        # The title says the state already, if the reason is nothing else.
        assert said.title in seen or payment.reason == payment.state
        assert said.text in seen
    if payment.state in PENDING:
        assert tv.app.t("This changes here by itself as soon as we know.") in seen


@pytest.mark.parametrize("language", ["zh", "en"])
def test_whom_to_call_where_nobody_knows_what_became_of_the_money(language: str) -> None:
    for payment in data.RECORDS:
        tv = Television(DummyVerbs(), language).open("record", payment=payment)
        assert ("96123" in tv.words()) is (payment.money == "unknown")
    # A text that sends to the hotline has its number beside it.
    failed = replace(data.RECORDS[0], state="failed", money="not-taken", reason="box-storage")
    assert "96123" in Television(DummyVerbs(), language).open("record", payment=failed).words()
    refused = Television(DummyVerbs(records=UNREACHABLE), language).open("records")
    assert "96123" in refused.words()


def test_both_balances_of_a_card_stand_in_one_row() -> None:
    tv = Television(DummyVerbs(), "en").open("record", payment=PAID)
    rows = {text.text: text.rect[1] for text in tv.app.stage.texts()}
    assert rows["Balance before"] == rows["Balance after"]
    assert rows["Paid with"] == rows["Card number"]
    assert "Amount paid" in rows


@pytest.mark.parametrize(("money", "color"), [("unknown", "money"), ("not-taken", "secondary")])
def test_an_amount_has_one_colour_on_the_result_in_the_records_and_in_full(
    money: Money, color: Color
) -> None:
    state = "unknown" if money == "unknown" else "failed"
    payment = replace(PAID, state=state, money=money, amount_fen=1234, card=None, valid_until=None)
    records = Television(DummyVerbs(records=Records((payment,), ())), "en").open("records")
    record = Television(DummyVerbs(), "en").open("record", payment=payment)
    result = Television(DummyVerbs(), "en").open("result", finished=finished(payment), order=data.ORDER)
    assert {tv.color("¥12.34") for tv in (records, record, result)} == {theme.TEXT[color]}


def test_what_must_not_be_paid_again_is_said_once() -> None:
    payment = replace(
        PAID, state="unknown", money="unknown", reason="mac2-refused", card=None, valid_until=None
    )
    tv = Television(DummyVerbs(), "en").open("record", payment=payment)
    assert tv.words().count("not pay again") == 1
    assert tv.color("Please do not pay again.") == theme.TEXT["warning"]


def test_an_end_is_not_said_twice_and_what_was_not_paid_is_an_order_amount() -> None:
    payment = replace(
        PAID, state="cancelled", money="not-taken", reason="cancelled", card=None, valid_until=None
    )
    words = Television(DummyVerbs(), "en").open("record", payment=payment).words()
    assert "Order amount" in words
    assert "Cancelled" in words
    assert "The payment was cancelled" not in words


@pytest.mark.parametrize(
    ("money", "reason", "words"),
    [
        ("returned", "expired", "Came too late, sent back"),
        ("taken", "expired", "Came too late, being sent back"),
        ("returned", "service-not-opened", "Not switched on, sent back"),
    ],
)
def test_money_on_its_way_back_is_not_called_back(money: Money, reason: str, words: str) -> None:
    payment = replace(PAID, state="late", money=money, reason=reason, method="wallet:demo", card=None)
    assert words in Television(DummyVerbs(), "en").open("record", payment=payment).words().split("\n")


def test_what_a_person_has_opened_counts_as_paid_and_nobody_says_that_money_was_taken() -> None:
    payment = replace(PAID, reason="opened-by-operator")
    end = finished(payment)
    record = Television(DummyVerbs(), "en").open("record", payment=payment)
    result = Television(DummyVerbs(), "en").open("result", finished=end, order=data.ORDER)
    earlier = Television(DummyVerbs(), "en").open(
        "result", finished=replace(end, earlier=True), order=data.ORDER
    )
    for tv in (record, result, earlier):
        assert "It counts as paid. You owe nothing and need not pay again." in tv.words()
        assert "Paid with" in tv.words().split("\n")
        assert "taken" not in tv.words()
        assert not {"Amount paid", "Order amount"} & set(tv.words().split("\n"))
    for tv in (record, result):
        assert "Our staff have switched the service on" in tv.words()
        assert "Now on the card" in tv.words()
        assert "Balance after" not in tv.words()
