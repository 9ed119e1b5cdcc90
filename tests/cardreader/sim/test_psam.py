"""The PSAM: its counter moves only with a proof, wrong proofs lock it, its keys fit its issuer's cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.errors import (
    ApplicationBlocked,
    CardRemoved,
    KeyIndexUnsupported,
    MacInvalid,
    ProtocolError,
    StatusError,
)
from cardreader.pboc import crypto
from cardreader.psam import Psam, PsamInit
from cardreader.sim import psam as sim_psam
from cardreader.sim.issuers import FOREIGN, KNOWN, Issuer
from cardreader.sim.psam import open_psam
from tests.cardreader.terminal import DATE, TIME

RANDOM = bytes.fromhex("11223344")
FACTOR = bytes.fromhex("0018340572162047")


def begin(psam: Psam, amount_fen: int = 100, key_version: int = 1, algorithm_id: int = 0) -> PsamInit:
    return psam.initialize_for_purchase(
        RANDOM, 7, amount_fen, 6, DATE, TIME, key_version, algorithm_id, FACTOR
    )


def right_mac2(init: PsamInit, amount_fen: int = 100, issuer: Issuer = KNOWN) -> bytes:
    key = crypto.diversify(issuer.purchase_key, FACTOR)
    session_key = crypto.purchase_session_key(key, RANDOM, 7, init.terminal_transaction_number)
    return crypto.purchase_mac2(session_key, amount_fen)


def test_its_files_say_who_it_is() -> None:
    one, two = Psam(open_psam(1, None)), Psam(open_psam(2, None, "foreign"))
    assert (one.terminal_number.hex(), one.serial.hex()) == ("853100000001", "62170085310000000001")
    assert one.terminal_number == sim_psam.terminal_number(1)
    assert one.serial == sim_psam.serial(1)
    assert two.terminal_number != one.terminal_number
    assert two.serial != one.serial
    assert one.application.issuer_id == KNOWN.issuer_id
    assert two.application.issuer_id == FOREIGN.issuer_id
    assert one.application.start_date < one.application.expiry_date


def test_mac1_is_what_the_card_will_compute() -> None:
    psam = Psam(open_psam(1, None))
    init = begin(psam)
    key = crypto.diversify(KNOWN.purchase_key, FACTOR)
    session_key = crypto.purchase_session_key(key, RANDOM, 7, init.terminal_transaction_number)
    assert init.mac1 == crypto.purchase_mac1(session_key, 100, 6, psam.terminal_number, DATE, TIME)


def test_the_number_moves_on_only_with_the_right_mac2() -> None:
    psam = Psam(open_psam(1, None))
    first = begin(psam)
    assert begin(psam).terminal_transaction_number == first.terminal_transaction_number
    with pytest.raises(MacInvalid):
        psam.credit_for_purchase(bytes(4))
    again = begin(psam)
    assert again.terminal_transaction_number == first.terminal_transaction_number
    psam.credit_for_purchase(right_mac2(again))
    moved = int.from_bytes(begin(psam).terminal_transaction_number)
    assert moved == int.from_bytes(first.terminal_transaction_number) + 1


def test_a_proof_counts_once_and_only_right_after_init() -> None:
    psam = Psam(open_psam(1, None))
    init = begin(psam)
    psam.credit_for_purchase(right_mac2(init))
    with pytest.raises(StatusError) as twice:
        psam.credit_for_purchase(right_mac2(init))
    assert twice.value.sw == 0x6985
    connection = open_psam(1, None)
    psam = Psam(connection)
    init = begin(psam)
    connection.transmit(bytes.fromhex("0084000004"))
    with pytest.raises(StatusError) as late:
        psam.credit_for_purchase(right_mac2(init))
    assert late.value.sw == 0x6985


@pytest.mark.parametrize("limit", [1, 3])
def test_wrong_mac2_in_a_row_lock_it(tmp_path: Path, limit: int) -> None:
    psam = Psam(open_psam(1, str(tmp_path), wrong_mac2_until_locked=limit))
    for _ in range(limit):
        begin(psam)
        with pytest.raises(MacInvalid):
            psam.credit_for_purchase(bytes(4))
    with pytest.raises(ApplicationBlocked):
        begin(psam)
    with pytest.raises(ApplicationBlocked):
        begin(Psam(open_psam(1, str(tmp_path))))
    with pytest.raises(ApplicationBlocked):
        psam.credit_for_purchase(bytes(4))


def test_a_right_mac2_forgives_the_wrong_ones() -> None:
    psam = Psam(open_psam(1, None, wrong_mac2_until_locked=2))
    for _ in range(3):
        begin(psam)
        with pytest.raises(MacInvalid):
            psam.credit_for_purchase(bytes(4))
        psam.credit_for_purchase(right_mac2(begin(psam)))


def test_it_knows_one_key_version_and_one_algorithm() -> None:
    psam = Psam(open_psam(1, None))
    for version, algorithm in ((2, 0), (1, 4)):
        with pytest.raises(KeyIndexUnsupported):
            begin(psam, key_version=version, algorithm_id=algorithm)


def test_its_counter_survives_a_restart_and_each_has_its_own(tmp_path: Path) -> None:
    psam = Psam(open_psam(1, str(tmp_path)))
    for _ in range(3):
        psam.credit_for_purchase(right_mac2(begin(psam)))
    assert begin(Psam(open_psam(1, str(tmp_path)))).terminal_transaction_number == (4).to_bytes(4)
    assert begin(Psam(open_psam(2, str(tmp_path)))).terminal_transaction_number == (1).to_bytes(4)
    foreign = Psam(open_psam(1, str(tmp_path), "foreign"))
    assert begin(foreign).terminal_transaction_number == (1).to_bytes(4)


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=3))
def test_keys_are_derived_city_bank_card(factors: list[bytes]) -> None:
    connection = open_psam(1, None)
    Psam(connection)
    data = RANDOM + bytes(2) + bytes(4) + b"\x06" + DATE + TIME + b"\x01\x00" + b"".join(factors)
    answer, sw = connection.transmit(bytes.fromhex("80700000") + bytes((len(data),)) + data + b"\x08")
    assert sw == 0x9000
    key = KNOWN.purchase_key
    for factor in reversed(factors):
        key = crypto.diversify(key, factor)
    session_key = crypto.purchase_session_key(key, RANDOM, 0, answer[:4])
    number = sim_psam.terminal_number(1)
    assert answer[4:] == crypto.purchase_mac1(session_key, 0, 6, number, DATE, TIME)


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("807000001B" + "00" * 27, 0x6700),
        ("807001001C" + "00" * 28, 0x6A86),
        ("8072000003000000", 0x6700),
        ("807201000400000000", 0x6A86),
        ("00B0950001", 0x6A82),
        ("00B2010C00", 0x6A82),
        ("805C000204", 0x6D00),
    ],
)
def test_what_the_psam_refuses_and_how(apdu: str, sw: int) -> None:
    connection = open_psam(1, None)
    Psam(connection)
    assert connection.transmit(bytes.fromhex(apdu)) == (b"", sw)


def test_a_number_at_its_end_is_not_handed_out(tmp_path: Path) -> None:
    (tmp_path / "psam-001.json").write_text(
        '{"terminal_transaction_number": 4294967296, "wrong_mac2": 0, "locked": false}'
    )
    with pytest.raises(StatusError) as full:
        begin(Psam(open_psam(1, str(tmp_path))))
    assert full.value.sw == 0x9402


def test_what_is_no_demo_psam_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 999"):
        open_psam(0, None)
    with pytest.raises(KeyError):
        open_psam(1, None, "nobody")
    (tmp_path / "psam-001.json").write_text("{}")
    with pytest.raises(ProtocolError, match="psam-001"):
        open_psam(1, str(tmp_path))


def test_a_closed_connection_is_closed() -> None:
    connection = open_psam(1, None)
    connection.close()
    with pytest.raises(CardRemoved):
        connection.transmit(bytes.fromhex("0084000004"))


def test_two_connections_to_one_psam_share_its_counter(tmp_path: Path) -> None:
    mine, theirs = (Psam(open_psam(1, str(tmp_path))) for _ in range(2))
    first, again = begin(mine), begin(theirs)
    assert first.terminal_transaction_number == again.terminal_transaction_number
    mine.credit_for_purchase(right_mac2(first))
    # What was begun elsewhere ended with it: there is only one PSAM.
    with pytest.raises(StatusError):
        theirs.credit_for_purchase(right_mac2(again))
    following = begin(theirs).terminal_transaction_number
    assert int.from_bytes(following) == int.from_bytes(first.terminal_transaction_number) + 1
