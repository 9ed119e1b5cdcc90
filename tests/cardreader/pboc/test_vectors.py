"""Every published vector, wherever in the package it stands; and an independent peer for the MACs."""

from __future__ import annotations

import importlib
import pkgutil

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cardreader
from cardreader.pboc import crypto
from cardreader.pboc.vectors import Vector

# The peer still takes DES from where cryptography no longer wants it.


def every_vector() -> list[Vector]:
    vectors: list[Vector] = []
    for found in pkgutil.walk_packages(cardreader.__path__, "cardreader."):
        vectors.extend(getattr(importlib.import_module(found.name), "VECTORS", ()))
    return vectors


@pytest.mark.parametrize("vector", every_vector(), ids=lambda vector: vector.name)
def test_published_vector(vector: Vector) -> None:
    assert vector.function(**vector.arguments).hex() == vector.expected.hex()


def test_all_published_vectors_are_there() -> None:
    names = {vector.name for vector in every_vector()}
    wanted = {"V1 SESPK", "V1 MAC1", "V1 MAC2", "V2 SESLK", "V2 MAC1", "V2 MAC2", "V3 TAC"}
    assert names == wanted | {"E2 UDK", "E2 SK", "E2 AC", "E2 ARPC"}


KEYS_8 = st.binary(min_size=8, max_size=8)
KEYS_16 = st.binary(min_size=16, max_size=16)
DATA = st.binary(max_size=64)


@given(KEYS_8, DATA)
def test_the_purse_mac_is_psecs_cbc_mac(key: bytes, data: bytes) -> None:
    assert crypto.mac(key, data) == psec.mac.generate_cbc_mac(key, data, 2, 4)


@given(KEYS_16, DATA)
def test_the_retail_mac_is_psecs(key: bytes, data: bytes) -> None:
    assert crypto.retail_mac(key, data) == psec.mac.generate_retail_mac(key[:8], key[8:], data, 2, 8)


@given(KEYS_16, st.binary(min_size=4, max_size=4), st.binary(min_size=5, max_size=5), DATA)
def test_the_line_protection_mac_is_the_retail_mac_with_the_challenge_as_iv(
    key: bytes, challenge: bytes, header: bytes, data: bytes
) -> None:
    message = header + data
    padded = message + b"\x80" + bytes(-(len(message) + 1) % 8)
    first = bytes(a ^ b for a, b in zip(padded[:8], challenge + bytes(4), strict=True))
    peer = psec.mac.generate_retail_mac(key[:8], key[8:], first + padded[8:], 1, 4)
    assert crypto.secure_messaging_mac(key, challenge, header, data) == peer


@given(KEYS_16, st.binary(min_size=8, max_size=8))
def test_a_diversified_key_is_psecs_triple_des(key: bytes, factor: bytes) -> None:
    inverted = bytes(byte ^ 0xFF for byte in factor)
    peer = psec.des.encrypt_tdes_ecb(key, factor) + psec.des.encrypt_tdes_ecb(key, inverted)
    assert crypto.diversify(key, factor) == peer


@pytest.mark.parametrize("size", [0, 7, 9, 15, 24])
def test_keys_and_factors_of_another_length_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        crypto.des3_encrypt(bytes(size), bytes(8))
    with pytest.raises(ValueError, match="bytes"):
        crypto.retail_mac(bytes(size), b"")
    with pytest.raises(ValueError, match="8 bytes"):
        crypto.diversify(bytes(16), bytes(size))
