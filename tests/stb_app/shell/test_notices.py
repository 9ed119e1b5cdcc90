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


def test_a_page_that_says_it_itself_needs_no_notice() -> None:
    tv = Television()
    tv.app.notice("could not be stored")
    tv.app.notice("card wanted", about="card")
    page = tv.app.navigator.top
    page.says = lambda: frozenset(("card",))  # type: ignore[attr-defined]
    tv.app.refresh_all()
    assert _seen(tv) == "could not be stored"
    del page.says  # type: ignore[attr-defined]
    tv.app.refresh_all()
    assert _seen(tv) == "card wanted"
