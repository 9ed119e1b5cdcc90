"""Issuer scripts: their MACs, what they do, and what the next transaction tells of them."""

from __future__ import annotations

import pytest

from cardreader.apdu import Command
from cardreader.sim.emv import secure_messaging
from cardreader.sim.emv.issuer_keys import card_keys
from tests.cardreader.sim.emv.terminal import AAC, ARQC, PURCHASE, TC, Bench, Issuer

VERIFY = "0020008008"


def online(card: str = "credit", complete: bool = True) -> tuple[Bench, Issuer]:
    """A purchase that was approved online, and the issuer that saw it."""
    bench = Bench(card)
    begin(bench)
    issuer = bench.issuer(bench.first(ARQC))
    bench.ok(issuer.authentication("00"))
    if complete:
        bench.second(TC, "00")
    return bench, issuer


def begin(bench: Bench) -> None:
    """GPO with what the card's PDOL wants: nothing, country and currency, or an electronic cash purchase that is none."""
    bench.begin({"credit": "01560156", "electronic-cash": "00" * 7 + "0156"}.get(bench.profile.name, ""))


@pytest.mark.parametrize("header", ["04DA9F58", "841E0000", "84160000", "84180000", "84240000", "04DC0114"])
def test_without_the_right_mac_nothing_happens(header: str) -> None:
    bench, issuer = online()
    before = bench.state
    assert bench.sw(header) == "6987"
    assert bench.sw(header + "03000000") == "6987"
    assert bench.sw(issuer.script(header)[:-2] + "AA") == "6988"
    assert bench.state.carried & 0xFF == 0x38
    after = bench.state
    assert (after.objects, after.records, after.blocked) == (before.objects, before.records, before.blocked)
    assert not bench.card.state.card_blocked
    begin(bench)
    assert bench.first(ARQC).cvr == "03A00038"


def test_a_script_before_the_last_cryptogram_is_not_counted() -> None:
    bench, issuer = online(complete=False)
    bench.ok(issuer.script("04DA9F58", "07"))
    bench.second(TC, "00")
    begin(bench)
    assert bench.first(ARQC).cvr == "03A00000"
    assert bench.state.objects[0x9F58] == b"\x07"


def test_a_script_that_fails_before_the_last_cryptogram_shows_in_it_and_in_the_next() -> None:
    bench, issuer = online(complete=False)
    assert bench.sw(issuer.script("04DA9F36", "0001")) == "6A88"
    assert bench.second(TC, "00").cvr == "03600008"
    begin(bench)
    assert bench.first(ARQC).cvr == "03A00008"
    assert bench.state.last_online_atc == 18


def test_no_script_without_a_transaction() -> None:
    bench, issuer = online()
    begin(bench)
    assert bench.sw(issuer.script("04DA9F58", "07")) == "6985"


def test_put_data_only_what_may_be_changed() -> None:
    bench, issuer = online()
    assert bench.sw(issuer.script("04DA9F36", "0001")) == "6A88"
    assert bench.sw(issuer.script("04DA9F58", "0001")) == "6A80"
    bench.ok(issuer.script("04DA9F58", "00"))
    begin(bench)
    # No transaction offline any more: the first that is asked for goes online.
    assert bench.first(TC).cid == 0x80


def test_the_mac_is_of_this_transaction() -> None:
    bench, old = online()
    begin(bench)
    bench.first(ARQC)
    assert bench.sw(old.script("04DA9F58", "07")) == "6988"


def test_the_application_is_blocked_and_comes_back() -> None:
    bench, issuer = online("debit")
    bench.ok(issuer.script("841E0000"))
    data, sw = bench.ask("00A4040008A00000033301010100")
    assert (data[:4], sw) == ("6F3D", 0x6283)
    bench.ok("80A8000002830000")
    aac = bench.first(ARQC)
    assert (aac.cid, aac.cvr) == (0x00, "03800010")
    # The issuer unblocks with the cryptogram of the decline.
    bench.ok(bench.issuer(aac).script("84180000"))
    begin(bench)
    assert bench.first(ARQC).cid == 0x80


def test_a_block_before_the_last_cryptogram_declines() -> None:
    bench, issuer = online(complete=False)
    bench.ok(issuer.script("841E0000"))
    assert bench.second(TC, "00").cid == 0x00


