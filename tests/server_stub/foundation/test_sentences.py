"""Sentences that are kept and read again: whole, in anybody's words, and whatever stands in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation.sentences import Refusal, Sentence, read, say

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
VALUES = st.text(max_size=20) | st.integers()
PLAIN = st.builds(
    lambda message, values: say(message, **values), st.text(min_size=1), st.dictionaries(NAMES, VALUES)
)
SENTENCES = st.recursive(
    PLAIN,
    lambda inner: st.builds(
        lambda message, values: say(message, **values),
        st.text(min_size=1),
        st.dictionaries(NAMES, inner | VALUES),
    ),
    max_leaves=4,
)


@given(SENTENCES)
def test_what_is_kept_is_read_again(sentence: Sentence) -> None:
    assert read(sentence.kept) == sentence


@given(st.text() | PLAIN.map(lambda sentence: sentence.kept[:-1]))
def test_any_other_text_is_what_it_says(text: str) -> None:
    assert str(read(text)) == text


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    said = say("%(file)s: %(why)s", file="A", why=say("%(count)s lines", count=3))
    chinese = {"%(file)s: %(why)s": "%(file)s：%(why)s", "%(count)s lines": "%(count)s 行"}
    assert said.worded(chinese.__getitem__, lambda _, value: f"<{value}>") == "<A>：<3> 行"
    assert str(said) == "A: 3 lines"
    assert str(said.changed(str.lower)) == "a: 3 lines"


def test_amounts_are_in_fen_and_a_percent_sign_is_one() -> None:
    assert str(say("%(sum_fen)s", sum_fen=5)) == "5 fen"
    assert str(read("100% gone")) == "100% gone"
    assert not read(None)
    with pytest.raises(Refusal, match="it is 5%"):
        raise Refusal("it is %(text)s", text="5%")
