"""Focus, results, Back, double presses and failures on the screen stack."""

from __future__ import annotations

from typing import Any

import pytest

from stb_app.kit.screen import Binding
from tests.stb_app.shell.dummies import Home, Services, Television, Words


def test_first_enabled_target_has_the_focus() -> None:
    tv = Television()
    assert tv.focus == "services"
    assert tv.top.log == ["enter", ("focus", "services")]


def test_default_focus_wins_over_the_first() -> None:
    class Confirm(Words):
        id = "confirm"
        keys = ("confirm", "cancel")
        default_focus = "cancel"

    tv = Television(Confirm)
    tv.app.push("confirm")
    tv.app.draw()
    assert tv.focus == "cancel"


def test_a_tester_s_key_counts_at_once_on_a_page_that_came_by_itself() -> None:
    class Sudden(Words):
        id = "sudden"
        keys = ("done",)
        guard_s = 0.8

    tv = Television(Sudden)
    tv.app.push("sudden")
    tv.app.draw()
    assert not tv.app.key("KEY_OK")
    assert tv.app.press("KEY_OK")


def test_a_tester_s_ok_counts_at_once_where_something_has_opened_and_twice_on_one_target_only_once() -> None:
    tv = Television()
    assert tv.app.press("KEY_OK")
    tv.app.push("services")
    assert tv.app.press("KEY_OK")
    assert not tv.app.press("KEY_OK")


def test_returning_restores_the_focus() -> None:
    tv = Television()
    tv.press("KEY_DOWN")
    tv.app.push("services")
    tv.app.draw()
    assert tv.focus == "movies"
    tv.press("KEY_BACK")
    assert (tv.top.id, tv.focus) == ("home", "records")


def test_a_target_that_went_gives_the_focus_to_the_nearest() -> None:
    tv = Television()
    tv.press("KEY_DOWN", "KEY_DOWN")
    tv.top.keys = ("services", "records")
    tv.app.refresh()
    tv.app.draw()
    assert tv.focus == "records"


def test_a_disabled_target_loses_the_focus_and_a_key_passes_over_it() -> None:
    tv = Television()
    tv.top.disabled.add("records")
    tv.app.refresh()
    tv.press("KEY_DOWN")
    assert tv.focus == "settings"


def test_the_result_reaches_whoever_pushed() -> None:
    tv, got = Television(), []
    tv.app.push("services", got.append)
    tv.app.pop("movies")
    assert got == ["movies"]
    assert "return" in tv.top.log


def test_back_gives_none() -> None:
    tv, got = Television(), []
    tv.app.push("services", got.append)
    tv.press("KEY_BACK")
    assert got == [None]


def test_replace_hands_the_waiting_on() -> None:
    tv, got = Television(), []
    tv.app.push("services", got.append)
    first = tv.top
    tv.app.replace("card")
    assert first.log[-1] == "leave"
    tv.app.pop("paid")
    assert got == ["paid"]
    assert tv.top.id == "home"


def test_a_screen_may_take_back_for_itself() -> None:
    tv = Television()
    tv.app.push("card")
    tv.press("KEY_BACK")
    assert tv.top.id == "card"
    assert "back" in tv.top.log


def test_a_second_ok_within_300_ms_is_ignored_even_on_the_next_page() -> None:
    class Opener(Home):
        def on_ok(self, key: str) -> None:
            self.app.push("services")

    tv = Television(Opener)
    assert tv.app.key("KEY_OK")
    tv.app.draw()
    tv.hand.seconds += 0.29
    assert not tv.app.key("KEY_OK")
    assert ("ok", "movies") not in tv.top.log
    tv.hand.seconds += 0.02
    assert tv.app.key("KEY_OK")
    assert ("ok", "movies") in tv.top.log


def test_two_oks_with_a_move_between_them_are_meant_however_late_the_box_comes_to_them() -> None:
    tv = Television()
    tv.app.push("services")
    tv.app.draw()
    assert tv.app.key("KEY_OK")
    assert tv.app.key("KEY_DOWN") or tv.app.key("KEY_RIGHT")
    moved = tv.top.log[-1][1]
    assert tv.app.key("KEY_OK")
    assert [one for one in tv.top.log if one[0] == "ok"] == [("ok", "movies"), ("ok", moved)]
    assert not tv.app.key("KEY_OK")


def test_a_busy_screen_takes_no_ok_arrow_or_digit_but_back() -> None:
    tv = Television()
    tv.app.push("services")
    tv.top.busy = True
    tv.app.refresh()
    tv.press("KEY_OK", "KEY_DOWN", "KEY_1")
    assert not [entry for entry in tv.top.log if isinstance(entry, tuple)]
    assert tv.app.snapshot()["focus"] is None
    tv.press("KEY_BACK")
    assert tv.top.id == "home"


