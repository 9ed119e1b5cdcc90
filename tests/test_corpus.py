"""Every parser meets the bytes that are kept for it, and whatever can be made of them: it reads them, or says what is wrong."""

from __future__ import annotations

import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import corpus
from tests.corpus import PARSERS, Case

LONGEST_S = 1.0
EVERY = [(name, case) for name in PARSERS for case in corpus.cases(name)]


@pytest.mark.parametrize(("name", "case"), EVERY, ids=[f"{name}-{case.name}" for name, case in EVERY])
def test_what_is_kept(name: str, case: Case) -> None:
    parser, began = PARSERS[name], time.monotonic()
    if not case.error:
        parser.read(case.data)
    else:
        with pytest.raises(parser.errors) as refused:
            parser.read(case.data)
        assert case.error in str(refused.value)
    assert time.monotonic() - began < LONGEST_S


@cache
def kept(name: str) -> list[bytes]:
    return [case.data for case in corpus.cases(name) if len(case.data) < 4096]


@st.composite
def _damaged(draw: st.DrawFn, name: str) -> bytes:
    """Something that is kept, cut, spliced, or with other bytes in it."""
    data = bytearray(draw(st.sampled_from(kept(name))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "insert", "change", "splice"])):
            case "cut":
                del data[at : at + draw(st.integers(1, 8))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "change" if data:
                data[at % len(data)] = draw(st.integers(0, 255))
            case _:
                other = draw(st.sampled_from(kept(name)))
                data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data)


@pytest.mark.parametrize("name", PARSERS)
def test_what_can_be_made_of_it(name: str) -> None:
    parser = PARSERS[name]

    @settings(max_examples=60, deadline=None)
    @given(_damaged(name))
    def meets(data: bytes) -> None:
        said = "nothing is wrong"
        try:
            parser.read(data)
        except parser.errors as error:
            said = str(error)
        assert said

    meets()
