"""The words for a place that nothing can be kept in."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cardreader.disk import trouble


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "cannot be written, the disk is full; make room, or give --data another folder"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "may not be written by this user; give --data a folder of your own"),
        (errno.EROFS, "may not be written by this user"),
        (errno.EEXIST, "is not a folder; give --data a folder"),
        (errno.ENOTDIR, "is not a folder"),
        (errno.EIO, "cannot be written (input/output error); give --data another folder"),
    ],
)
def test_what_where_and_what_to_do(number: int, said: str) -> None:
    text = trouble(Path("/data/of/mine"), OSError(number, os.strerror(number)), "--data")
    assert text.startswith("/data/of/mine ")
    assert said in text
    assert "\n" not in text
    assert "rrno" not in text
