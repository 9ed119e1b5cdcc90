"""The line above the footer: nothing that still matters is forgotten because something else was told."""

from __future__ import annotations

from tests.stb_app.shell.dummies import Television


def _seen(tv: Television) -> str | None:
    tv.app.draw()
    return tv.stage.picture.notice


def test_what_is_not_settled_is_told_again_after_the_connection_came_back() -> None:
    tv = Television()
    tv.app.notice("card wanted", about="card")
    tv.app.notice("server away", about="connection")
    assert _seen(tv) == "server away"
    tv.app.clear_notice("connection")
    assert _seen(tv) == "card wanted"
    tv.app.clear_notice("card")
    assert _seen(tv) is None


def test_a_passing_remark_gives_way_to_what_stays() -> None:
    tv = Television()
    tv.app.notice("card wanted", about="card")
    tv.app.notice("could not be stored", seconds=10)
    assert _seen(tv) == "could not be stored"
    tv.go_on(11)
    assert _seen(tv) == "card wanted"


def test_the_same_subject_has_one_notice_and_the_old_ones_time_does_not_end_it() -> None:
    tv = Television()
    tv.app.notice("first", seconds=5, about="card")
    tv.app.notice("second", about="card")
    tv.go_on(6)
    assert _seen(tv) == "second"
    tv.app.clear_notice("card")
    assert _seen(tv) is None
    tv.app.clear_notice("card")


def test_what_can_wait_is_not_seen_beside_a_payment() -> None:
    tv = Television()
    tv.app.notice("could not be stored")
    tv.app.notice("card wanted", about="card", waits=True)
    page = tv.app.navigator.top
    page.holds_idle = True
    tv.app.refresh_all()
    assert _seen(tv) == "could not be stored"
    page.holds_idle = False
    tv.app.refresh_all()
    assert _seen(tv) == "card wanted"


def test_what_must_wait_until_a_payment_is_over_is_seen_for_as_long_afterwards() -> None:
    tv = Television()
    tv.app.push("card")
    tv.app.notice("earlier one ended", seconds=60, about="payment:1", waits=True)
    tv.go_on(90)
    assert _seen(tv) is None
    tv.app.pop()
    tv.go_on(25)
    assert _seen(tv) == "earlier one ended"
    tv.go_on(10)
    assert _seen(tv) is None


def test_a_notice_with_facts_follows_the_language() -> None:
    tv = Television()
    tv.app.notice(lambda: f"15 {tv.app.language}")
    before = _seen(tv)
    tv.app.set_language("en" if tv.app.language == "zh" else "zh")
    assert before is not None
    assert {before, _seen(tv)} == {"15 zh", "15 en"}
