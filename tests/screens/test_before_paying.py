"""The fee, the ways to pay and the second confirmation: everything said, nothing taken for granted."""

from __future__ import annotations

import pytest

from stb_app.journeys import Method, Order
from stb_app.journeys.steps import Refused
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Television
from tests.screens.scenes import tell_longest


def television(screen: str, language: str = "en", **params: object) -> Television:
    return Television(DummyVerbs(), language).open(screen, **params)


def test_the_fee_tells_everything() -> None:
    words = television("fee", order=data.REDUCED).words()
    for part in (
        "Sports Pack",
        "Yearly",
        "2026-11-21 to 2027-11-21",
        "¥150.00",
        "−¥15.00",
        "10% off for loyal subscribers",
        "¥135.00",
        "Auto-renewal",
        "How to stop it",
        "96123",
        "4C7F 20B7",
    ):
        assert part in words


def test_the_amount_is_the_largest_thing_on_the_page() -> None:
    tv = television("fee", order=data.REDUCED)
    height = {text.text: text.rect[3] for text in tv.app.stage.texts()}
    assert max(height, key=lambda text: height[text] if "\n" not in text else 0) == "¥135.00"


def test_the_fee_goes_on_to_the_ways_to_pay() -> None:
    tv = television("fee", order=data.ORDER)
    assert tv.focus == "continue"
    assert tv.press("OK").screen == "payment-methods"
    assert tv.press("BACK").screen == "fee"


def test_a_price_that_has_run_out_is_asked_for_again() -> None:
    tv = television("fee", order=data.SHORT)
    tv.wait(29)
    assert "continue" in tv.targets()
    tv.wait(2)
    assert tv.state["expired"]
    assert "continue" not in tv.targets()
    tv.press("OK")
    assert tv.verbs is not None
    assert ("order", "sports", "monthly") in tv.verbs.asked
    assert tv.focus == "continue"
    assert not tv.state["expired"]


def test_a_price_that_cannot_be_had_again_says_why() -> None:
    tv = television("fee", order=data.SHORT).wait(31)
    assert tv.verbs is not None
    tv.verbs.answers["order"] = Refused("service-withdrawn")
    tv.press("OK")
    assert tv.state["refusal"] == "service-withdrawn"
    assert "back" in tv.targets()


def test_a_way_that_cannot_be_used_says_why() -> None:
    tv = television("payment-methods", order=data.ONE_METHOD)
    assert tv.targets() == ["card"]
    assert "wallet:demo" in tv.targets(enabled_only=False)
    assert "The wallet does not answer" in tv.words()


def test_when_nothing_works_there_is_a_way_back() -> None:
    tv = television("payment-methods", order=data.NO_METHOD)
    assert tv.targets() == ["back"]
    assert data.HOTLINE in tv.words()
    assert tv.press("OK").screen == "home"


def test_the_confirmation_restates_amount_and_way_and_does_not_pay_by_itself() -> None:
    tv = television("payment-methods", order=data.ORDER).ok("wallet:demo")
    assert (tv.screen, tv.focus) == ("confirm", "cancel")
    assert {"Confirm the payment", "Cancel"} <= set(tv.words().split("\n"))
    assert "Demo wallet (scan)" in tv.words()
    assert "Pay ¥15.00" in tv.words()
    tv.wait(60)
    assert tv.screen == "confirm"
    assert tv.press("OK").screen == "payment-methods"


def test_confirming_opens_the_page_of_the_way_in_its_place() -> None:
    opened = []
    for key, screen in (("card", "card"), ("wallet:demo", "qr")):
        tv = television("payment-methods", order=data.ORDER).ok(key)
        tv.app.replace = lambda screen_id, **params: opened.append((screen_id, params))  # type: ignore[method-assign]
        tv.ok("confirm")
        assert opened.pop() == (screen, {"order": data.ORDER, "method": key})


def card_first(method: Method) -> Television:
    """The confirmation of a payment before which an earlier one's card has to tell."""
    tv = Television(DummyVerbs(), "en")
    assert tv.verbs is not None
    tv.verbs.cards_wanted.add(data.ORDER.service.service)
    return tv.open("confirm", order=data.ORDER, method=method)


@pytest.mark.parametrize("method", data.METHODS[:2])
def test_where_a_card_may_have_paid_already_it_comes_first_whatever_way_was_chosen(method: Method) -> None:
    tv = card_first(method)
    assert "A card may have paid for this service already." in tv.words()
    assert "confirm" not in tv.targets()
    opened = []
    tv.app.replace = lambda screen_id, **params: opened.append((screen_id, params))  # type: ignore[method-assign]
    tv.ok("card-back")
    payment = data.UNSETTLED.payment
    assert opened == [("card", {"order": data.ORDER, "settles_for": method, "settles": payment})]


