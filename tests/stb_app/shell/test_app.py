"""Timers, journeys, settings, idle and the keys that work everywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stb_app.kit.clock import CHINA
from stb_app.shell.settings import SettingsFile
from tests.stb_app.shell.dummies import DummySlot, Services, Television, Words

DEADLINE_S = 5.0


class Journey:
    """Posts what it is told, when it is told."""

    def __init__(self, *steps: Any, fails: bool = False) -> None:
        self.steps = steps
        self.fails = fails
        self.go = threading.Event()
        self.cancelled = False

    def run(self, post: Callable[[Any], None]) -> None:
        assert self.go.wait(DEADLINE_S)
        for step in self.steps:
            post(step)
        if self.fails:
            raise RuntimeError("broken promise")

    def cancel(self) -> None:
        self.cancelled = True
        self.go.set()


def test_steps_arrive_only_on_the_drawing_thread() -> None:
    tv, got = Television(), []
    journey = Journey("one", "two")
    running = tv.app.start(journey, got.append)
    journey.go.set()
    assert running.join(DEADLINE_S)
    assert got == []
    tv.work()
    assert got == ["one", "two"]


def test_steps_for_a_closed_screen_are_dropped_and_the_journey_goes_on() -> None:
    tv, got = Television(), []
    tv.app.push("services")
    journey = Journey("late")
    running = tv.app.start(journey, got.append)
    tv.app.pop()
    journey.go.set()
    assert running.join(DEADLINE_S)
    tv.work()
    assert got == []
    assert not journey.cancelled


def test_a_step_is_drawn_by_the_page_below_a_dialog() -> None:
    tv = Television()
    tv.app.push("services")
    page = tv.top
    journey = Journey("news")
    running = tv.app.start(journey, lambda step: (page.log.append(step), tv.app.refresh()))
    tv.app.push("question", options=(("yes", "Yes"),), default="yes")
    tv.app.draw()
    page.keys = ("new",)
    journey.go.set()
    running.join(DEADLINE_S)
    tv.work()
    assert tv.top.id == "question"
    assert [t.key for t in _targets(tv, 0)] == ["new"]


def test_a_journey_that_breaks_its_promise_is_reported() -> None:
    tv = Television()
    journey = Journey(fails=True)
    running = tv.app.start(journey, lambda step: None)
    journey.go.set()
    running.join(DEADLINE_S)
    tv.work()
    assert "Something went wrong" in (tv.stage.picture.notice or "")
    tv.go_on(21)
    assert tv.stage.picture.notice is None


def test_timers_stop_with_the_clock_and_go_on_after_it() -> None:
    tv, ticks = Television(), []
    tv.app.every(1.0, lambda: ticks.append("tick"))
    tv.go_on(2.5)
    assert len(ticks) == 2
    tv.app.freeze()
    tv.app.draw()
    assert tv.stage.settled > 0
    tv.hand.seconds += 100
    tv.work()
    assert len(ticks) == 2
    assert tv.app.wait() is None
    tv.app.thaw()
    tv.go_on(0.6)
    assert len(ticks) == 3


def test_timers_of_a_closed_screen_are_cancelled() -> None:
    tv, ticks = Television(), []
    tv.app.push("services")
    tv.app.after(1.0, lambda: ticks.append("services"))
    tv.app.pop()
    tv.app.after(1.0, lambda: ticks.append("home"))
    tv.go_on(1.5)
    assert ticks == ["home"]


def test_a_timer_set_while_a_screen_is_made_belongs_to_it() -> None:
    ticks: list[str] = []

    class Eager(Words):
        id = "eager"

        def on_enter(self) -> None:
            self.app.after(1.0, lambda: ticks.append("eager"))

    tv = Television(Eager)
    tv.app.push("eager")
    tv.app.pop()
    tv.go_on(2)
    assert ticks == []


def test_a_cancelled_timer_stays_silent_and_late_beats_are_dropped() -> None:
    tv, ticks = Television(), []
    tv.app.after(1.0, lambda: ticks.append("never")).cancel()
    tv.app.every(1.0, lambda: ticks.append("beat"))
    tv.hand.seconds += 5.5
    tv.work()
    assert ticks == ["beat"]
    tv.go_on(0.6)
    assert ticks == ["beat", "beat"]


def test_the_clock_in_the_top_bar_changes_at_the_full_minute_only() -> None:
    tv = Television()
    assert tv.stage.picture.top.clock == "19:32"
    shown = len(tv.stage.shown)
    tv.go_on(29)
    assert len(tv.stage.shown) == shown
    tv.go_on(2)
    assert tv.stage.picture.top.clock == "19:33"
    assert len(tv.stage.shown) == shown + 1


def test_the_top_bar_has_the_platforms_time_where_the_boxs_clock_is_wrong() -> None:
    tv = Television()
    tv.app.clock.ahead = timedelta(hours=-3, minutes=1)
    tv.app.refresh_all()
    tv.app.draw()
    assert tv.stage.picture.top.clock == "16:33"
    tv.app.freeze(datetime(2026, 11, 21, 8, 0, tzinfo=CHINA))
    tv.app.draw()
    assert tv.stage.picture.top.clock == "08:00"


def test_nothing_is_shown_again_when_nothing_changed() -> None:
    tv = Television()
    shown, version = len(tv.stage.shown), tv.app.version
    tv.app.refresh()
    tv.app.draw()
    assert (len(tv.stage.shown), tv.app.version) == (shown, version)


def test_idle_warns_after_90_s_and_goes_home_20_s_later() -> None:
    tv = Television()
    tv.app.push("services")
    tv.go_on(89)
    assert tv.top.id == "services"
    tv.go_on(2)
    assert (tv.top.id, tv.top.params["countdown"]) == ("question", 20)
    tv.go_on(20)
    assert tv.top.id == "home"


def test_any_key_ends_the_warning_and_does_nothing_else() -> None:
    tv = Television()
    tv.app.push("services")
    tv.go_on(91)
    tv.press("KEY_BACK")
    assert tv.top.id == "services"
    tv.go_on(60)
    assert tv.top.id == "services"
    tv.go_on(31)
    assert tv.top.id == "question"


def test_the_warnings_own_countdown_goes_home_too() -> None:
    tv = Television()
    tv.app.push("services")
    tv.go_on(91)
    tv.app.pop(None)
    assert tv.top.id == "home"


def test_a_payment_at_home_and_a_frozen_clock_never_idle() -> None:
    tv = Television()
    tv.go_on(300)
    assert tv.top.id == "home"
    tv.app.push("card")
    tv.go_on(300)
    assert tv.top.id == "card"
    tv.app.pop()
    tv.app.push("services")
    tv.app.freeze()
    tv.hand.seconds += 300
    tv.work()
    assert tv.top.id == "services"


def test_a_damaged_card_is_told_and_not_put_in() -> None:
    tv = Television()
    tv.app.slot = slot = DummySlot()
    slot.damaged = {"expired"}
    tv.app.insert_card("expired")
    tv.app.close(5)
    tv.work()
    assert slot.profile is None
    assert "This card cannot be used" in (tv.stage.picture.notice or "")


def test_a_fault_that_is_ordered_already_is_said_and_not_ordered_again() -> None:
    tv = Television()
    tv.app.set_language("en")
    tv.app.slot = slot = DummySlot()
    tv.app.order_fault("pull@7")
    tv.app.order_fault("pull@7")
    tv.app.close(5)
    tv.work()
    assert slot.faults == ("pull@7",)
    assert "ordered already" in (tv.stage.picture.notice or "")


def test_it_is_quiet_only_from_the_end_of_a_payment_on() -> None:
    tv = Television()
    tv.app.push("services")
    tv.app.push("card")
    tv.go_on(89)
    tv.app.pop()
    tv.go_on(88)
    assert tv.top.id == "services"
    tv.go_on(3)
    assert tv.top.id == "question"


def test_a_payment_below_a_dialog_still_holds() -> None:
    tv = Television()
    tv.app.push("card")
    tv.app.push("help", bindings=())
    tv.go_on(300)
    assert tv.top.id == "help"


def test_a_held_arrow_repeats_after_400_ms_then_every_90_and_only_arrows() -> None:
    class Long(Words):
        id = "long"
        keys = tuple(f"k{n}" for n in range(12))

    tv = Television(Long)
    tv.app.push("long")
    tv.app.draw()
    tv.app.key("KEY_DOWN", "down")
    assert tv.focus == "k0"
    tv.app.draw()
    tv.go_on(0.39)
    assert tv.focus == "k1"
    tv.go_on(0.02 + 0.18)
    assert tv.focus == "k4"
    tv.app.key("KEY_DOWN", "up")
    tv.go_on(1)
    assert tv.focus == "k4"
    tv.app.key("KEY_1", "down")
    tv.go_on(1)
    assert tv.top.log.count(("key", "KEY_1")) == 1


def test_late_repeats_are_dropped_and_a_new_page_ends_them() -> None:
    class Long(Words):
        id = "long"
        keys = tuple(f"k{n}" for n in range(12))

    tv = Television(Long)
    tv.app.push("long")
    tv.app.draw()
    tv.app.key("KEY_DOWN", "down")
    tv.hand.seconds += 3.0
    tv.work()
    assert tv.focus == "k2"
    tv.app.push("services")
    tv.go_on(1)
    assert tv.focus == "movies"


def test_long_lists_speed_up_after_a_second() -> None:
    class Long(Words):
        id = "long"
        keys = tuple(f"k{n}" for n in range(200))

    class Short(Words):
        id = "short"
        keys = tuple(f"k{n}" for n in range(12))

        def on_key(self, name: str) -> bool:
            return bool(self.log.append(name))

    def steps(screen: type[Words]) -> int:
        tv = Television(screen)
        tv.app.push(screen.id)
        tv.app.draw()
        tv.app.key("KEY_DOWN", "down")
        tv.go_on(2.4)
        moved = sum(1 for entry in tv.top.log if isinstance(entry, tuple) and entry[0] == "focus")
        return moved - 1 + tv.top.log.count("KEY_DOWN")

    assert steps(Short) == pytest.approx(1 + 1 + 2.0 / 0.09, abs=2)
    assert steps(Long) == pytest.approx(1 + 1 + 1.0 / 0.09 + 1.0 / 0.045, abs=3)


def test_settings_reach_the_stage_and_the_disk(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.json")
    tv = Television(settings=file)
    tv.app.change_settings(text_scale=150, motion=False, margin=5, language="en")
    tv.app.close(DEADLINE_S)
    assert (tv.stage.scale, tv.stage.motion, tv.stage.margin) == (1.5, False, 0.05)
    again, problem = file.load()
    assert (again, problem) == (tv.app.settings, None)
    shown = len(tv.stage.shown)
    tv.app.draw()
    assert len(tv.stage.shown) == shown + 1


def test_a_broken_settings_file_is_told_and_the_usual_ones_hold(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{not json")
    tv = Television(settings=SettingsFile(path))
    assert tv.app.settings.text_scale == 100
    assert "settings" in (tv.stage.picture.notice or "")


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tv = Television(settings=SettingsFile(tmp_path / "file" / "settings.json"))
    tv.app.change_settings(sound=False)
    tv.app.close(DEADLINE_S)
    tv.work()
    assert "could not be stored" in (tv.stage.picture.notice or "")


def test_blue_opens_the_tray_only_with_a_simulated_slot() -> None:
    tv = Television()
    tv.press("KEY_BLUE")
    assert tv.top.id == "home"
    tv.app.slot = DummySlot()
    tv.press("KEY_BLUE")
    assert tv.top.id == "card-tray"


def test_f5_puts_the_last_card_in_and_pulls_it_out() -> None:
    tv = Television()
    slot = tv.app.slot = DummySlot()
    for expected in ("good", None, "good"):
        tv.press("KEY_F5")
        tv.app._worker.close(DEADLINE_S)
        assert slot.profile == expected
    slot.profile = "expired"
    for expected in (None, "expired"):
        tv.press("KEY_F5")
        tv.app._worker.close(DEADLINE_S)
        assert slot.profile == expected


def test_the_footer_is_made_from_the_live_bindings() -> None:
    tv = Television(Services)
    caps = [key.cap for key in tv.stage.picture.foot]
    assert caps == ["arrows-ud", "OK", "Back", "INFO", "中/EN"]
    assert [key.label for key in tv.stage.picture.foot][2] == "Exit"
    tv.app.push("card")
    tv.app.draw()
    assert [key.cap for key in tv.stage.picture.foot][:2] == ["OK", "Back"]
    tv.top.busy = True
    tv.app.refresh()
    tv.app.draw()
    assert "OK" not in [key.cap for key in tv.stage.picture.foot]


def test_sounds_follow_the_setting() -> None:
    tv = Television()
    tv.app.change_settings(sound=False)
    tv.press("KEY_DOWN")
    assert tv.app._parts.sounds._thread is None
    with pytest.raises(ValueError, match="no sound"):
        tv.app.sound("boom")


def _targets(tv: Television, layer: int) -> list[Any]:
    from stb_app.shell.focus import targets

    return list(targets(tv.stage.picture.layers[layer].body))
