"""What values of data objects say: dates, counters, codes and bits, and nothing where they are garbled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv.tags import TAGS
from cardreader.lab.readings import reading


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        (0x5F24, "440229", "2044-02-29"),
        (0x9A, "991123", "1999-11-23"),
        (0x9F21, "041914", "04:19:14"),
        (0x5F28, "0156", "China (156)"),
        (0x9F42, "0156", "CNY (156)"),
        (0x5F28, "0999", ""),
        (0x9F36, "0011", "17"),
        (0x87, "81", "1, to be confirmed"),
        (0x9F4D, "0B0A", "SFI 11 records 1-10"),
        (0x9C, "60", "load"),
        (0x9F0E, "0010000000", "service not allowed"),
        (0x5F24, "4402", ""),
        (0x9F21, "0A1914", ""),
    ],
)
def test_a_value_says_what_it_means(tag: int, value: str, words: str) -> None:
    assert reading(tag, bytes.fromhex(value)) == words


@given(st.sampled_from(sorted(TAGS)), st.binary(max_size=40))
def test_no_value_is_too_garbled_to_be_looked_at(tag: int, value: bytes) -> None:
    assert isinstance(reading(tag, value), str)
