"""Screens are found through their entry points, and imported when they are wanted."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from stb_app.shell.registry import NoSuchScreen, Registry


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution of somebody else, with one good screen and one that cannot be imported."""
    (tmp_path / "extra_screens.py").write_text("class Extra:\n    id = 'extra'\n")
    info = tmp_path / "extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[stb_app.screens]\nextra = extra_screens:Extra\nbroken = extra_screens_missing:Broken\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return info


def test_a_distribution_may_add_its_own(distribution: Path) -> None:
    registry = Registry.installed()
    assert "extra_screens" not in sys.modules
    assert {"extra", "broken"} <= set(registry)
    assert registry.get("extra").id == "extra"  # type: ignore[attr-defined]
    with pytest.raises(ModuleNotFoundError):
        registry.get("broken")


def test_what_nobody_offers_is_said_by_name() -> None:
    with pytest.raises(NoSuchScreen, match="nowhere"):
        Registry().get("nowhere")


def test_of_two_for_one_id_the_first_stays_and_the_other_is_reported(
    distribution: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = distribution.parent / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[stb_app.screens]\nextra = somewhere_else:Extra\n")
    with caplog.at_level(logging.WARNING):
        registry = Registry.installed()
    assert "extra" in registry
    assert "declared twice" in caplog.text
