"""Working keys of a POS line, its MAC and its tracks: published values, the way there and back, a peer."""

from __future__ import annotations

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.pboc.crypto import des3_decrypt, des3_encrypt
from server_stub.foundation.pos_keys import (
    CheckValueWrong,
    WorkingKeys,
    check_value,
    decipher_track,
    encipher_track,
    pos_mac,
)
from server_stub.foundation.secret import SecretBytes

# The peer still takes DES from where cryptography no longer wants it.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
TMK = bytes.fromhex("70F2A84CCBC2AE8625CBB0F2C22AB923")
TAK = bytes.fromhex("C24A8FB57AA20123")
KEYS = WorkingKeys(SecretBytes(bytes(range(16))), SecretBytes(TAK), SecretBytes(bytes(range(16, 32))))
tracks = st.from_regex(r"[0-9]{13,19}D[0-9]{4}[0-9]{3}[0-9]{0,9}", fullmatch=True)


def test_a_published_working_key_comes_out_from_under_the_master_key() -> None:
    assert des3_decrypt(TMK, bytes.fromhex("96D605EA176B7E9E")) == TAK


def test_the_mac_of_a_published_message() -> None:
    # Its blocks XORed; what was published of the MAC itself is cut off.
    assert pos_mac(TAK, bytes.fromhex("4D08F434464FE7BF")) == b"8A9E91B8"


@given(st.binary(max_size=100), st.integers(0, 12))
def test_the_mac_is_that_of_its_description_step_by_step(message: bytes, more: int) -> None:
    blocks = [message[at : at + 8].ljust(8, b"\0") for at in range(0, len(message), 8)]
    folded = bytes(8)
    for block in blocks:
        folded = psec.tools.xor(folded, block)
    text = f"{folded.hex().upper()}".encode()
    once = psec.des.encrypt_tdes_ecb(TAK, text[:8])
    twice = psec.des.encrypt_tdes_ecb(TAK, psec.tools.xor(once, text[8:]))
    assert pos_mac(TAK, message) == twice.hex().upper()[:8].encode()
    assert pos_mac(TAK, message + bytes(-len(message) % 8 + 8 * more)) == pos_mac(TAK, message)


@given(st.binary(min_size=16, max_size=16))
def test_check_values_are_the_peers(key: bytes) -> None:
    assert check_value(key) == psec.des.generate_kcv(key, 4)
    assert des3_decrypt(key, des3_encrypt(key, TMK)) == TMK


@pytest.mark.parametrize("tdk", [None, KEYS.tdk])
def test_working_keys_come_out_of_field_62_as_they_went_in(tdk: SecretBytes | None) -> None:
    keys = WorkingKeys(KEYS.pik, KEYS.mak, tdk)
    field = keys.field(TMK)
    assert len(field) == (40 if tdk is None else 60)
    assert WorkingKeys.read(TMK, field) == keys


def test_field_62_as_it_is_laid_out() -> None:
    field = KEYS.field(TMK)
    assert field[20:40] == bytes.fromhex("96D605EA176B7E9E") + bytes(8) + psec.des.generate_kcv(TAK, 4)
    assert field[40:56] == psec.des.encrypt_tdes_ecb(TMK, bytes(range(16, 32)))


@pytest.mark.parametrize(
    ("at", "key"), [(0, "PIK"), (17, "PIK"), (20, "MAK"), (39, "MAK"), (41, "TDK"), (59, "TDK")]
)
def test_a_changed_byte_is_told_by_the_check_value(at: int, key: str) -> None:
    field = bytearray(KEYS.field(TMK))
    field[at] ^= 0x10
    with pytest.raises(CheckValueWrong, match=key):
        WorkingKeys.read(TMK, bytes(field))


def test_keys_from_under_another_master_key_are_refused() -> None:
    with pytest.raises(CheckValueWrong, match="PIK"):
        WorkingKeys.read(bytes(range(16)), KEYS.field(TMK))


@pytest.mark.parametrize("field", [b"", bytes(39), bytes(61), bytes(28) + b"\x01" + bytes(11)])
def test_a_field_of_another_layout_is_refused(field: bytes) -> None:
    with pytest.raises(ValueError, match="field 62"):
        WorkingKeys.read(TMK, field)


@given(tracks)
def test_a_track_comes_back_and_nothing_of_it_is_seen(track: str) -> None:
    field = encipher_track(TMK, track)
    assert len(field) in (16, 24)
    assert decipher_track(TMK, field) == track
    padded = track.ljust(2 * len(field), "F")
    assert psec.des.decrypt_tdes_ecb(TMK, field).hex().upper() == padded


@pytest.mark.parametrize("track", ["", "1" * 38, "123=456", "6210 22"])
def test_what_is_no_track_is_refused_without_being_repeated(track: str) -> None:
    with pytest.raises(ValueError) as refused:
        encipher_track(TMK, track)
    assert not track or track not in str(refused.value)


@pytest.mark.parametrize("field", [b"", bytes(7), bytes(16), bytes(40)])
def test_what_is_no_enciphered_track_is_refused(field: bytes) -> None:
    with pytest.raises(ValueError):
        decipher_track(TMK, field)


def test_keys_do_not_print() -> None:
    assert TAK.hex() not in repr(KEYS).lower()
