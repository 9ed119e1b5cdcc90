"""The CA key table: a published key's checksum is right, a wrong one is refused with its line, any text is read or refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv import capk
from cardreader.emv.certificates import PublicKey
from cardreader.emv.settings import UNIONPAY_RID as RID
from cardreader.errors import ProtocolError
from cardreader.sim.emv.keys import CA_INDEX, CA_KEY, rsa_key

# UnionPay's key 01 as terminals have it.
UNIONPAY_01 = """
[[key]]
rid = "A000000333"
index = "01"
modulus = "BBE9066D2517511D239C7BFA77884144AE20C7372F515147E8CE6537C54C0A6A4D45F8CA4D290870CDA59F1344EF71D17D3F35D92F3F06778D0D511EC2A7DC4FFEADF4FB1253CE37A7B2B5A3741227BEF72524DA7A2B7B1CB426BEE27BC513B0CB11AB99BC1BC61DF5AC6CC4D831D0848788CD74F6D543AD37C5A2B4C5D5A93B"
exponent = "03"
expiry = 2029-12-31
checksum = "E881E390675D44C2DD81234DCE29C3F5AB2297A0"
"""


def test_a_published_key() -> None:
    key = capk.parse(UNIONPAY_01)[RID, 1]
    assert (key.key.size, key.key.exponent, key.expiry) == (128, b"\x03", date(2029, 12, 31))


def test_a_wrong_checksum_is_refused_with_its_line() -> None:
    twice = UNIONPAY_01 + UNIONPAY_01.replace('"01"', '"02"')
    with pytest.raises(ProtocolError, match="line 10: the checksum of A000000333/02 is another one"):
        capk.parse(twice)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('index = "01"', "", "line 2: without index"),
        ('index = "01"', 'index = "0101"', "line 2: a RID has 5 bytes, an index one"),
        ('index = "01"', "index = 1", "line 2: index is written in hexadecimal digits"),
        ('exponent = "03"', 'exponent = "05"', "line 2: an exponent is 03 or 010001"),
        ('modulus = "BB', 'modulus = "00', "line 2: a modulus is an odd number"),
        ("2029-12-31", '"31/12/29"', "line 2: expiry is a date"),
        ("[[key]]", "[key]", "line 2: keys are written"),
        ("[[key]]", "rids = 1\n[[key]]", "line 2: only"),
        ('index = "01"', 'index = "01"\nname = "x"', "line 2: 'name' is not known"),
        ('index = "01"', 'index = "01', "line 4"),
        (UNIONPAY_01, UNIONPAY_01 * 2, "line 10: A000000333/01 stands here twice"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says.replace("[", "\\[")):
        capk.parse(UNIONPAY_01.replace(old, new))


@given(st.text(st.sampled_from('[]key"=\n AF09.#{},-\\'), max_size=80))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    for document in (text, UNIONPAY_01 + text, text + UNIONPAY_01):
        try:
            capk.parse(document)
        except ProtocolError as error:
            assert str(error).startswith("CA keys: ")  # noqa: PT017


def test_text_without_measure_is_refused() -> None:
    for text in ("key = " + "[" * 5000, "key = " + "9" * 5000):
        with pytest.raises(ProtocolError, match="CA keys"):
            capk.parse(text)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(UNIONPAY_01)
    assert capk.load(path) == capk.parse(UNIONPAY_01)
    path.write_bytes(b"\xff")
    with pytest.raises(ProtocolError, match="keys"):
        capk.load(path)


def test_the_simulated_cards_have_theirs() -> None:
    key = rsa_key(CA_KEY)
    assert capk.simulated()[RID, CA_INDEX].key == PublicKey(key.modulus, key.public_exponent)


def other_ca(name: str = "issuer") -> str:
    """A table with another key under the simulator's RID and index."""
    key = rsa_key(name)
    own = capk.CaKey(RID, CA_INDEX, PublicKey(key.modulus, key.public_exponent), date(2049, 12, 31))
    return (
        f'[[key]]\nrid = "{RID.hex()}"\nindex = "{CA_INDEX:02X}"\nmodulus = "{key.modulus.hex()}"\n'
        f'exponent = "{key.public_exponent.hex()}"\nexpiry = 2049-12-31\nchecksum = "{own.checksum.hex()}"\n'
    )


def test_a_tester_s_key_comes_before_the_simulator_s_of_the_same_index() -> None:
    own = capk.parse(other_ca())
    assert capk.for_simulated_cards(own) == own
    assert capk.for_simulated_cards({}) == capk.simulated()
    both = capk.for_simulated_cards(capk.parse(UNIONPAY_01))
    assert set(both) == {(RID, 0x01), (RID, CA_INDEX)}
