"""The card, APDU by APDU: selection, reading, cryptograms and the order of things."""

from __future__ import annotations

import hashlib

import pytest

from cardreader.emv import capk
from cardreader.sim.emv.keys import CA_KEY, rsa_key
from cardreader.tlv import find
from cardreader.tlv import parse as tlvs
from tests.cardreader.sim.emv.terminal import (
    AAC,
    ARQC,
    CDA,
    CDOL1,
    CDOL2,
    PURCHASE,
    TC,
    Bench,
    Issuer,
    changed,
    checked,
)

RIGHT_PIN = "0020008008" + "26123456FFFFFFFF"
WRONG_PIN = "0020008008" + "26123457FFFFFFFF"


def test_selection_bit_by_bit() -> None:
    bench = Bench()
    assert bench.ok("00A404000E315041592E5359532E444446303100") == (
        "6F1E840E315041592E5359532E4444463031A50C8801015F2D027A689F110101"
    )
    assert bench.ok("00B2010C00") == (
        "702C612A4F08A000000333010101500A50424F432044454249549F120E554E494F4E504159204445424954870101"
    )
    assert bench.sw("00B2020C00") == "6A83"
    assert bench.ok("00A404000E325041592E5359532E444446303100") == (
        "6F30840E325041592E5359532E4444463031A51EBF0C1B61194F08A000000333010101500A50424F43204445424954870101"
    )
    assert bench.select() == (
        "6F3D8408A000000333010101A531500A50424F432044454249548701015F2D027A689F1101019F120E554E494F4E50415920"
        "4445424954BF0C059F4D020B0A"
    )
    assert bench.sw("00A4040008A00000033301010200") == "6A82"


def two_applications() -> Bench:
    """A debit card with a credit application besides."""
    last = '3 = ["8F 90 92 9F32", "93", "9F46 9F47 9F48"]\n'
    more = '\n[[applications]]\naid = "A000000333010102"\nafl = ""\nobjects = { 82 = "0000" }\nfiles = {}\n'
    return Bench(changed("debit", (last, last + more)))


def test_partial_names_and_the_next_one() -> None:
    bench = two_applications()
    partial = "07A0000003330101"
    assert find(bytes.fromhex(bench.ok(f"00A40400{partial}00")), 0x6F, 0x84) == bytes.fromhex(
        "A000000333010101"
    )
    assert find(bytes.fromhex(bench.ok(f"00A40402{partial}00")), 0x6F, 0x84) == bytes.fromhex(
        "A000000333010102"
    )
    assert bench.sw(f"00A40402{partial}00") == "6A82"
    assert bench.sw("00A4040205A00000000300") == "6A82"
    bench.ok("00A404000E315041592E5359532E444446303100")
    assert bench.ok("00B2010C00")[12:28] == "A000000333010101"
    assert bench.ok("00B2020C00")[12:28] == "A000000333010102"


def test_an_online_purchase_bit_by_bit() -> None:
    bench = Bench()
    assert bench.begin() == "800E7C00080101001001020118010300"
    arqc = bench.first(ARQC)
    issuer = bench.issuer(arqc)
    assert (arqc.cid, arqc.atc.hex(), arqc.iad.hex().upper()) == (0x80, "0012", "07010103A0000001")
    assert arqc.ac == issuer.ac("7C00")
    assert bench.ok(issuer.authentication("00")) == ""
    tc = bench.second(TC, "00")
    assert (tc.cid, tc.atc, tc.iad.hex().upper()) == (0x40, arqc.atc, "0701010360000001")
    assert tc.ac == issuer.ac("7C00", tc)
    assert bench.gac(TC, PURCHASE, "00") == ("", 0x6985)
    assert bench.ok("80CA9F3600") == "9F36020012"
    assert bench.ok("80CA9F1300") == "9F13020012"
    assert bench.ok("00B2015C00") == (
        "261122193015000000001990000000000000015601565354422D5041592054562053484F502020202020000012"
    )
    assert bench.sw("00B2025C00") == "6A83"


