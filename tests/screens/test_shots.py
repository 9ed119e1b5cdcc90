"""`make shots`: a picture of a page in both languages, and the same one every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.shots import SCENES, main


def test_pictures_in_both_languages_that_do_not_change(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert main([str(tmp_path / folder), "--scene", "confirm-wallet", "--size", "640x360"]) == 0
    for language in ("zh", "en"):
        name = f"{language}-100-640x360/confirm-wallet.png"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    zh, en = (
        (tmp_path / "one" / f"{language}-100-640x360/confirm-wallet.png").read_bytes()
        for language in ("zh", "en")
    )
    assert zh != en


def test_a_scene_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--scene", "nothing"]) == 1
    assert "home" in capsys.readouterr().err


def test_names_of_scenes_are_unique() -> None:
    names = [scene.name for scene in SCENES]
    assert len(names) == len(set(names))
