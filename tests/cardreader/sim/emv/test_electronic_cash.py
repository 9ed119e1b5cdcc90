"""Electronic cash on the contact interface: when it is one, what it takes, and how it is loaded."""

from __future__ import annotations

import pyemv
import pytest

from tests.cardreader.sim.emv.terminal import AAC, ARQC, PURCHASE, TC, Bench, changed

PDOL = "01" + PURCHASE["9F02"] + "0156"
DEBIT_AFL, CASH_AFL = "080101001001030118010300", "0801010010010101100304001801030020010100"


def put_balance(bench: Bench, fen: int) -> str:
    """A purchase of nothing that goes online, and the PUT DATA script that it brings."""
    bench.begin("00" + "00" * 6 + "0156")
    issuer = bench.issuer(bench.first(ARQC, {**PURCHASE, "9F02": "0" * 12}))
    bench.ok(issuer.authentication("00"))
    assert bench.second(TC, "00", {**PURCHASE, "9F02": "0" * 12}).cid == 0x40
    return issuer.script("04DA9F79", f"{fen:012}")


def test_a_purchase_is_paid_offline() -> None:
    bench = Bench("electronic-cash")
    assert bench.begin(PDOL) == "80167C00" + CASH_AFL
    assert bench.ok("00B2012400") == "70099F7406454343303031"
    tc = bench.first(TC)
    issuer = bench.issuer(tc)
    assert (tc.cid, tc.cvr) == (0x40, "03900000")
    assert tc.ac == issuer.ac("7C00")
    # 07 DKI CVN CVR ALG, then 0A 01 five bytes of the balance after it, MAC.
    head, own = tc.iad[:8].hex().upper(), tc.iad[8:]
    assert (head, own[:7].hex().upper(), len(tc.iad)) == ("0701010390000001", "0A010000016660", 19)
    mac = pyemv.mac.mac_iso9797_3(issuer.sk["mac"][:8], issuer.sk["mac"][8:], tc.atc + own[1:7], 2, 4)
    assert own[7:] == mac
    assert bench.ok("80CA9F7900") == "9F7906000000016660"
    assert bench.ok("00B2015C00").startswith("261122193015000000001990")
    assert (bench.state.offline_count, bench.gac(TC, PURCHASE, "00")) == (0, ("", 0x6985))


@pytest.mark.parametrize(
    "pdol",
    [
        "00" + "000000001990" + "0156",
        "01" + "000000018651" + "0156",
        "01" + "000000001990" + "0840",
    ],
)
def test_what_is_no_electronic_cash_goes_to_the_account(pdol: str) -> None:
    bench = Bench("electronic-cash")
    assert bench.begin(pdol) == "800E7C00" + DEBIT_AFL


def test_one_transaction_has_a_limit() -> None:
    card = changed("electronic-cash", ("9F78 = { fen = 50000 }", "9F78 = { fen = 1989 }"))
    assert Bench(card).begin(PDOL) == "800E7C00" + DEBIT_AFL


def test_all_of_it_can_be_spent_and_nothing_more() -> None:
    bench = Bench("electronic-cash")
    bench.begin("01" + "000000018650" + "0156")
    assert bench.first(TC, {**PURCHASE, "9F02": "000000018650"}).cid == 0x40
    assert bench.ok("80CA9F7900") == "9F7906000000000000"
    bench.begin("01" + "000000000000" + "0156")
    # The terminal says another amount than before: the card has no money for it.
    aac = bench.first(TC, {**PURCHASE, "9F02": "000000000001"})
    assert aac.cid == 0x00
    assert bench.ok("80CA9F7900") == "9F7906000000000000"


def test_below_the_threshold_it_asks_for_the_issuer() -> None:
    bench = Bench(changed("electronic-cash", ("9F6D = { fen = 0 }", "9F6D = { fen = 17000 }")))
    bench.begin(PDOL)
    arqc = bench.first(TC)
    assert (arqc.cid, arqc.cvr) == (0x80, "03A02000")
    # Nobody there: the card pays all the same.
    assert bench.second(TC, "Y3").cid == 0x40
    assert bench.ok("80CA9F7900") == "9F7906000000016660"


def test_a_load_that_was_interrupted_does_not_stop_it_from_paying() -> None:
    bench = Bench("electronic-cash")
    bench.begin("00" + "00" * 6 + "0156")
    bench.first(ARQC)
    bench.card.power_on()
    bench.begin(PDOL)
    tc = bench.first(TC)
    assert (tc.cid, tc.cvr) == (0x40, "03908000")


def test_an_online_purchase_takes_nothing_from_the_card() -> None:
    bench = Bench("electronic-cash")
    bench.begin(PDOL)
    bench.ok(bench.issuer(bench.first(ARQC)).authentication("00"))
    assert bench.second(TC, "00").cid == 0x40
    assert bench.ok("80CA9F7900") == "9F7906000000018650"


def test_a_decline_takes_nothing() -> None:
    bench = Bench("electronic-cash")
    bench.begin(PDOL)
    assert bench.first(AAC).cid == 0x00
    assert bench.ok("80CA9F7900") == "9F7906000000018650"


def test_loading_changes_the_balance_and_is_logged() -> None:
    bench = Bench("electronic-cash")
    bench.ok(put_balance(bench, 38650))
    assert bench.ok("80CA9F7900") == "9F7906000000038650"
    assert bench.ok("80CADF4F00") == "DF4F0E9A039F21039F1A029F4E149F3602"
    assert bench.ok("00B2016400") == (
        "9F79" + "000000018650" + "000000038650" + "261122" + "193015" + "0156" + PURCHASE["9F4E"] + "0012"
    )
    bench.begin("01" + "000000038650" + "0156")
    assert bench.first(TC, {**PURCHASE, "9F02": "000000038650"}).cvr == "03900010"


def test_loading_above_the_limit_is_refused() -> None:
    bench = Bench("electronic-cash")
    assert bench.sw(put_balance(bench, 100001)) == "6A80"
    assert bench.ok("80CA9F7900") == "9F7906000000018650"
    assert bench.sw("00B2016400") == "6A83"
