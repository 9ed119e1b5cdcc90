"""Keys outside the HSM: wrapped, bound to one use, put together from components, compared by check values."""

from __future__ import annotations

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation.secret import SecretBytes
from server_stub.tsp.hsm.errors import ComponentsRefused, KeyRefused, WorkingKeysRefused
from server_stub.tsp.hsm.keys import KeyBlock, LocalMasterKey, Usage
from server_stub.tsp.hsm.module import Hsm
from tests.server_stub.tsp.hsm.parts import BIT_62, KEYS, MASTER_KEY, TMK, components, desk

LMK = LocalMasterKey(MASTER_KEY)
SYMMETRIC = [usage for usage in Usage if usage.size is not None]


@pytest.mark.parametrize("usage", SYMMETRIC, ids=lambda usage: usage.name)
def test_a_key_block_is_one_of_tr_31_and_says_what_it_is_for(usage: Usage) -> None:
    key = SecretBytes(bytes(range(usage.size or 0)))
    block = LMK.wrap(usage, key)
    header, found = psec.tr31.unwrap(MASTER_KEY.reveal(), block)
    assert found == key.reveal()
    assert (header.version_id, header.key_usage, header.algorithm, header.mode_of_use, None) == (
        "D", *usage.value[:3], None,
    )  # fmt: skip
    assert header.exportability == "N"
    assert LMK.unwrap(usage, block) == key
    assert block != LMK.wrap(usage, key)


@pytest.mark.parametrize("usage", list(Usage), ids=lambda usage: usage.name)
def test_a_key_serves_no_other_use(usage: Usage) -> None:
    block = LMK.wrap(usage, SecretBytes(bytes(usage.size or 32)))
    for other in set(Usage) - {usage}:
        with pytest.raises(KeyRefused, match="another use"):
            LMK.unwrap(other, block)


@given(st.data())
def test_a_key_block_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    block = desk().keys.pik
    place = data.draw(st.integers(0, len(block) - 1))
    character = data.draw(
        st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != block[place])
    )
    changed = block[:place] + character + block[place + 1 :]
    if changed.upper() == block:
        return  # hex in small letters is the same block
    with pytest.raises(KeyRefused):
        LMK.unwrap(Usage.PIK, KeyBlock(changed))


@given(st.text(max_size=200))
def test_what_is_no_key_block_is_refused(text: str) -> None:
    with pytest.raises(KeyRefused, match="not this HSM's"):
        LMK.unwrap(Usage.PIK, KeyBlock(text))


def test_another_hsm_s_key_block_is_refused() -> None:
    other = Hsm(SecretBytes(bytes(32)))
    with pytest.raises(KeyRefused, match="not this HSM's"):
        other.mac(desk().keys.mak, b"")
    assert Hsm(MASTER_KEY).mac(desk().keys.mak, b"x") == desk().hsm.mac(desk().keys.mak, b"x")


def test_a_master_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        LocalMasterKey(SecretBytes(bytes(16)))


def test_a_key_is_put_together_from_components() -> None:
    three = [*components(TMK), SecretBytes(bytes(range(16)))]
    hsm = desk().hsm
    assert hsm.check_value(Usage.TMK, desk().tmk) == psec.des.generate_kcv(TMK.reveal(), 4)
    assert hsm.check_value(Usage.TMK, hsm.form_key(Usage.TMK, [TMK])) == hsm.check_value(
        Usage.TMK, desk().tmk
    )
    formed = hsm.form_key(Usage.TMK, three)
    expected = psec.tools.xor(TMK.reveal(), bytes(range(16)))
    assert hsm.check_value(Usage.TMK, formed) == psec.des.generate_kcv(expected, 4)


@pytest.mark.parametrize(
    ("usage", "given", "why"),
    [
        (Usage.TMK, [], "are expected"),
        (Usage.TMK, [TMK, TMK], "different"),
        (Usage.TMK, [TMK, SecretBytes(bytes(15))], "16 bytes"),
        (Usage.MAK, components(TMK), "8 bytes"),
        (Usage.BOX, components(TMK), "not put together"),
    ],
)
def test_what_are_no_components_are_refused(usage: Usage, given: list[SecretBytes], why: str) -> None:
    with pytest.raises(ComponentsRefused, match=why):
        desk().hsm.form_key(usage, given)


def test_a_box_key_has_no_check_value() -> None:
    with pytest.raises(KeyRefused, match="no check value"):
        desk().hsm.check_value(Usage.BOX, desk().box.private_key)


def test_working_keys_are_those_of_the_sign_in() -> None:
    hsm, keys = desk().hsm, desk().keys
    for usage, block, key in (
        (Usage.PIK, keys.pik, KEYS.pik),
        (Usage.MAK, keys.mak, KEYS.mak),
        (Usage.TDK, desk().tdk, KEYS.tdk),
    ):
        assert hsm.check_value(usage, block) == psec.des.generate_kcv(key.reveal(), 4)
    assert hsm.import_working_keys(desk().tmk, BIT_62[:40]).tdk is None


@pytest.mark.parametrize(
    ("at", "why"),
    [(0, "PIK"), (19, "PIK"), (20, "MAK"), (30, "zeros"), (36, "MAK"), (40, "TDK"), (57, "TDK")],
)
def test_a_changed_working_key_is_refused(at: int, why: str) -> None:
    field = bytearray(BIT_62)
    field[at] ^= 0x08
    with pytest.raises(WorkingKeysRefused, match=why):
        desk().hsm.import_working_keys(desk().tmk, bytes(field))


@given(st.binary(max_size=70))
def test_any_bit_62_is_refused_in_words(bit_62: bytes) -> None:
    with pytest.raises(WorkingKeysRefused):
        desk().hsm.import_working_keys(desk().tmk, bit_62)


def test_working_keys_come_only_from_under_a_terminal_master_key() -> None:
    with pytest.raises(KeyRefused, match="another use"):
        desk().hsm.import_working_keys(desk().keys.pik, BIT_62)


def test_a_published_working_key_comes_out_from_under_its_master_key() -> None:
    bit_62 = bytearray(BIT_62)
    bit_62[20:28] = bytes.fromhex("96D605EA176B7E9E")
    mak = desk().hsm.import_working_keys(desk().tmk, bytes(bit_62)).mak
    assert desk().hsm._lmk.unwrap(Usage.MAK, mak) == SecretBytes(bytes.fromhex("C24A8FB57AA20123"))
