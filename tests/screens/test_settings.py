"""Settings: every choice is in force at once, seen to be chosen, and the picture's edges can be taken back."""

from __future__ import annotations

import pytest

from tests.screens.dummies import DummyVerbs, Television


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("language:en", "language", "en"),
        ("text:150", "text_scale", 150),
        ("text:125", "text_scale", 125),
        ("sound:on", "sound", True),
        ("motion:on", "motion", True),
    ],
)
def test_a_choice_applies_at_once(key: str, name: str, value: object) -> None:
    tv = Television(DummyVerbs()).open("settings")
    assert tv.state[name] != value
    tv.ok(key)
    assert tv.state[name] == value
    assert getattr(tv.app.settings, name) == value
    assert tv.focus == key


def test_the_language_changes_the_words_and_not_the_keys() -> None:
    tv = Television(DummyVerbs()).open("settings")
    keys = tv.targets()
    assert "字号" in tv.words()
    tv.ok("language:en")
    assert "Text size" in tv.words()
    assert tv.targets() == keys


def test_the_edges_move_with_the_arrows_and_ok_keeps_them() -> None:
    tv = Television(DummyVerbs()).open("settings").ok("calibration").press("LEFT", "LEFT", "LEFT", "RIGHT")
    assert tv.state["margin"] == 2
    tv.press("OK")
    assert (tv.screen, tv.app.settings.margin) == ("settings", 2)


def test_back_leaves_the_edges_as_they_were() -> None:
    tv = Television(DummyVerbs()).open("calibration").press("LEFT", "LEFT", "BACK")
    assert tv.app.settings.margin == 0


def test_the_edges_stay_within_bounds() -> None:
    tv = Television(DummyVerbs()).open("calibration").press("RIGHT")
    assert tv.state["margin"] == 0
    assert tv.press(*["LEFT"] * 12).state["margin"] == 10


def test_about_tells_what_a_hotline_asks_for() -> None:
    words = Television(DummyVerbs(), "en").open("about").words()
    for part in (
        "0.1.0",
        "85312047",
        "8531 2047",
        "http://127.0.0.1:8780",
        "sim:good",
        "96123",
        "Test mode",
        "SIL Open Font License",
    ):
        assert part in words


def test_about_does_without_a_connection() -> None:
    tv = Television(None, "en").open("about")
    assert "85312047" in tv.words()
    assert tv.focus == "back"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_text_that_scrolls_has_its_arrows_in_the_footer(language: str) -> None:
    tv = Television(DummyVerbs(), language, text_scale=150).open("about")
    assert _feet(tv)[:2] == [("arrows-ud", tv.app.t("Move")), ("OK", tv.app.t("Back"))]
    tv.press("UP")
    assert tv.focus == "facts"
    assert _feet(tv)[0] == ("arrows-ud", tv.app.t("Scroll"))
    assert _feet(Television(DummyVerbs(), language).open("about"))[0][0] == "OK", "all of it is there"


def test_each_way_of_the_frame_has_its_own_arrow() -> None:
    tv = Television(DummyVerbs(), "en").open("calibration")
    assert _feet(tv)[:2] == [("arrow-left", "Smaller"), ("arrow-right", "Larger")]
    assert tv.press("LEFT", "LEFT", "RIGHT", "UP", "DOWN").state["margin"] == 1


def _feet(tv: Television) -> list[tuple[str, str]]:
    assert tv.app._composer.picture is not None
    return [(key.cap, key.label) for key in tv.app._composer.picture.foot]