def test_a_declined_purchase() -> None:
    bench = Bench()
    bench.begin()
    issuer = bench.issuer(bench.first(ARQC))
    bench.ok(issuer.authentication("51"))
    aac = bench.second(AAC, "51")
    assert (aac.cid, aac.cvr) == (0x00, "03200000")
    assert aac.ac == issuer.ac("7C00", aac)
    assert bench.sw("00B2015C00") == "6A83"


def test_the_issuer_must_prove_itself() -> None:
    bench = Bench()
    bench.begin()
    issuer = bench.issuer(bench.first(ARQC))
    wrong = issuer.authentication("00")[:-2] + "31"
    assert bench.sw(wrong) == "6300"
    assert bench.sw(issuer.authentication("00")) == "6985"
    aac = bench.second(TC, "00")
    assert (aac.cid, aac.cvr) == (0x00, "03280000")
    bench.begin()
    again = bench.first(TC)
    # The last one was not completed online and failed: this one asks for the issuer.
    assert (again.cid, again.cvr) == (0x80, "03A08800")
    bench.ok(bench.issuer(again).authentication("00"))
    assert bench.second(TC, "00").cvr == "03608800"
    bench.begin()
    assert bench.first(ARQC).cvr == "03A00000"


def test_without_a_word_from_the_issuer_mandatory_authentication_shows() -> None:
    bench = Bench()
    bench.begin()
    bench.first(ARQC)
    assert bench.second(TC, "00").cvr == "03600400"
    bench.begin()
    assert bench.first(ARQC).cvr == "03A08800"


def test_an_interrupted_online_transaction_is_told_next_time() -> None:
    bench = Bench()
    bench.begin()
    bench.first(ARQC)
    bench.card.power_on()
    bench.begin()
    answer = bench.first(TC)
    assert (answer.cid, answer.atc.hex(), answer.cvr) == (0x80, "0013", "03A08000")


def test_unable_to_go_online() -> None:
    bench = Bench()
    bench.begin()
    bench.first(ARQC)
    assert bench.second(AAC, "Z3").cvr == "03210000"
    bench = Bench("credit")
    bench.begin("01560156")
    bench.first(ARQC)
    tc = bench.second(TC, "Y3")
    assert (tc.cid, tc.cvr) == (0x40, "03610000")
    assert bench.state.offline_count == 1


def test_a_terminal_that_declines() -> None:
    bench = Bench()
    bench.begin()
    failed = {**PURCHASE, "95": "4800000000"}
    aac = bench.first(AAC, failed)
    assert (aac.cid, aac.cvr) == (0x00, "03800000")
    assert aac.ac == bench.issuer(aac).ac("7C00", values=failed)
    assert bench.gac(AAC, failed, "Z1") == ("", 0x6985)
    bench.begin()
    assert bench.first(ARQC).cvr == "03A00104"


def test_offline_until_the_counter_wants_online() -> None:
    bench = Bench("credit")
    for count in (1, 2, 3):
        bench.begin("01560156")
        tc = bench.first(TC)
        assert (tc.cid, tc.cvr) == (0x40, "03900000")
        assert bench.state.offline_count == count
    assert bench.state.offline_total_fen == 3 * 1990
    bench.begin("01560156")
    arqc = bench.first(TC)
    assert (arqc.cid, arqc.cvr) == (0x80, "03A02000")
    bench.ok(bench.issuer(arqc).authentication("00"))
    bench.second(TC, "00")
    assert (bench.state.offline_count, bench.state.offline_total_fen) == (0, 0)


def test_offline_until_the_sum_wants_online() -> None:
    bench = Bench("credit")
    bench.begin("01560156")
    assert bench.first(TC, {**PURCHASE, "9F02": "000000050000"}).cid == 0x40
    bench.begin("01560156")
    assert bench.first(TC, {**PURCHASE, "9F02": "000000000001"}).cvr == "03A02000"
    bench.second(AAC, "Z3")
    bench.begin("01560156")
    bench.first(TC, {**PURCHASE, "9F02": "000000050001"})
    # 500.00 and 500.01 are more than the upper limit.
    assert bench.second(TC, "Y3", {**PURCHASE, "9F02": "000000050001"}).cid == 0x00