def test_the_card_is_blocked_for_good() -> None:
    bench, issuer = online("debit")
    bench.ok(issuer.script("84160000"))
    assert bench.sw("00A4040008A00000033301010100") == "6A81"
    assert bench.sw("00A404000E315041592E5359532E444446303100") == "6A81"
    assert bench.gac(TC, PURCHASE, "00") == ("", 0x6985)
    bench.card.power_on()
    assert bench.sw("00A4040008A00000033301010100") == "6A81"
    again = Bench("debit", bench.store)
    assert again.sw("00A4040008A00000033301010100") == "6A81"


def test_the_pin_is_unblocked() -> None:
    bench = Bench("credit")
    begin(bench)
    for _ in range(3):
        bench.sw(VERIFY + "24" + "0000" + "FF" * 5)
    issuer = bench.issuer(bench.first(ARQC))
    bench.ok(issuer.script("84240000"))
    assert bench.ok("80CA9F1700") == "9F170103"


@pytest.mark.parametrize(("p2", "current"), [("02", None), ("01", "123456")])
def test_the_pin_is_changed(p2: str, current: str | None) -> None:
    bench, issuer = online()
    bench.ok(issuer.script(f"842400{p2}", issuer.new_pin("9876", current)))
    begin(bench)
    assert bench.sw(VERIFY + "26123456FFFFFFFF") == "63C2"
    bench.ok(VERIFY + "249876FFFFFFFFFF")


@pytest.mark.parametrize(
    ("p2", "data", "sw"),
    [
        ("02", "00" * 16, "6A80"),
        ("02", "00" * 8, "6A80"),
        ("02", "00" * 7, "6700"),
        ("02", "", "6700"),
        ("00", "00" * 8, "6700"),
        ("03", "00" * 16, "6A86"),
    ],
)
def test_what_is_no_pin_is_refused(p2: str, data: str, sw: str) -> None:
    bench, issuer = online()
    assert bench.sw(issuer.script(f"842400{p2}", data)) == sw
    assert bench.state.pin == "123456"


def test_a_pin_change_made_with_a_wrong_current_pin_is_refused() -> None:
    bench, issuer = online()
    assert bench.sw(issuer.script("84240001", issuer.new_pin("9876", "111111"))) == "6A80"


def test_a_record_is_updated() -> None:
    bench, issuer = online("debit")
    bench.ok(issuer.script("04DC010C", "70045F200141"))
    assert bench.ok("00B2010C00") == "70045F200141"
    assert bench.sw(issuer.script("04DC020C", "70045F200141")) == "6A83"
    assert bench.sw(issuer.script("04DC0144", "70045F200141")) == "6A82"
    assert bench.sw(issuer.script("04DC010C", "61045F200141")) == "6A80"
    assert bench.sw(issuer.script("04DC010C", "70055F200141")) == "6A80"
    assert bench.sw(issuer.script("04DC010D", "70045F200141")) == "6A86"


def test_scripts_are_counted_up_to_fifteen() -> None:
    bench, issuer = online()
    for value in range(17):
        bench.ok(issuer.script("04DA9F58", f"{value:02X}"))
    begin(bench)
    assert bench.first(ARQC).cvr == "03A000F0"


def test_the_issuer_s_side_makes_the_same_commands() -> None:
    bench, issuer = online()
    card = card_keys(bench.profile.pan, "01")
    atc, ac = issuer.answer.atc, issuer.answer.ac
    session = card.session(atc)

    def protected(command: Command) -> str:
        return secure_messaging.protect(session, command, atc, ac).hex().upper()

    for command, header, data in (
        (secure_messaging.put_data(0x9F79, bytes(6)), "04DA9F79", "00" * 6),
        (secure_messaging.update_record(2, 1, b"\x70\x00"), "04DC0114", "7000"),
        (secure_messaging.application_block(), "841E0000", ""),
        (secure_messaging.application_unblock(), "84180000", ""),
        (secure_messaging.card_block(), "84160000", ""),
        (secure_messaging.pin_unblock(), "84240000", ""),
        (secure_messaging.pin_change(card, session, "9876"), "84240002", issuer.new_pin("9876")),
        (
            secure_messaging.pin_change(card, session, "98765", "1234"),
            "84240001",
            issuer.new_pin("98765", "1234"),
        ),
    ):
        assert protected(command) == issuer.script(header, data).upper()


def test_a_declined_card_takes_scripts_too() -> None:
    bench = Bench("debit")
    begin(bench)
    issuer = bench.issuer(bench.first(ARQC))
    bench.ok(issuer.authentication("51"))
    bench.second(AAC, "51")
    bench.ok(issuer.script("841E0000"))
    assert bench.state.blocked