def test_once_the_background_has_asked_that_card_the_page_tells_how_it_ended() -> None:
    tv = card_first(data.METHODS[1])
    assert tv.wait(2).screen == "confirm"
    assert tv.verbs is not None
    opened = []
    tv.app.replace = lambda screen_id, **params: opened.append((screen_id, params["settles"]))  # type: ignore[method-assign]
    tv.verbs.cards_wanted.clear()
    tv.wait(0.5)
    assert opened == [("card", data.UNSETTLED.payment)]


def test_the_confirmation_that_wants_a_card_first_shows_the_earlier_payment() -> None:
    tv = Television(DummyVerbs())
    assert tv.verbs is not None
    tv.verbs.cards_wanted.add("sports")
    words = tv.open("confirm", order=data.REDUCED, method=data.METHODS[1]).words()
    earlier = data.UNSETTLED
    assert earlier.card is not None
    for fact in ("¥15.00", earlier.number, earlier.card.number, "包年 · ¥135.00 · 演示钱包（扫码）"):
        assert fact in words
    assert data.REDUCED.number not in words


def test_back_on_the_confirmation_does_not_pay() -> None:
    tv = television("payment-methods", order=data.ORDER).ok("card").press("BACK")
    assert tv.screen == "payment-methods"
    assert tv.verbs is not None
    assert not [asked for asked in tv.verbs.asked if asked[0].startswith("pay")]


@pytest.mark.parametrize("order", [data.ORDER, data.NO_METHOD])
@pytest.mark.parametrize("text_scale", [100, 150])
def test_the_amount_is_the_largest_thing_where_the_way_is_chosen(order: Order, text_scale: int) -> None:
    tv = Television(DummyVerbs(), "en", text_scale).open("payment-methods", order=order)
    height = {text.text: text.rect[3] for text in tv.app.stage.texts()}
    assert height[max(height, key=lambda words: height[words])] == height["¥15.00"]
    title = next(
        t for t in tv.app.stage.texts() if t.text in ("How would you like to pay?", "You cannot pay just now")
    )
    assert 150 < title.rect[1] < 170


ROWS = ("Term", "Valid", "Price", "Reduction", "Auto-renewal", "How to stop it", "Hotline", "Order number")


@pytest.mark.parametrize("text_scale", [100, 125, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_large_letters_hide_no_fact_of_the_fee_and_add_none(language: str, text_scale: int) -> None:
    tv = Television(DummyVerbs(), language, text_scale).open("fee", order=data.REDUCED)
    assert "facts" not in tv.targets()  # nothing to scroll
    for part in ("2026-11-21", "¥150.00", "−¥15.00", "¥135.00", "96123", "4C7F 20B7"):
        assert part in tv.words()
    words = tv.words().split("\n")
    assert [row for row in ROWS if tv.app.t(row) not in words] == []
    assert tv.app.t("Order amount") not in words


def test_the_confirmation_s_footer_shows_only_the_arrows_that_lead_somewhere() -> None:
    tv = television("confirm", order=data.ORDER, method=data.METHODS[0])
    tv.press("INFO")
    assert tv.state["keys"][:3] == [["KEY_LEFT", "KEY_RIGHT"], ["KEY_OK"], ["KEY_BACK"]]


def test_ok_on_a_text_that_scrolls_presses_nothing() -> None:
    tv = Television(DummyVerbs(service=data.CLASHING), "en", 150).open("service", service="sports")
    tell_longest(tv)
    assert tv.press("UP").focus == "terms"
    assert tv.press("OK").screen == "service"
    assert tv.press("DOWN", "DOWN", "DOWN", "DOWN", "OK").screen != "service"


@pytest.mark.parametrize("text_scale", [100, 125, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("order", [data.REDUCED, data.ONE_METHOD, data.NO_METHOD])
def test_no_text_size_hides_a_reason_or_what_is_said_of_the_money(
    order: Order, language: str, text_scale: int
) -> None:
    page = "fee" if order is data.REDUCED else "payment-methods"
    tv = Television(DummyVerbs(), language, text_scale).open(page, order=order)
    views = tv.app.stage._laid.viewports  # type: ignore[attr-defined]
    assert [view.key for view in views if view.extent > view.rect[3]] == []