def test_a_foreign_currency_does_not_count() -> None:
    bench = Bench("credit")
    bench.begin("01560840")
    bench.first(TC, {**PURCHASE, "9F02": "000000999999", "5F2A": "0840"})
    assert (bench.state.offline_count, bench.state.offline_total_fen) == (1, 0)


def test_a_new_card_goes_online() -> None:
    bench = Bench(changed("credit", ("last_online_atc = 16", "last_online_atc = 0"), ('"C000"', '"C300"')))
    bench.begin("01560156")
    answer = bench.first(TC)
    assert (answer.cid, answer.cvr) == (0x80, "03A01000")
    assert bench.second(TC, "Y3").cid == 0x00


@pytest.mark.parametrize(
    "apdu",
    [
        "80AE800034" + "00" * 0x34 + "00",
        RIGHT_PIN,
        "0088000004" + "11223344" + "00",
        "008200000A" + "00" * 10,
        "04DA9F790A" + "00" * 10,
    ],
)
def test_nothing_goes_before_get_processing_options(apdu: str) -> None:
    bench = Bench()
    bench.select()
    assert bench.sw(apdu) == "6985"


def test_processing_options_once_and_as_the_pdol_says() -> None:
    bench = Bench("credit")
    bench.select()
    assert bench.sw("80A80000028300") == "6700"
    assert bench.sw("80A8000006830501560156") == "6700"
    assert bench.sw("80A8000006840401560156") == "6A80"
    assert bench.sw("80A8010006830401560156") == "6A86"
    assert bench.state.atc == 17
    bench.ok("80A8000006830401560156")
    assert bench.sw("80A8000006830401560156") == "6985"
    assert bench.state.atc == 18


def test_the_last_transaction_number_ends_the_card() -> None:
    bench = Bench(changed("debit", ("atc = 17", "atc = 65534")))
    bench.begin()
    bench.select()
    assert bench.sw("80A8000002830000") == "6985"


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("80AEC00034" + "00" * 0x34 + "00", "6A86"),
        ("80AE800134" + "00" * 0x34 + "00", "6A86"),
        ("80AE810034" + "00" * 0x34 + "00", "6A86"),
        ("80AE800033" + "00" * 0x33 + "00", "6700"),
        ("80AE8000", "6700"),
        ("0088000003" + "000000" + "00", "6700"),
        ("0088010004" + "00000000" + "00", "6A86"),
        ("008200000A" + "00" * 10, "6985"),
        ("80CA9F7900", "6A88"),
        ("80CA9F4F00", "9F4F199A039F21039F02069F03069F1A025F2A029F4E149C019F3602"),
        ("80CA9F1700", "9F170103"),
        ("0084000000", "0000000000000001"),
        ("0084000004", "6700"),
        ("0084010008", "6A86"),
        ("00B0820000", "6981"),
        ("00B2010500", "6A86"),
        ("00B2012C00", "6A82"),
        ("00B2000C00", "6A83"),
        ("80500102", "6D00"),
        ("90500102", "6E00"),
    ],
)
def test_a_wrong_command_has_its_status_word(apdu: str, sw: str) -> None:
    bench = Bench()
    bench.begin()
    data, word = bench.ask(apdu)
    assert (data or f"{word:04X}") == sw


def test_external_authenticate_once_and_ten_bytes() -> None:
    bench = Bench()
    bench.begin()
    issuer = bench.issuer(bench.first(ARQC))
    assert bench.sw("0082000008" + "00" * 8) == "6700"
    assert bench.sw("008200010A" + "00" * 10) == "6A86"
    bench.ok(issuer.authentication("00"))
    assert bench.sw(issuer.authentication("00")) == "6985"
    assert bench.gac(ARQC, PURCHASE, "00") == ("", 0x6985)


# -- the cardholder


def test_the_right_pin_is_in_the_cvr() -> None:
    bench = Bench("credit")
    bench.begin("01560156")
    bench.ok(RIGHT_PIN)
    assert bench.first(TC).cvr == "03940000"


