"""Whole transactions of the kernel with the simulated cards, an issuer that computes with pyemv between them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cardreader.emv.bits import Ac, TerminalCapabilities, Tsi, Tvr
from cardreader.emv.certificates import Reason
from cardreader.emv.cvm import Cvm
from cardreader.emv.iad import IssuerApplicationData
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import (
    Approved,
    ApprovedOffline,
    ClearPin,
    Declined,
    Online,
    PinBypassed,
    PinEntered,
    Prepared,
)
from cardreader.emv.scripts import IssuerResponse, UnableToGoOnline
from cardreader.emv.settings import Interface, Transaction, TransactionType, bcd
from cardreader.errors import CardReaderError, CardRemoved, StatusError
from cardreader.secret import Pin
from cardreader.sim.emv.profile import EmvProfile
from tests.cardreader.emv.bench import NOON, Desk, purchase, settings
from tests.cardreader.sim.emv.terminal import Bench, changed

ONLINE_PIN = Tvr.ONLINE_PIN_ENTERED
FLOOR = Tvr.FLOOR_LIMIT_EXCEEDED
CVM_LIST = '8E = "00000000 00000000 0203 1F03"'


def with_cvms(rules: str, name: str = "debit") -> EmvProfile:
    return changed(name, (CVM_LIST, f'8E = "00000000 00000000 {rules}"'))


def online(desk: Desk, amount_fen: int = 1990, type: TransactionType = TransactionType.PURCHASE) -> Online:
    desk.card.prepare(purchase(amount_fen, type))
    first = desk.card.authorise(PinEntered())
    assert isinstance(first, Online)
    return first


def test_an_online_debit_sends_what_a_minimal_terminal_sends() -> None:
    desk = Desk()
    first = online(desk)
    assert isinstance(desk.card.complete(desk.approval(first)), Approved)
    assert [apdu[:8] for apdu in desk.asked] == [
        "00A40400",  # SELECT PSE
        "00B2010C",
        "00B2020C",  # its end
        "00A40400",  # SELECT the application
        "80A80000",  # GET PROCESSING OPTIONS
        "00B2010C",
        "00B20114",
        "00B20214",
        "00B2011C",
        "00B2021C",
        "00B2031C",
        "00880000",  # INTERNAL AUTHENTICATE
        "80AE8000",  # GENERATE AC: ARQC
        "00820000",  # EXTERNAL AUTHENTICATE
        "80AE4000",  # GENERATE AC: TC
    ]
    assert desk.card.tvr == ONLINE_PIN | FLOOR
    assert desk.card.tsi == (
        Tsi.OFFLINE_DATA_AUTHENTICATION
        | Tsi.CARDHOLDER_VERIFICATION
        | Tsi.CARD_RISK_MANAGEMENT
        | Tsi.TERMINAL_RISK_MANAGEMENT
        | Tsi.ISSUER_AUTHENTICATION
    )
    assert (desk.card.get_data(0x9F13), desk.card.get_data(0x9F17)) == (b"\x00\x12", b"\x03")
    assert desk.card.get_data(0x9F79) is None


def test_the_commands_to_the_byte() -> None:
    desk = Desk(terminal=settings(merchant_name="STB"))
    first = online(desk)
    assert desk.asked[4] == "80A8000002830000"
    assert desk.asked[11] == "00880000040102030400"
    assert desk.asked[12] == (
        "80AE800034" + "000000001990" + "000000000000" + "0156" + "0000048000" + "0156" + "261122" + "00"
        "01020304" + "120000" + "535442" + "00" * 17 + "00"
    )
    desk.card.complete(desk.approval(first))
    assert desk.asked[14] == (
        "80AE400022" + "3030" + "000000001990" + "000000000000" + "0156" + "0000048000" + "0156" + "261122"
        "00" + "01020304" + "120000" + "00"
    )


def test_the_issuer_finds_its_cryptogram_right() -> None:
    desk = Desk()
    first = online(desk)
    values = {f"{tag:X}": value.hex() for tag, value in first.data.items()}
    assert desk.issuer(first).ac("7C00", values=values) == first.data[0x9F26]
    assert list(first.data)[:13] == [
        *(0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03)
    ]
    assert IssuerApplicationData.decode(first.data[0x9F10]).cvr.cryptograms == (Ac.ARQC, None)
    assert (values["9F34"], values["84"], values["9F41"]) == ("020300", "a000000333010101", "00000007")


def test_the_holders_turn_tells_the_card_and_prints_nothing_of_it() -> None:
    desk = Desk()
    prepared = desk.card.prepare(purchase())
    assert (prepared.cvm, prepared.electronic_cash) == (Cvm.ONLINE_PIN, False)
    pan = desk.bench.profile.pan
    card = prepared.card
    assert (card.pan.reveal(), card.sequence_number, card.expiry) == (pan, "01", "440229")
    assert card.track_2.reveal().hex().startswith(pan + "d4402220")
    assert card.masked.startswith("6217 00**")
    assert pan not in repr(prepared)
    assert pan[6:15] not in repr(prepared)


@pytest.mark.parametrize("name", ["debit", "credit", "debit-sda", "debit-cda", "debit-t0"])
def test_every_card_pays_online_and_is_found_genuine(name: str) -> None:
    desk = Desk(name)
    first = online(desk)
    assert isinstance(desk.card.complete(desk.approval(first)), Approved)
    assert desk.card.authentication_failure is None
    assert desk.card.tvr & ~Tvr.SDA_SELECTED == ONLINE_PIN | FLOOR
    assert (Tvr.SDA_SELECTED in desk.card.tvr) == (name == "debit-sda")
    assert ("80AE9000" in [apdu[:8] for apdu in desk.asked]) == (name == "debit-cda")


@pytest.mark.parametrize(
    ("name", "tvr"),
    [("debit", Tvr.DDA_FAILED), ("debit-sda", Tvr.SDA_FAILED), ("debit-cda", Tvr.CDA_FAILED)],
)
def test_an_unknown_authority_is_said_and_the_issuer_asked(name: str, tvr: Tvr) -> None:
    desk = Desk(name, settings(ca_keys={}))
    first = online(desk)
    assert tvr in desk.card.tvr
    assert desk.card.authentication_failure is not None
    assert desk.card.authentication_failure.reason is Reason.NO_CA_KEY
    assert first.data[0x95] == int(desk.card.tvr).to_bytes(5)
    assert "80AE9000" not in [apdu[:8] for apdu in desk.asked]


def test_no_method_in_common() -> None:
    desk = Desk(terminal=settings(capabilities=TerminalCapabilities.ONLINE_PIN))
    online(desk)
    assert Tvr.OFFLINE_DATA_AUTHENTICATION_NOT_PERFORMED in desk.card.tvr
    assert Tsi.OFFLINE_DATA_AUTHENTICATION not in desk.card.tsi


@pytest.mark.parametrize(
    ("old", "new", "reason", "tvr"),
    [
        ('9F4A = "82"', '9F4A = "8295"', Reason.DATA, Tvr.DDA_FAILED),
        ('"9F46 9F47 9F48"', '"9F47=03"', Reason.MISSING, Tvr.DDA_FAILED | Tvr.ICC_DATA_MISSING),
        ('9F49 = "9F3704"', '9F49 = "9F0206"', Reason.DATA, Tvr.DDA_FAILED),
    ],
)
def test_a_card_that_is_not_genuine(old: str, new: str, reason: Reason, tvr: Tvr) -> None:
    desk = Desk(changed("debit", (old, new)))
    desk.card.prepare(purchase())
    assert desk.card.authentication_failure is not None
    assert desk.card.authentication_failure.reason is reason
    assert desk.card.tvr == tvr


def test_a_combined_signature_that_does_not_hold_ends_without_the_issuer() -> None:
    desk = Desk("debit-cda")
    desk.card.prepare(purchase())
    # A good signature, about another amount.
    other = Desk("debit-cda")
    online(other, 2000)
    desk.changes["80AE"] = other.answers[-1]
    assert isinstance(desk.card.authorise(PinEntered()), Declined)
    assert Tvr.CDA_FAILED in desk.card.tvr
    assert desk.asked[-1][:8] == "80AE0000"


def test_no_tc_is_believed_whose_signature_does_not_hold() -> None:
    terminal = settings(floor_limit_fen=5000)
    cards = [Desk(with_cvms("1F03", "debit-cda"), terminal) for _ in range(2)]
    for desk, amount_fen in zip(cards, (2000, 1990), strict=True):
        desk.card.prepare(purchase(amount_fen))
    assert isinstance(cards[0].card.authorise(), ApprovedOffline)
    cards[1].changes["80AE"] = cards[0].answers[-1]
    assert isinstance(cards[1].card.authorise(), Declined)
    assert len([apdu for apdu in cards[1].asked if apdu.startswith("80AE")]) == 1

    cards = [Desk("debit-cda") for _ in range(2)]
    firsts = [online(desk, amount_fen) for desk, amount_fen in zip(cards, (2000, 1990), strict=True)]
    assert isinstance(cards[0].card.complete(cards[0].approval(firsts[0])), Approved)
    cards[1].changes["80AE"] = cards[0].answers[-1]
    final = cards[1].card.complete(cards[1].approval(firsts[1]))
    assert isinstance(final, Declined)
    assert final.reversal


def aip(value: str) -> Desk:
    return Desk(changed("debit", ('82 = "7C00"', f'82 = "{value}"')))


def test_a_card_without_issuer_authentication() -> None:
    desk = aip("7800")
    first = online(desk)
    assert isinstance(desk.card.complete(desk.approval(first)), Approved)
    assert not [apdu for apdu in desk.asked if apdu.startswith("0082")]
    assert Tsi.ISSUER_AUTHENTICATION not in desk.card.tsi


def test_a_card_without_terminal_risk_management() -> None:
    desk = aip("7400")
    online(desk)
    assert desk.card.tvr == ONLINE_PIN
    assert Tsi.TERMINAL_RISK_MANAGEMENT not in desk.card.tsi


def test_a_card_without_cardholder_verification() -> None:
    desk = aip("6C00")
    assert desk.card.prepare(purchase()).cvm is Cvm.NONE
    first = desk.card.authorise()
    assert isinstance(first, Online)
    assert first.data[0x9F34].hex() == "3f0000"
    assert desk.card.tvr == FLOOR
    assert Tsi.CARDHOLDER_VERIFICATION not in desk.card.tsi


def test_declined_by_the_issuer() -> None:
    desk = Desk()
    first = online(desk)
    final = desk.card.complete(desk.approval(first, "51"))
    assert isinstance(final, Declined)
    assert not final.reversal
    assert desk.asked[-1].startswith("80AE0000223531")


def test_a_wrong_arpc_is_said_and_the_card_declines_what_the_issuer_approved() -> None:
    desk = Desk()
    online(desk)
    final = desk.card.complete(IssuerResponse(b"00", bytes(8) + b"00"))
    assert isinstance(final, Declined)
    assert final.reversal
    assert Tvr.ISSUER_AUTHENTICATION_FAILED in desk.card.tvr
    assert final.data[0x95] == int(desk.card.tvr).to_bytes(5)


def test_the_issuer_cannot_be_reached() -> None:
    desk = Desk()
    online(desk)
    final = desk.card.complete(UnableToGoOnline())
    assert isinstance(final, Declined)
    assert not final.reversal
    assert desk.asked[-1].startswith("80AE0000225A33")


def test_the_issuer_cannot_be_reached_and_nothing_speaks_against_offline() -> None:
    desk = Desk(with_cvms("1F03"), settings(tac_default=bytes(5)))
    desk.card.prepare(purchase())
    desk.card.objects[0x9F0D] = bytes(5)
    assert isinstance(desk.card.authorise(), Online)
    assert isinstance(desk.card.complete(UnableToGoOnline()), Approved)
    assert desk.asked[-1].startswith("80AE4000225933")


def test_small_amounts_are_paid_offline_where_the_terminal_says_so() -> None:
    desk = Desk(with_cvms("1F03"), settings(floor_limit_fen=5000))
    assert desk.card.prepare(purchase()).cvm is Cvm.NONE
    assert isinstance(desk.card.authorise(), ApprovedOffline)
    assert desk.asked[-1][:8] == "80AE4000"


def test_an_expired_card_is_said() -> None:
    desk = Desk(changed("debit", ("expiry = 2044-02-29", "expiry = 2026-10-31")))
    online(desk)
    assert Tvr.EXPIRED in desk.card.tvr


def test_a_service_that_is_not_allowed_is_declined_at_once() -> None:
    desk = Desk(changed("debit", ('9F07 = "FF00"', '9F07 = "0000"')))
    desk.card.prepare(purchase())
    assert isinstance(desk.card.authorise(PinEntered()), Declined)
    assert desk.asked[-1][:8] == "80AE0000"


# -- the holder


@pytest.mark.parametrize("rules", ["0100", "0400"])
def test_an_offline_pin_may_be_wrong_once(rules: str) -> None:
    desk = Desk(with_cvms(rules))
    assert desk.card.prepare(purchase()).cvm is Cvm.OFFLINE_PIN
    again = desk.card.authorise(ClearPin(Pin("654321")))
    assert isinstance(again, Prepared)
    assert (again.cvm, again.tries_left) == (Cvm.OFFLINE_PIN, 2)
    first = desk.card.authorise(ClearPin(Pin("123456")))
    assert isinstance(first, Online)
    assert first.data[0x9F34].hex() == rules + "02"
    assert desk.card.tvr == FLOOR
    assert ("0084000000" in desk.asked) == (rules == "0400")


def test_the_last_wrong_pin_gives_way_to_the_next_rule() -> None:
    desk = Desk(with_cvms("4100 0203"))
    desk.card.prepare(purchase())
    for _ in range(2):
        assert isinstance(desk.card.authorise(ClearPin(Pin("654321"))), Prepared)
    after = desk.card.authorise(ClearPin(Pin("654321")))
    assert isinstance(after, Prepared)
    assert (after.cvm, after.tries_left) == (Cvm.ONLINE_PIN, None)
    first = desk.card.authorise(PinEntered())
    assert isinstance(first, Online)
    assert Tvr.PIN_TRY_LIMIT_EXCEEDED | ONLINE_PIN in desk.card.tvr
    assert first.data[0x9F34].hex() == "020300"


def test_without_a_pin_the_verification_has_failed() -> None:
    desk = Desk()
    desk.card.prepare(purchase())
    first = desk.card.authorise(PinBypassed())
    assert isinstance(first, Online | Declined)
    assert Tvr.PIN_NOT_ENTERED | Tvr.CVM_FAILED in desk.card.tvr
    assert first.data[0x9F34].hex() == "020301"


@pytest.mark.parametrize(
    ("rules", "pin"),
    [("0203", None), ("0203", ClearPin(Pin("123456"))), ("0100", PinEntered()), ("1F03", PinEntered())],
)
def test_another_answer_than_was_wanted_may_be_mended(rules: str, pin: object) -> None:
    desk = Desk(with_cvms(rules))
    wanted = desk.card.prepare(purchase()).cvm
    sent = len(desk.asked)
    with pytest.raises(ValueError, match="wanted"):
        desk.card.authorise(pin)  # type: ignore[arg-type]
    assert len(desk.asked) == sent
    right = {Cvm.ONLINE_PIN: PinEntered(), Cvm.OFFLINE_PIN: ClearPin(Pin("123456")), Cvm.NONE: None}[wanted]
    assert isinstance(desk.card.authorise(right), Online)


def test_a_card_without_a_cvm_list() -> None:
    desk = Desk(changed("debit", ("5F34 8E 9F07", "5F34 9F07")))
    assert desk.card.prepare(purchase()).cvm is Cvm.NONE
    first = desk.card.authorise()
    assert isinstance(first, Online)
    assert first.data[0x9F34].hex() == "3f0000"
    assert Tvr.ICC_DATA_MISSING in desk.card.tvr


# -- electronic cash


def test_electronic_cash_pays_offline_and_the_balance_goes_down() -> None:
    desk = Desk("electronic-cash")
    prepared = desk.card.prepare(purchase())
    assert (prepared.cvm, prepared.electronic_cash, prepared.balance_fen) == (Cvm.NONE, True, 18_650)
    first = desk.card.authorise()
    assert isinstance(first, ApprovedOffline)
    assert first.data[0x9F74] == b"ECC001"
    assert IssuerApplicationData.decode(first.data[0x9F10]).balance_fen == 16_660
    assert "80A800000B8309" + "01" + "000000001990" + "0156" + "00" in desk.asked
    assert desk.card.electronic_cash().balance_fen == 16_660
    (entry,) = desk.card.transaction_log()
    assert (entry.values[0x9F02], entry.values[0x9F36]) == (bcd(1990), first.data[0x9F36])


@pytest.mark.parametrize(
    ("amount_fen", "limit_fen", "type"),
    [
        (1990, 1990, TransactionType.PURCHASE),
        (1990, 0, TransactionType.PURCHASE),
        (1990, 100_000, TransactionType.CASH),
        (20_000, 100_000, TransactionType.PURCHASE),  # more than there is: the card takes the other way
    ],
)
def test_what_is_not_for_electronic_cash_goes_online_with_a_pin(
    amount_fen: int, limit_fen: int, type: TransactionType
) -> None:
    desk = Desk("electronic-cash", settings(electronic_cash_limit_fen=limit_fen))
    prepared = desk.card.prepare(purchase(amount_fen, type))
    assert (prepared.cvm, prepared.electronic_cash) == (Cvm.ONLINE_PIN, False)
    assert "80CA9F7900" not in desk.asked
    asked = next(apdu for apdu in desk.asked if apdu.startswith("80A8"))
    assert asked[14:16] == ("01" if amount_fen == 20_000 else "00")


def test_too_little_would_remain() -> None:
    profile = changed("electronic-cash", ("9F6D = { fen = 0 }", "9F6D = { fen = 17000 }"))
    desk = Desk(profile)
    assert desk.card.prepare(purchase()).electronic_cash
    assert isinstance(desk.card.authorise(), Online)
    assert desk.asked[-1][:8] == "80AE8000"


def test_a_terminal_that_has_no_line_asks_for_the_money_all_the_same() -> None:
    profile = changed("electronic-cash", ("9F6D = { fen = 0 }", "9F6D = { fen = 17000 }"))
    desk = Desk(profile, settings(terminal_type=0x26))
    desk.card.prepare(purchase())
    desk.card.authorise()
    assert desk.asked[-1][:8] == "80AE4000"


def test_cash_back_is_not_paid_from_electronic_cash() -> None:
    desk = Desk("electronic-cash")
    assert not desk.card.prepare(Transaction(1990, NOON, 7, other_fen=100)).electronic_cash


def test_a_load_is_the_issuers_script() -> None:
    desk = Desk("electronic-cash")
    first = online(desk, 30_000, TransactionType.LOAD)
    assert first.data[0x9C] == b"\x60"
    command = bytes.fromhex(desk.issuer(first).script("04DA9F79", bcd(48_650).hex()))
    script = bytes.fromhex("9F180400000001") + b"\x86" + bytes((len(command),)) + command
    final = desk.card.complete(desk.approval(first, scripts_72=(script,)))
    assert isinstance(final, Approved)
    assert final.script_results.hex() == "2000000001"
    assert Tsi.SCRIPT_PROCESSING in desk.card.tsi
    cash = desk.card.electronic_cash()
    assert (cash.balance_fen, cash.balance_limit_fen, cash.transaction_limit_fen) == (48_650, 100_000, 50_000)
    (entry,) = desk.card.load_log()
    assert (entry.tag, entry.before, entry.after) == (0x9F79, bcd(18_650), bcd(48_650))


@pytest.mark.parametrize(
    ("field", "bit"), [("scripts_71", Tvr.SCRIPT_FAILED_BEFORE), ("scripts_72", Tvr.SCRIPT_FAILED_AFTER)]
)
def test_a_script_that_the_card_refuses(field: str, bit: Tvr) -> None:
    desk = Desk()
    first = online(desk)
    script = bytes.fromhex("8609 8424000004 00000000".replace(" ", ""))
    final = desk.card.complete(desk.approval(first, **{field: (script,)}))
    assert final.script_results.hex() == "1100000000"
    assert bit in desk.card.tvr
    assert Tvr(int.from_bytes(final.data[0x95])) == desk.card.tvr


# -- disorder


def test_steps_are_taken_in_their_order_and_once() -> None:
    desk = Desk()
    with pytest.raises(RuntimeError, match="selected, not prepared"):
        desk.card.authorise()
    first = online(desk)
    with pytest.raises(RuntimeError, match="online, not selected"):
        desk.card.prepare(purchase())
    desk.card.complete(desk.approval(first))
    with pytest.raises(RuntimeError, match="ended, not online"):
        desk.card.complete(UnableToGoOnline())


def test_a_card_that_wants_no_transaction() -> None:
    desk = Desk()
    desk.changes["80A8"] = (b"", 0x6985)
    with pytest.raises(StatusError, match="GET PROCESSING OPTIONS: 6985"):
        desk.card.prepare(purchase())


def test_a_card_that_wants_a_tc_hash() -> None:
    cdol = '8C = "9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704 9F2103 9F4E14'
    desk = Desk(changed("debit", (cdol, cdol + " 9814")))
    online(desk)
    assert Tvr.DEFAULT_TDOL in desk.card.tvr
    # SHA-1 of nothing: the default TDOL is empty.
    assert desk.asked[-1].endswith("DA39A3EE5E6B4B0D3255BFEF95601890AFD8070900")


def test_a_contactless_reader_asks_the_proximity_directory() -> None:
    desk = Desk(terminal=settings(interface=Interface.CONTACTLESS))
    assert desk.asked[0] == "00A404000E325041592E5359532E444446303100"
    assert desk.card.candidate.aid.hex() == "a000000333010101"


def test_the_holder_chooses() -> None:
    seen: list[str] = []

    def order(found):
        seen.extend(item.label for item in found)
        return tuple(reversed(found))

    desk = Desk()
    DebitCredit(desk, settings(), order=order)
    assert seen == ["UNIONPAY DEBIT"]


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(["00A4", "00B2", "80A8", "0088", "80AE", "0082"]),
    st.binary(max_size=60),
    st.sampled_from([0x9000, 0x6A83, 0x6985, 0x61FF, 0x6CFF]),
)
def test_any_answer_ends_the_transaction_in_order(command: str, data: bytes, sw: int) -> None:
    class Garbled(Desk):
        def transmit(self, apdu: bytes) -> tuple[bytes, int]:
            answer = super().transmit(apdu)
            return (data, sw) if self.asked[-1][:4] == command else answer

    try:
        desk = Garbled()
        desk.card.prepare(purchase())
        first = desk.card.authorise(PinEntered() if desk.card.objects.get(0x8E) else None)
        if isinstance(first, Online):
            desk.card.complete(desk.approval(first))
    except CardReaderError as error:
        assert str(error)  # noqa: PT017


def whole(bench: Bench, pull_at: int | None = None) -> Approved | Declined:
    desk = Desk(bench, pull_at=pull_at)
    return desk.card.complete(desk.approval(online(desk)))


@pytest.mark.parametrize("at", range(15))
def test_a_card_pulled_at_any_command_pays_when_it_is_back(at: int) -> None:
    bench = Bench("debit")
    with pytest.raises(CardRemoved):
        whole(bench, at)
    bench.card.power_on()
    assert isinstance(whole(bench), Approved)


def test_a_transaction_that_was_interrupted_has_ended() -> None:
    desk = Desk(pull_at=13)
    first = online(desk)
    with pytest.raises(CardRemoved):
        desk.card.complete(desk.approval(first))
    with pytest.raises(RuntimeError, match="ended, not online"):
        desk.card.complete(UnableToGoOnline())
