"""ISO 8583: what is written is read again; what is no message says where; tshark reads what both dialects have."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psec.mac import generate_retail_mac

from server_stub.foundation.iso8583 import (
    FIELDS,
    HEADER_BYTES,
    LONGEST,
    MAC_FIELD,
    TPDU_BYTES,
    FieldMissing,
    Iso8583Error,
    Kind,
    Message,
    Network,
    Original,
    Value,
    decode,
    encode,
    framed,
    pos_mac,
    read_frame,
    retail_mac,
)
from tests.server_stub.ppp.terminal import ecb_mac

CORPUS = Path(__file__).with_name("iso8583_corpus.txt")
MAK = bytes.fromhex("C24A8FB57AA20123")
SALE: dict[int, Value] = {
    2: "621700183405728610",
    3: "000000",
    4: "000000001500",
    11: "000001",
    12: "101500",
    13: "0621",
    14: "4402",
    15: "0621",
    23: "001",
    25: "00",
    26: "06",
    32: "48021000",
    37: "ABCDEFGHIJKL",
    38: "123456",
    39: "00",
    41: "88310001",
    42: "883100048990001",
    49: "156",
    52: b"12345678",
    63: "CUP",
}
"""Only what every ISO 8583:1987 has in the same place and form."""


def _values(kind: Kind) -> st.SearchStrategy[Value]:
    longest, shortest = kind.length, 1 if kind.prefix else kind.length
    if kind.form == "b":
        return st.binary(min_size=shortest, max_size=longest)
    letters = {"n": "0123456789", "z": "0123456789ABCDEF"}.get(kind.form)
    alphabet = st.sampled_from(letters) if letters else st.characters(min_codepoint=32, max_codepoint=126)
    return st.text(alphabet, min_size=shortest, max_size=longest)


MESSAGES = st.builds(
    Message,
    st.from_regex(r"\A0[0-9]{3}\Z"),
    st.fixed_dictionaries(
        {}, optional={number: _values(kind) for number, kind in FIELDS.items() if number != MAC_FIELD}
    ),
    st.binary(min_size=5, max_size=5),
    st.binary(min_size=6, max_size=6),
)


@given(MESSAGES)
def test_what_is_written_is_read_again(message: Message) -> None:
    assert decode(encode(message)) == message
    signed = encode(message, lambda covered: pos_mac(MAK, covered))
    read = decode(signed)
    assert {**read.fields} == {**message.fields, MAC_FIELD: ecb_mac(MAK, read.covered)}
    assert signed == message.tpdu + message.header + read.covered + read.data(MAC_FIELD)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=120).map(lambda rest: encode(Message("0200", SALE))[:40] + rest),
    )
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        message = decode(data)
    except Iso8583Error as error:
        assert any(word in str(error) for word in ("byte", "field"))  # noqa: PT017
    else:
        assert (
            decode(encode(message, None if not message.covered else lambda _: message.data(MAC_FIELD)))
            == message
        )


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(place: int, value: int) -> None:
    sent = bytearray(encode(Message("0200", SALE)))
    sent[place % len(sent)] = value
    try:
        decode(bytes(sent))
    except Iso8583Error as error:
        assert str(error)  # noqa: PT017


def corpus() -> list[tuple[str, bytes, str]]:
    """Name, message and what is wrong with it, ``-``: nothing."""
    lines = [line for line in CORPUS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    parts = [[part.strip() for part in line.split("|")] for line in lines]
    return [(name, bytes.fromhex(text), wrong) for name, text, wrong in parts]


@pytest.mark.parametrize(("data", "wrong"), [pytest.param(*rest, id=name) for name, *rest in corpus()])
def test_the_corpus(data: bytes, wrong: str) -> None:
    if wrong != "-":
        with pytest.raises(Iso8583Error) as caught:
            decode(data)
        assert str(caught.value) == wrong
        return
    message = decode(data)
    assert (
        encode(message, lambda _: message.data(MAC_FIELD) if message.covered else b"") == data
        or not message.covered
    )
    if not message.covered:
        assert encode(message) == data


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({5: "000000000000"}, "field 5: there is none here"),
        ({3: "00000A"}, "field 3: has something else than digits"),
        ({3: "00000"}, "field 3: "),
        ({4: b"123456"}, "field 4: text is wanted"),
        ({55: "9F26"}, "field 55: bytes are wanted"),
        ({2: "1" * 20}, "field 2: Field data is 20 nibbles, larger than maximum 19"),
        ({63: "\u4e2d"}, "field 63: "),
    ],
)
def test_what_does_not_fit_is_not_sent(fields: dict[int, Value], says: str) -> None:
    with pytest.raises(Iso8583Error, match=f"^{says}"):
        encode(Message("0200", fields))


def test_odd_numbers_are_filled_up_where_the_specification_says() -> None:
    sent = encode(Message("0200", {22: "051", 23: "001", 35: "123D5"}))
    assert sent.hex().endswith("0510" + "0001" + "05" + "123d50")


def test_fields_with_parts() -> None:
    network = Network("22", "000001", "000", "5", "0")
    assert Network.parse(str(network)) == network
    assert Original.parse("0000010000020621") == Original("000001", "000002", "0621")
    for parse in (Network.parse, Original.parse):
        with pytest.raises(Iso8583Error):
            parse("2200000")
    with pytest.raises(FieldMissing, match="message 0200 has no field 60"):
        _ = Message("0200", {}).network


def test_macs() -> None:
    # By hand: two blocks 01..01 and 02..02 fold to 03..03, whose letters are 0303030303030303.
    data = bytes([1] * 8 + [2] * 8)
    assert pos_mac(MAK, data) == ecb_mac(MAK, data) == ecb_mac(MAK, bytes([3] * 8))
    assert pos_mac(MAK, data + b"\0") == pos_mac(MAK, data)
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert pos_mac(key, data) != pos_mac(key[:8], data)
    assert retail_mac(key, b"seven..") == generate_retail_mac(key[:8], key[8:], b"seven..", 1)


async def _frames(data: bytes) -> list[bytes | None]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = [await read_frame(reader)]
    while found[-1] is not None:
        found.append(await read_frame(reader))
    return found


def test_frames_come_one_after_another() -> None:
    assert asyncio.run(_frames(framed(b"one") + framed(b"three"))) == [b"one", b"three", None]


@pytest.mark.parametrize(
    "data", [b"\0", b"\0\0", b"\0\x05abc", (LONGEST + 1).to_bytes(2) + bytes(LONGEST + 1)]
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(Iso8583Error):
        asyncio.run(_frames(data))
    with pytest.raises(Iso8583Error):
        framed(bytes(LONGEST + 1))


def capture(path: Path, messages: Iterable[bytes]) -> None:
    """A capture with a TCP segment for each: the message without TPDU and header, which the dissector does not know."""
    packets = b""
    for number, message in enumerate(messages):
        data = framed(message[TPDU_BYTES + HEADER_BYTES :])
        segment = struct.pack(">HHIIBBHHH", 40000 + number, 8583, 1, 1, 0x50, 0x18, 8192, 0, 0) + data
        home = bytes([127, 0, 0, 1])
        packet = (
            struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0, home, home) + segment
        )
        packets += struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet
    path.write_bytes(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + packets)


def by_tshark(path: Path) -> list[tuple[dict[str, str], bool]]:
    """What tshark reads in a capture's messages, by field, and whether it got through."""
    end = ["_ws.malformed", "iso8583.MALFORMED"]
    wanted = ["iso8583.mti", *(f"iso8583.bit{number}" for number in FIELDS), *end]
    settings = (
        "len_endian:Big endian",
        "charset:Digits represented in nibbles",
        "binencode:Bin data not encoded",
    )
    words = ["tshark", "-n", "-r", str(path), "-d", "tcp.port==8583,iso8583", "-T", "json"]
    words += itertools.chain(*(("-o", f"iso8583.{setting}") for setting in settings))
    words += itertools.chain(*(("-e", name) for name in wanted))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    found = []
    for packet in json.loads(done.stdout):
        values = {name: said[0] for name, said in packet["_source"].get("layers", {}).items()}
        fine = not any(name in values for name in end)
        found.append(
            (
                {name.removeprefix("iso8583."): value for name, value in values.items() if name not in end},
                fine,
            )
        )
    return found