def test_a_binding_comes_before_on_key_and_gets_the_name() -> None:
    class Bound(Words):
        id = "bound"

        def bindings(self) -> list[Binding]:
            return [Binding(("KEY_RED", "KEY_GREEN"), "Do", self.log.append)]

    tv = Television(Bound)
    tv.app.push("bound")
    tv.press("KEY_GREEN", "KEY_YELLOW")
    assert "KEY_GREEN" in tv.top.log
    assert ("key", "KEY_GREEN") not in tv.top.log
    assert ("key", "KEY_YELLOW") in tv.top.log


def test_home_closes_everything_above_it() -> None:
    tv = Television()
    tv.app.push("services")
    services = tv.top
    tv.app.push("services")
    tv.press("KEY_HOME")
    assert tv.top.id == "home"
    assert services.log[-1] == "leave"


def test_home_asks_a_payment_as_back_does() -> None:
    tv = Television()
    tv.app.push("card")
    tv.press("KEY_HOME", "KEY_POWER")
    assert tv.top.id == "card"
    assert tv.top.log.count("back") == 2


def test_back_at_home_asks_and_stays_by_default() -> None:
    tv = Television()
    tv.press("KEY_BACK")
    assert (tv.top.id, tv.focus) == ("question", "stay")
    tv.press("KEY_OK")
    assert tv.top.id == "home"
    assert not tv.app.quit_wanted
    tv.press("KEY_BACK", "KEY_DOWN", "KEY_OK")
    assert tv.app.quit_wanted


def test_a_dialog_is_drawn_above_its_page() -> None:
    tv = Television()
    tv.press("KEY_BACK")
    picture, how = tv.stage.shown[-1]
    assert [(layer.id, layer.modal) for layer in picture.layers] == [("home", False), ("question", True)]
    assert how == "dialog"


def test_a_step_for_a_page_below_a_dialog_closes_the_dialog_when_the_page_moves_on() -> None:
    tv = Television()
    tv.app.push("card")
    card = tv.app.navigator.entries[-1]
    tv.app.push("question", options=(("keep", "Keep"),), default="keep")
    tv.app.navigator.run(card, lambda: tv.app.replace("services"))
    assert [entry.screen.id for entry in tv.app.navigator.entries] == ["home", "services"]


class Broken(Words):
    id = "broken"
    fails = ""

    def compose(self) -> Any:
        if self.fails == "compose":
            raise RuntimeError("compose")
        return super().compose()

    def on_ok(self, key: str) -> None:
        raise RuntimeError("ok")


def test_a_screen_that_cannot_be_imported_gives_an_apology_and_a_way_back() -> None:
    tv = Television()

    def load() -> Any:
        raise ImportError("no such module")

    tv.registry.add("broken", load)
    tv.app.push("broken")
    tv.app.draw()
    assert (tv.top.id, tv.focus) == ("apology", "back")
    assert tv.top.state() == {"failed": "broken"}
    tv.press("KEY_OK")
    assert tv.top.id == "home"


def test_an_unknown_screen_gives_an_apology() -> None:
    tv = Television()
    tv.app.push("nowhere")
    assert tv.top.id == "apology"


def test_a_screen_that_fails_while_composing_or_on_a_key_gives_way() -> None:
    tv, got = Television(Broken), []
    tv.app.push("broken", got.append)
    tv.app.draw()
    tv.press("KEY_OK")
    assert tv.top.id == "apology"
    tv.press("KEY_BACK")
    assert got == [None]
    tv.app.push("broken")
    tv.top.fails = "compose"
    tv.app.refresh()
    tv.app.draw()
    assert (tv.top.id, tv.focus) == ("apology", "back")


def test_a_page_that_cannot_be_laid_out_or_painted_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("show", "frame"):
        tv = Television()
        tv.app.push("services")
        original = getattr(tv.stage, method)

        def fails(*given: Any, tv: Television = tv, original: Any = original) -> Any:
            if tv.top.id == "services":
                raise ZeroDivisionError
            return original(*given)

        monkeypatch.setattr(tv.stage, method, fails)
        tv.app.draw()
        tv.app.draw()
        assert (tv.top.id, tv.focus) == ("apology", "back")


def test_a_home_page_that_fails_is_made_anew() -> None:
    class Fragile(Home):
        def on_ok(self, key: str) -> None:
            raise RuntimeError

    tv = Television(Fragile)
    tv.press("KEY_OK")
    assert tv.top.id == "apology"
    tv.press("KEY_BACK")
    assert (tv.top.id, tv.focus) == ("home", "services")


def test_info_lists_the_live_bindings_and_language_changes_every_page() -> None:
    tv = Television(Services)
    tv.app.push("services")
    tv.press("KEY_INFO")
    assert tv.top.id == "help"
    keys = [key for binding in tv.top.params["bindings"] for key in binding.keys]
    assert {"KEY_UP", "KEY_OK", "KEY_BACK", "KEY_HOME", "KEY_LANGUAGE"} <= set(keys)
    before = tv.app.language
    tv.press("KEY_LANGUAGE")
    assert tv.app.language != before
    assert tv.top.id == "services"
    assert tv.app.navigator.entries[0].body is None