def test_wrong_pins_are_counted_and_block() -> None:
    bench = Bench("credit")
    bench.begin("01560156")
    assert [bench.sw(WRONG_PIN) for _ in range(4)] == ["63C2", "63C1", "63C0", "6983"]
    assert bench.ok("80CA9F1700") == "9F170100"
    assert bench.sw(RIGHT_PIN) == "6983"
    assert bench.first(ARQC).cvr == "03A64000"
    bench.begin("01560156")
    # Without VERIFY in this transaction only the limit is told.
    assert bench.first(ARQC).cvr == "03A0C000"


def test_a_right_pin_gives_the_tries_back() -> None:
    bench = Bench("credit")
    bench.begin("01560156")
    assert bench.sw(WRONG_PIN) == "63C2"
    bench.ok(RIGHT_PIN)
    assert bench.ok("80CA9F1700") == "9F170103"


@pytest.mark.parametrize(
    "block",
    ["16123456FFFFFFFF", "23123FFFFFFFFFFF", "2D123456FFFFFFFF", "26123456FFFFFF0F", "2612345AFFFFFFFF"],
)
def test_what_is_no_pin_block_costs_no_try(block: str) -> None:
    bench = Bench("credit")
    bench.begin("01560156")
    assert bench.sw(f"0020008008{block}") == "6A80"
    assert bench.state.pin_tries_left == 3


def test_the_default_action_can_block_at_the_pin_limit() -> None:
    bench = Bench(changed("credit", ('9F52 = "C000"', '9F52 = "C080"')))
    bench.begin("01560156")
    for _ in range(3):
        bench.sw(WRONG_PIN)
    answer = bench.first(TC)
    assert (answer.cid, answer.cvr) == (0x00, "03864200")
    data, sw = bench.ask("00A4040008A00000033301010200")
    assert (data[:4], sw) == ("6F48", 0x6283)


def test_an_enciphered_pin() -> None:
    bench = Bench("credit")
    bench.begin("01560156")
    challenge = bench.ok("0084000000")
    modulus, exponent = pin_key(bench)
    assert bench.sw("0020008880" + "FF" * 128) == "6984"
    challenge = bench.ok("0084000000")
    bench.ok("00200088" + enciphered("26123456FFFFFFFF", challenge, modulus, exponent))
    # A challenge is good for one command.
    assert bench.sw("00200088" + enciphered("26123456FFFFFFFF", challenge, modulus, exponent)) == "6984"
    challenge = bench.ok("0084000000")
    assert bench.sw("00200088" + enciphered("26123457FFFFFFFF", challenge, modulus, exponent)) == "63C2"
    bench.ok("0084000000")
    assert bench.sw("00200088" + enciphered("26123456FFFFFFFF", "00" * 8, modulus, exponent)) == "6984"
    assert bench.state.pin_tries_left == 2
    bench.ok("0084000000")
    assert bench.sw("0020008808" + "26123456FFFFFFFF") == "6700"


def enciphered(block: str, challenge: str, modulus: bytes, exponent: bytes) -> str:
    """Lc and data of an enciphered VERIFY (EMV Book 2, 7.2)."""
    plain = bytes.fromhex("7F" + block + challenge).ljust(len(modulus), b"\x5a")
    number = pow(int.from_bytes(plain), int.from_bytes(exponent), int.from_bytes(modulus))
    return f"{len(modulus):02X}" + number.to_bytes(len(modulus)).hex()


# -- certificates


def objects(bench: Bench, sfi: int, number: int) -> dict[int, bytes]:
    record = tlvs(bytes.fromhex(bench.ok(f"00B2{number:02X}{sfi << 3 | 4:02X}00")))[0]
    return {child.tag: child.value for child in record.children}


def test_a_terminal_s_table_knows_our_ca() -> None:
    ca = rsa_key(CA_KEY)
    ((place, known),) = capk.simulated().items()
    assert place == (bytes.fromhex("A000000333"), 0xF0)
    assert (known.key.modulus, known.key.exponent) == (ca.modulus, ca.public_exponent)


def issuer_key(bench: Bench) -> tuple[bytes, bytes]:
    found = objects(bench, 3, 1)
    assert found[0x8F] == b"\xf0"
    ca = rsa_key(CA_KEY)
    inside = checked(found[0x90], ca.modulus, ca.public_exponent, found[0x92] + found[0x9F32])
    assert inside[:1] + inside[5:7] == bytes.fromhex("02" + "0244")
    assert bench.profile.pan.startswith(inside[1:5].hex().rstrip("f"))
    assert inside[10:14] == bytes((1, 1, len(found[0x90]), len(found[0x9F32])))
    return inside[14:] + found[0x92], found[0x9F32]


