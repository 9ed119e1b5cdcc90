"""Profile files: what may stand in them, and what is said of what may not."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.errors import ProtocolError, ReaderUnavailable
from cardreader.readers import open_reader
from cardreader.sim.emv.card import EmvCard
from cardreader.sim.emv.keys import rsa_key
from cardreader.sim.emv.profile import load, parse
from cardreader.sim.reader import SimReader
from cardreader.sim.store import MemoryStore
from cardreader.toml import MAX_FILE
from tests.cardreader.sim.emv.terminal import ARQC, Bench, changed

DEBIT = files("cardreader.sim.emv").joinpath("profiles", "debit.toml").read_text("utf-8")
HEAD = '[card]\npan = "6217001834057286101"'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('description = "', "description = 1 # ", "profile x: description: a text is wanted, not 1"),
        ('pan = "62', 'pan = "A2', "profile x: card: pan: 12 to 19 digits are wanted"),
        ('pin = "123456"', "", "profile x: card: pin: is missing"),
        ("atc = 17", "atc = 65536", "profile x: card: atc: 0 to 65535, not 65536"),
        ("atc = 17", "atc = true", "profile x: card: atc: a whole number is wanted, not True"),
        ("expiry = 2044-02-29", "expiry = 1999-01-01", "card: expiry: a year from 2000"),
        ("expiry = 2044-02-29", "expiry = 2050-01-01", "card: expiry: a year from 2000"),
        ("pin =", "pim = 1\npin =", "profile x: card: pim: is not known here"),
        ('aid = "A0', 'aid = "AG', "applications 1: aid: 'AG00000333010101' is not made of hex digits"),
        ('aid = "A000000333010101"', 'aid = "A0"', "applications 1: aid: 5 to 16 bytes are wanted, not 1"),
        ("[[applications]]", "[applications]", "applications: a list is wanted"),
        ('82 = "7C00"', "82 = 1.5", "applications 1: objects: 82: hex digits"),
        ('82 = "7C00"', '9F = "7C00"', "applications 1: objects: 9F: '9F' is no tag"),
        ('82 = "7C00"', '82 = "7C00"\n9F79 = { fen = -1 }', "objects: 9F79: fen: 0 to"),
        (
            '9F49 = "9F3704"',
            '9F49 = "9F37"',
            "applications 1: objects: 9F49: DOL: the length of 9F37 at byte 2 is missing",
        ),
        ('9F49 = "9F3704"', '9F49 = "9F37FF"', "asks for more than 252 bytes"),
        ("afl = ", 'afl = "01" #', "applications 1: afl: four bytes each"),
        ('afl = "08', 'afl = "28', "applications 1: afl: there is no file 5"),
        ("\n3 = [", "\n31 = [", "files: 31: an SFI of 1 to 30 is wanted"),
        ("\n3 = [", '\n3 = "x" #', "files: 3: a list is wanted"),
        ("\n3 = [", "\n3 = [1,", "files: 3: each record is a text"),
        (HEAD, '[keys]\nicc = "nobody"\n' + HEAD, "keys: icc: there is no test key 'nobody'"),
        (HEAD, "[keys]\nicc = 1\n" + HEAD, "keys: icc: the name of a test key, or a table"),
        (
            HEAD,
            '[keys]\nissuer = "icc"\nicc = "issuer"\n' + HEAD,
            "no key may be longer than the one that signs",
        ),
        (HEAD, '[keys]\nac = "00"\n' + HEAD, "keys: ac: 16 bytes are wanted"),
        ("[card]", "[card", "profile x: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, said: str) -> None:
    assert old in DEBIT
    with pytest.raises(ProtocolError) as raised:
        parse(DEBIT.replace(old, new, 1).encode(), "x")
    assert said in str(raised.value)
    assert str(raised.value).startswith("profile x: ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("57 5F20", "57 9F79", "record 1 of file 1 wants 9F79, which has no value"),
        ("57 5F20", "57 9F79=" + "00" * 250, "record 1 of file 1 is "),
        ('afl = "080101', 'afl = "080102', "the AFL names record 2 of file 1"),
        ("10010201", "10020101", "the AFL's entry 10 counts wrong"),
        ("10010201", "10010203", "the AFL signs record 3 of file 2"),
    ],
)
def test_what_cannot_be_made_is_said(old: str, new: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        EmvCard(changed("debit", (old, new)), MemoryStore())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_profile_or_an_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(raw, "x")


@given(
    st.integers(0, len(DEBIT) - 1),
    st.sampled_from(['"', "[", "]", "=", "0", "F", "\n", "-", "{", "é", "9" * 30]),
)
def test_a_damaged_profile_is_a_card_or_an_error(at: int, instead: str) -> None:
    try:
        card = EmvCard(parse((DEBIT[:at] + instead + DEBIT[at + 1 :]).encode(), "x"), MemoryStore())
    except ProtocolError:
        return
    assert card.transmit(bytes.fromhex("00A404000E315041592E5359532E444446303100"))[1] in (0x9000, 0x6A82)


def test_a_contactless_card_has_no_t0() -> None:
    with pytest.raises(ProtocolError, match="behaviour: get_response: a contactless card"):
        parse(f"{DEBIT}\n[behaviour]\ncontactless = true\nget_response = true\n".encode(), "x")


def test_a_tester_s_file_is_a_card(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DEBIT.replace("ZHANG/MIN", "LI/NA").replace("A000000333010101", "A000000333010103"))
    reader = open_reader(f"sim:{path}", str(tmp_path / "state"))
    assert isinstance(reader, SimReader)
    assert reader.profile == "mine.toml"
    assert reader.card is not None
    assert reader.card.transmit(bytes.fromhex("00A4040008A00000033301010300"))[1] == 0x9000
    reader.card.transmit(bytes.fromhex("80A8000002830000"))
    assert (tmp_path / "state" / "card-mine.toml.json").exists()
    reader.insert("debit")
    assert reader.profile == "debit"


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ProtocolError, match="Is a directory"):
        open_reader(f"sim:{tmp_path / 'folder.toml'}")
    long = tmp_path / "long.toml"
    long.write_bytes(b"#" * (MAX_FILE + 1))
    with pytest.raises(ProtocolError, match=f"longer than {MAX_FILE}"):
        load(long)
    with pytest.raises(ReaderUnavailable, match="your own FILE"):
        open_reader("sim:platinum")


def test_its_own_keys_are_used() -> None:
    key = '[keys]\nac = "000102030405060708090A0B0C0D0E0F"\n'
    bench = Bench(changed("debit", ("[card]", key + "[card]")))
    bench.begin()
    arqc = bench.first(ARQC)
    assert arqc.ac != bench.issuer(arqc).ac("7C00")


def test_its_own_rsa_key_is_used() -> None:
    key = rsa_key("pin")
    table = f'[keys.icc]\nexponent = 65537\nprime1 = "{key.prime1:X}"\nprime2 = "{key.prime2:X}"\n[card]'
    bench = Bench(changed("debit", ("[card]", table)))
    bench.begin()
    assert "9F4703010001" in bench.ok("00B2031C00")
    for wrong in (table.replace("65537", "3"), table.replace(f"{key.prime1:X}", f"{key.prime1 + 2:X}")):
        with pytest.raises(ProtocolError, match="keys: icc: exponent: does not fit these primes"):
            changed("debit", ("[card]", wrong))


def test_what_is_written_down_wins() -> None:
    """A tester can make a card whose track 2 and certificate are wrong."""
    bench = Bench(changed("debit", ('82 = "7C00"', '82 = "7C00"\n57 = "1234"\n90 = "00"')))
    bench.begin()
    assert bench.ok("00B2010C00").startswith("70295702" + "1234")
    assert "900100" in bench.ok("00B2011C00")


def test_format_2() -> None:
    bench = Bench(changed("debit", ("[[applications]]", "[behaviour]\nformat_2 = true\n\n[[applications]]")))
    assert bench.begin() == "7712" + "82027C00" + "940C080101001001020118010300"
    assert bench.ok("00880000041122334400").startswith("7781849F4B8180")
    data, sw = bench.gac(ARQC)
    assert (data[:32], sw) == ("771F9F2701809F360200129F2608" + data[28:32], 0x9000)
    assert data.endswith("9F100807010103A0000201")


def test_blocked_from_the_beginning() -> None:
    switch = "[behaviour]\n%s = true\n\n[[applications]]"
    bench = Bench(changed("debit", ("[[applications]]", switch % "blocked")))
    assert bench.ask("00A4040008A00000033301010100")[1] == 0x6283
    bench = Bench(changed("debit", ("[[applications]]", switch % "card_blocked")))
    assert bench.sw("00A4040008A00000033301010100") == "6A81"


def test_without_directories() -> None:
    bench = Bench(changed("debit", ("atc = 17", "atc = 17\npse = false\nppse = false")))
    assert bench.sw("00A404000E315041592E5359532E444446303100") == "6A82"
    assert bench.sw("00A404000E325041592E5359532E444446303100") == "6A82"
    bench.select()


def test_a_t0_card_lets_its_answers_wait() -> None:
    bench = Bench("debit-t0")
    assert bench.sw("00A4040008A000000333010101") == "613F"
    assert bench.sw("00C0000000") == "6C3F"
    assert bench.ok("00C000003F").startswith("6F3D")
    assert bench.sw("00C000003F") == "6985"
    assert bench.sw("80A8000002830000") == "6110"
    assert bench.sw("00B2010C00") == "6C35"
    assert bench.ok("00B2010C35").startswith("7033")
    assert bench.card.atr.hex() == "3b6600005354422d454d"
