"""TOML within bounds: nothing that a file says takes long, and every complaint names a line."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.errors import ProtocolError
from cardreader.toml import MAX_FILE, decoded, parse


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse(decoded(b"\xef\xbb\xbfcard.pan = 1")) == {"card": {"pan": 1}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 1\n" + ".".join("a" * 12_000) + " = 1", "line 2: more than 16 dots"),
        ("[" + ".".join("a" * 12_000) + "]", "line 1: more than 16 dots"),
        ("x = [\"\"\"\n\"\"\", {" + ".".join('"a"' for _ in range(40)) + "=1}, '']", "line 2: more than 16 dots"),
        ("'''\n''' # '''\na" + ".a" * 20 + "=1", "line 3: more than 16 dots"),
        ("a = " + "[" * 30_000, "line 1: more than 16 lists"),
        ("\na = " + "9" * 5_000, "line 2: a name or number of more than 64"),
    ],
)  # fmt: skip
def test_what_would_take_memory_or_a_traceback_is_refused(text: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse(text)


def test_a_file_is_bounded_and_utf_8() -> None:
    with pytest.raises(ProtocolError, match=f"longer than {MAX_FILE}"):
        decoded(b"#" * (MAX_FILE + 1))
    with pytest.raises(ProtocolError, match="line 3 is not UTF-8"):
        decoded("# 卡\n\n".encode() + b"\xff")


def test_texts_and_comments_may_have_dots_words_and_brackets() -> None:
    text = f"# {'.' * 40}\na = \"{'[.' * 40}{'F' * 500}\"\nb = '''\n{'{.' * 40}'''\nc = \"\\\"{'.' * 40}\"\n"
    assert parse(text) == tomllib.loads(text)


@given(st.text(alphabet="ab=.\"'\\[]{},# \n1", max_size=60))
def test_it_says_what_python_says(text: str) -> None:
    try:
        found = tomllib.loads(text)
    except ValueError:
        with pytest.raises(ProtocolError, match=r"line|end of document"):
            parse(text)
    else:
        assert parse(text) == found