def static_data(bench: Bench, aip: str) -> bytes:
    record = tlvs(bytes.fromhex(bench.ok("00B2011400")))[0]
    return record.value + bytes.fromhex(aip)


def icc_key(bench: Bench, aip: str) -> tuple[bytes, bytes]:
    modulus, exponent = issuer_key(bench)
    found = objects(bench, 3, 3)
    more = found[0x9F48] + found[0x9F47] + static_data(bench, aip)
    inside = checked(found[0x9F46], modulus, exponent, more)
    assert inside[:11].hex() == "04" + bench.profile.pan.ljust(20, "f")
    return inside[20:] + found[0x9F48], found[0x9F47]


def pin_key(bench: Bench) -> tuple[bytes, bytes]:
    modulus, exponent = issuer_key(bench)
    found = objects(bench, 3, 4)
    inside = checked(found[0x9F2D], modulus, exponent, found[0x9F2F] + found[0x9F2E])
    return inside[20:] + found[0x9F2F], found[0x9F2E]


def test_static_data_is_signed() -> None:
    bench = Bench("debit-sda")
    bench.begin()
    modulus, exponent = issuer_key(bench)
    inside = checked(objects(bench, 3, 2)[0x93], modulus, exponent, static_data(bench, "5C00"))
    assert inside == bytes.fromhex("0301DAC1") + b"\xbb" * (len(inside) - 4)
    assert bench.sw("0088000004" + "11223344" + "00") == "6D00"


def test_the_card_signs_what_the_terminal_asks() -> None:
    bench = Bench()
    bench.begin()
    modulus, exponent = icc_key(bench, "7C00")
    signed = find(bytes.fromhex(bench.ok("0088000004" + "11223344" + "00")), 0x80)
    assert signed is not None
    inside = checked(signed, modulus, exponent, bytes.fromhex("11223344"))
    assert inside[:12].hex() == "0501" + "09" + "08" + "0000000000000001"
    assert bench.first(ARQC).cvr == "03A00002"


@pytest.mark.parametrize("second", [False, True])
def test_a_combined_signature(second: bool) -> None:
    bench = Bench("debit-cda")
    bench.begin()
    modulus, exponent = icc_key(bench, "7D00")
    answer = bench.first(ARQC | CDA)
    covered = sent(PURCHASE)
    inside = checked(answer.signature, modulus, exponent, bytes.fromhex(PURCHASE["9F37"]))
    issuer = Issuer(bench.profile.pan, "01", answer.with_cryptogram(inside[13:21]))
    if second:
        bench.ok(issuer.authentication("00"))
        answer = bench.second(TC | CDA, "00")
        covered += sent(PURCHASE, "00")
        inside = checked(answer.signature, modulus, exponent, bytes.fromhex(PURCHASE["9F37"]))
    size, number, cid = inside[2], inside[3:12], inside[12]
    assert (size, number[0], cid) == (38, 8, 0x40 if second else 0x80)
    assert inside[13:21] == issuer.ac("7D00", answer)
    told = bytes.fromhex(f"9F2701{cid:02X}9F3602") + answer.atc + bytes.fromhex("9F1008") + answer.iad
    assert inside[21 : 3 + size] == hashlib.sha1(covered + told).digest()
    assert answer.cvr == ("03600002" if second else "03A00002")


def test_a_decline_is_never_signed() -> None:
    bench = Bench("debit-cda")
    bench.begin()
    aac = bench.first(AAC | CDA)
    assert (aac.cid, aac.signature) == (0x00, None)
    bench = Bench("debit-sda")
    bench.begin()
    assert bench.gac(ARQC | CDA) == ("", 0x6985)


def sent(values: dict[str, str], arc: str = "") -> bytes:
    values = {**values, "8A": arc.encode().hex()}
    dol = CDOL2 if arc else CDOL1
    return bytes.fromhex("".join(values.get(tag, "").rjust(size * 2, "0") for tag, size in dol))
