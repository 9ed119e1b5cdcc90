"""The lock on a folder: for each role one process, others beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server_stub.foundation.startup import CannotStart, only_one


def no_wait(seconds: float) -> None:
    pytest.fail("nothing to wait for")


def test_a_role_is_held_until_let_go(tmp_path: Path) -> None:
    with only_one(tmp_path / "data", ["boss", "tsp"], no_wait):
        with only_one(tmp_path / "data", ["sandbox"], no_wait, 0):
            pass
        with (
            pytest.raises(CannotStart, match="role tsp"),
            only_one(tmp_path / "data", ["sandbox", "tsp"], no_wait, 0),
        ):
            pass
        with only_one(tmp_path / "other", ["tsp"], no_wait, 0):
            pass
    with only_one(tmp_path / "data", ["boss", "tsp"], no_wait, 0):
        pass


def test_a_start_waits_a_little_for_the_one_before_to_end(tmp_path: Path) -> None:
    before = only_one(tmp_path, ["tsp"], no_wait)
    before.__enter__()
    # While the start waits, the one before ends.
    with only_one(tmp_path, ["tsp"], lambda _: before.__exit__(None, None, None), 60):
        pass


def test_a_start_gives_up_when_its_patience_is_at_its_end(tmp_path: Path) -> None:
    waits: list[float] = []
    with (
        only_one(tmp_path, ["tsp"], no_wait),
        pytest.raises(CannotStart, match="role tsp"),
        only_one(tmp_path, ["tsp"], waits.append, 2),
    ):
        pass
    assert sum(waits) == pytest.approx(2)


def test_a_file_where_the_folder_should_be_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        with pytest.raises(CannotStart, match="is not a folder"), only_one(place, ["tsp"], no_wait):
            pass
