"""The lock on a folder: for each role one process, others beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server_stub.foundation.startup import CannotStart, only_one


def test_a_role_is_held_until_let_go(tmp_path: Path) -> None:
    with only_one(tmp_path / "data", ["boss", "tsp"]):
        with only_one(tmp_path / "data", ["sandbox"], 0):
            pass
        with pytest.raises(CannotStart, match="role tsp"), only_one(tmp_path / "data", ["sandbox", "tsp"], 0):
            pass
        with only_one(tmp_path / "other", ["tsp"], 0):
            pass
    with only_one(tmp_path / "data", ["boss", "tsp"], 0):
        pass


def test_a_start_waits_a_little_for_the_one_before_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = only_one(tmp_path, ["tsp"])
    before.__enter__()
    # While the start waits, the one before ends.
    monkeypatch.setattr("time.sleep", lambda _: before.__exit__(None, None, None))
    with only_one(tmp_path, ["tsp"], 60):
        pass