def _sent(message: Message) -> bytes:
    return encode(message, lambda covered: pos_mac(MAK, covered))


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture(tmp_path / "sale.pcap", [_sent(Message("0200", SALE))])
    ((read, fine),) = by_tshark(tmp_path / "sale.pcap")
    assert fine
    sent = decode(_sent(Message("0200", SALE)))
    # It shows a sign that is not there behind bytes (4.0.17).
    told = {
        f"bit{number}": value.hex() if isinstance(value, bytes) else value
        for number, value in sent.fields.items()
    }
    assert {name: value[: len(told.get(name, value))] for name, value in read.items()} == {
        "mti": "0200",
        **told,
    }


def test_tshark_reads_a_sale_as_far_as_the_dialects_agree(tmp_path: Path) -> None:
    """UnionPay's bit 22 is filled up on the right, and its bit 35 is BCD; there the dissector of ISO 8583:1987 ends."""
    fields = {**SALE, 22: "051", 35: "6217001834057286101D4402", 60: "2200000100050"}
    capture(tmp_path / "sale.pcap", [_sent(Message("0200", fields))])
    ((read, fine),) = by_tshark(tmp_path / "sale.pcap")
    assert not fine
    before = {f"bit{number}": value for number, value in SALE.items() if number < 35}
    assert before.items() <= read.items()
    assert read["bit22"] == "510"
