"""Working keys: the public vector, check values, tracks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psec import des

from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.working_keys import (
    WorkingKeys,
    check_value,
    conceal_track,
    des3_decrypt,
    master_key,
    reveal_track,
    under,
)

TMK = bytes.fromhex("70F2A84CCBC2AE8625CBB0F2C22AB923")
TDK = SecretBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))


def test_a_working_key_under_the_tmk() -> None:
    assert des3_decrypt(TMK, bytes.fromhex("96D605EA176B7E9E")) == bytes.fromhex("C24A8FB57AA20123")


def test_the_check_value_is_psec_s() -> None:
    for key in (TMK, TMK[:8]):
        assert check_value(key) == des.generate_kcv(key, 4)


@pytest.mark.parametrize(("code", "size"), [("003", 40), ("004", 60)])
def test_what_a_sign_in_brings(code: str, size: int) -> None:
    keys = WorkingKeys.fresh(lambda count: bytes(range(1, count + 1)), code)
    data = under(SecretBytes(TMK), keys)
    assert len(data) == size
    assert des3_decrypt(TMK, data[:16]) == keys.pik.reveal()
    assert data[16:20] == check_value(keys.pik.reveal())
    assert des3_decrypt(TMK, data[20:28]) == keys.mak.reveal()
    assert data[28:40] == bytes(8) + check_value(keys.mak.reveal())
    assert WorkingKeys.from_bytes(keys.to_bytes()) == keys
    assert keys.pik.reveal().hex() not in repr(keys)


@given(st.from_regex(r"\A[0-9]{12,19}D[0-9]{7,17}\Z").map(lambda track: track[:37]))
def test_a_track_comes_back(track: str) -> None:
    concealed = conceal_track(TDK, track)
    assert len(concealed) in (32, 48)
    assert track[:12] not in concealed
    assert reveal_track(TDK, concealed) == track


def test_what_is_no_whole_block_has_no_track() -> None:
    with pytest.raises(ValueError, match="block"):
        reveal_track(TDK, "A" * 30)


def test_both_sides_of_a_file_have_one_tmk() -> None:
    assert (
        master_key(SecretBytes(b"file"))
        == master_key(SecretBytes(b"file"))
        != master_key(SecretBytes(b"other"))
    )
