"""From the list of services to the fee: choosing a term, BOSS's answer, and its refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from screens.parts import trouble_sign
from stb_app.journeys import ServicePage
from stb_app.journeys.steps import Loading, Refused
from stb_app.kit import theme
from stb_app.kit.nodes import Panel, Sign, Target
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Television


def service(language: str = "en", **answers: object) -> Television:
    return Television(DummyVerbs(**answers), language).open("service", service="sports")


def test_the_list_remembers_where_the_focus_was() -> None:
    tv = Television(DummyVerbs()).open("services").ok("service:opera").press("BACK")
    assert (tv.screen, tv.focus) == ("services", "service:opera")


def test_the_list_shows_what_is_in_use_and_what_has_ended() -> None:
    tv = Television(DummyVerbs(), "en").open("services")
    assert "10 days left" in tv.words()
    assert "Ended" in tv.words()
    sports = next(target for target in tv.app.stage.targets() if target.key == "service:sports")
    assert sports.text == "Sports Pack from ¥15 a month"


def test_the_page_tells_all_about_the_service() -> None:
    words = service().words()
    for part in (
        "Six sports channels",
        "2026-03-01 to 2026-05-31",
        "Quarterly · ¥42.00",
        "2025-11-12",
        "Save 16%",
        "96123",
    ):
        assert part in words


def test_choosing_a_term_goes_on_to_the_order() -> None:
    tv = service()
    assert tv.focus == "term:monthly"
    tv.ok("term:yearly")
    assert tv.focus == "order"
    assert "Order · Yearly ¥150.00" in tv.words()


def test_ordering_asks_for_the_chosen_term_and_shows_the_fee() -> None:
    tv = service().ok("term:quarterly").press("OK")
    assert tv.verbs is not None
    assert ("order", "sports", "quarterly") in tv.verbs.asked
    assert tv.screen == "fee"


def test_while_the_fee_is_worked_out_nothing_can_be_pressed() -> None:
    tv = service(order=Loading()).ok("order")
    assert tv.app.snapshot()["busy"]
    assert tv.focus is None
    tv.press("OK", "OK")
    assert tv.verbs is not None
    assert [asked[0] for asked in tv.verbs.asked].count("order") == 1


def test_a_term_that_is_refused_says_why_and_cannot_be_chosen() -> None:
    tv = service(service=data.SOME_REFUSED)
    assert "term:per-use" not in tv.targets()
    assert "You already have this service" in tv.words()
    assert "Not on offer" in tv.words()


def test_when_no_term_is_left_the_page_says_why_once_and_leads_on() -> None:
    tv = service(service=data.ALL_REFUSED)
    assert tv.words().count("Your account has unpaid bills") == 1
    assert tv.targets() == ["other"]
    assert tv.press("OK").screen == "home"


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("already-subscribed", "other"),
        ("order-clash", "other"),
        ("service-withdrawn", "other"),
        ("term-not-sold", "terms"),
        ("subscriber-in-arrears", "terms"),
        ("box-unknown", "terms"),
        ("box-suspended", "terms"),
        ("boss-unreachable", "again"),
        ("tsp-unreachable", "again"),
    ],
)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_refusal_has_words_and_a_way_on(code: str, first: str, language: str) -> None:
    tv = service(language, order=Refused(code)).ok("order")
    assert tv.screen == "service"
    assert tv.state["refusal"] == code
    assert tv.focus == first
    assert code not in tv.words()
    assert data.HOTLINE in tv.words()
    tv.press("BACK")
    assert (tv.screen, tv.focus, tv.state["refusal"]) == ("service", "term:monthly", None)


def test_a_refusal_because_of_an_open_payment_says_in_amber_not_to_pay_again() -> None:
    tv = service(order=Refused("payment-in-progress")).ok("order")
    assert tv.color("Please do not pay again.") == theme.TEXT["warning"]
    tv = Television(DummyVerbs(), "en").open("fee", order=data.SHORT).wait(31)
    assert tv.verbs is not None
    tv.verbs.answers["order"] = Refused("payment-in-progress")
    assert tv.press("OK").color("Please do not pay again.") == theme.TEXT["warning"]


def test_trying_again_after_a_refusal_can_work() -> None:
    tv = service(order=Refused("boss-unreachable", True)).ok("order")
    assert tv.verbs is not None
    tv.verbs.answers["order"] = data.ORDER
    assert tv.press("OK").screen == "fee"


def test_a_service_that_cannot_be_loaded_can_be_asked_for_again() -> None:
    tv = service(service=Refused("tsp-unreachable", True))
    assert tv.focus == "retry"
    assert tv.verbs is not None
    tv.verbs.answers["service"] = data.SPORTS_PAGE
    assert tv.press("OK").focus == "term:monthly"


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720)])
@pytest.mark.parametrize("text_scale", [125, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("page", [data.SPORTS_PAGE, data.SOME_REFUSED])
def test_large_letters_show_every_term(
    page: ServicePage, language: str, text_scale: int, size: tuple[int, int]
) -> None:
    tv = Television(DummyVerbs(service=page), language, text_scale, size).open("service", service="sports")
    renewal = tv.app.t("It ends by itself and is not renewed.")
    note = next(t for t in tv.app.stage.texts() if renewal in t.text)
    terms = [t.rect for t in tv.app.stage.targets() if t.key.startswith("term:")]
    assert len([y for _, y, _, height in terms if y + height <= note.rect[1]]) == 4
    views = {view.key: view for view in tv.app.stage._laid.viewports}
    assert "terms" not in views or views["terms"].extent <= views["terms"].rect[3]
    assert "2026-12-21" in tv.words()


@pytest.mark.parametrize("text_scale", [100, 150])
def test_good_news_do_not_look_like_a_refusal(text_scale: int) -> None:
    def fills(page: ServicePage) -> set[str]:
        tv = Television(DummyVerbs(service=page), "en", text_scale).open("service", service="sports")
        assert "Per use" in tv.words()
        return {node.fill for node in nodes(tv.app.navigator.entries[-1].body) if isinstance(node, Panel)}

    assert "good-soft" in fills(data.HAD_ALREADY)
    assert "bad-soft" not in fills(data.HAD_ALREADY)
    assert "bad-soft" in fills(data.CLASHING)


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720)])
@pytest.mark.parametrize("page", [data.CLASHING, data.ALL_REFUSED, data.HAD_ALREADY])
def test_large_letters_show_every_price_of_what_is_not_sold(page: ServicePage, size: tuple[int, int]) -> None:
    tv = Television(DummyVerbs(service=page), "en", 150, size).open("service", service="sports")
    view = next(v for v in tv.app.stage._laid.viewports if v.key == "terms")
    assert view.extent <= view.rect[3]


@pytest.mark.parametrize("text_scale", [100, 150])
def test_a_term_that_nobody_sells_says_so_beside_prices_that_can_be_read(text_scale: int) -> None:
    tv = Television(DummyVerbs(service=data.HAD_ALREADY), "en", text_scale).open("service", service="sports")
    assert "Not on offer" in tv.words()
    prices = [i.what.color for i in tv.app.stage._laid.items if getattr(i.what, "text", "") == "¥150.00"]
    assert prices
    assert min(theme.contrast(ink, theme.PANEL) for ink in prices) >= 4.5


def test_the_page_is_the_same_at_both_sizes() -> None:
    shown = []
    for size in ((1920, 1080), (1280, 720)):
        tv = Television(DummyVerbs(service=data.SOME_REFUSED), "en", 100, size)
        shown.append(set(tv.open("service", service="sports").words().split("\n")))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("text_scale", [100, 150])
def test_a_term_that_is_not_chosen_has_an_empty_ring(text_scale: int) -> None:
    tv = Television(DummyVerbs(service=data.SOME_REFUSED), "en", text_scale).open("service", service="sports")
    body = tv.app.navigator.entries[-1].body
    rings = {node.key: node.checked for node in nodes(body) if isinstance(node, Target)}
    assert [rings[f"term:{term}"] for term in ("per-use", "monthly", "quarterly", "yearly")] == [
        None, True, None, False,
    ]  # fmt: skip


def test_large_letters_show_the_whole_introduction_on_ok() -> None:
    tv = Television(DummyVerbs(), "en", 150).open("service", service="sports")
    assert "…" not in "".join(t.text for t in tv.app.stage.targets())
    tv.ok("introduction")
    assert tv.screen == "question"
    assert "within seven days." in tv.words()
    assert tv.words().splitlines().count("Close") == 2  # the button, and what Back does


@pytest.mark.parametrize(("code", "sign"), [("subscriber-in-arrears", "warning"), ("order-clash", "failed")])
def test_a_refusal_s_sign_tells_whether_something_can_be_done(code: str, sign: str) -> None:
    assert trouble_sign(code) == sign
    tv = service(order=Refused(code)).ok("order")
    assert Sign(sign, 110) in nodes(tv.app.navigator.entries[-1].body)


def nodes(node: object) -> Iterator[object]:
    yield node
    for part in (getattr(node, "child", None), *getattr(node, "children", ()), *getattr(node, "options", ())):
        if part is not None:
            yield from nodes(part)


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Cannot be combined with your HD Movies"), ("zh", "高清影院")]
)
def test_the_service_that_stands_in_the_way_is_named(language: str, words: str) -> None:
    facts = {"clashes_with": data.MOVIES.name}
    tv = Television(DummyVerbs(order=Refused("order-clash", facts=facts)), language)
    assert words in tv.open("service", service="sports").ok("order").words()
    tv = Television(DummyVerbs(service=data.CLASHING), language)
    assert words in tv.open("service", service="sports").words()
