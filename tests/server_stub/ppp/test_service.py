"""PPP's messages from a terminal's side: signed in, approved, refused, repeated, reversed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from server_stub.foundation.iso8583 import Iso8583Error, Message, Network, Original, decode, encode
from server_stub.ppp import books, tables
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.conftest import service_over
from tests.server_stub.ppp.terminal import CASH, CREDIT, Card, TestTerminal, ecb_mac

pytestmark = pytest.mark.anyio


async def spent(ppp: PppService, card: Card) -> int:
    """What a card has less than at first, in fen."""
    name = ppp.accounts.name_of(card.pan)
    fen = await ppp.database.read(lambda conn: books.available(conn, name, 0))
    return (0 if card.pan == CREDIT else 500_000) - fen


async def owed(ppp: PppService, terminal: TestTerminal) -> int:
    return await ppp.database.read(lambda conn: books.owed(conn, terminal.merchant))


async def change(ppp: PppService, card: Card, **values: Any) -> None:
    """The issuer changes an account."""
    mine = tables.accounts.c.id == ppp.accounts.name_of(card.pan)
    await ppp.database.write(lambda conn: conn.execute(update(tables.accounts).where(mine).values(**values)))


async def account(ppp: PppService, card: Card) -> Any:
    mine = tables.accounts.c.id == ppp.accounts.name_of(card.pan)
    return await ppp.database.read(lambda conn: conn.execute(select(tables.accounts).where(mine)).one())


# Network management


@pytest.mark.parametrize("code", ["003", "004"])
async def test_a_terminal_signs_in_with_or_without_a_track_key(
    ppp: PppService, terminal: TestTerminal, code: str
) -> None:
    answer = await terminal.sign_in(code)
    assert (answer.text(39), ("tdk" in terminal.keys)) == ("00", code == "004")
    assert answer.network == Network("00", "000001", code)
    assert (await terminal.pay(Card(), 1500)).text(39) == "00"


async def test_echo_and_sign_out(ppp: PppService, terminal: TestTerminal) -> None:
    assert (await terminal.exchange("0820", {60: "00000001301"})).text(39) == "00"
    assert (await terminal.exchange("0820", {60: "00000001002"})).text(39) == "00"
    answer = decode(await ppp.answer(terminal.made("0820", {60: "00000001301"}, 9)))
    assert answer.text(39) == "A0"


@pytest.mark.parametrize("where", [41, 42])
async def test_whoever_is_not_known_is_told_so(ppp: PppService, terminal: TestTerminal, where: int) -> None:
    fields = {**terminal.payment(Card(), 1500), where: "9" * (8 if where == 41 else 15)}
    answer = decode(await ppp.answer(terminal.made("0200", fields, 7)))
    assert answer.text(39) == {41: "97", 42: "03"}[where]


async def test_a_message_under_another_mac_does_nothing(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    fields = terminal.payment(card, 1500)
    sent = bytearray(terminal.made("0200", fields, 7))
    sent[-1] ^= 1
    for data in (bytes(sent), encode(decode(bytes(sent)))):  # a wrong one, and none
        assert decode(await ppp.answer(data)).text(39) == "A0"
    assert await spent(ppp, card) == 0
    assert (await terminal.exchange("0200", fields, stan=7)).text(39) == "00"


async def test_a_new_sign_in_ends_the_old_keys(ppp: PppService, terminal: TestTerminal) -> None:
    old = terminal.made("0820", {60: "00000001301"}, 5)
    await terminal.sign_in()
    assert decode(await ppp.answer(old)).text(39) == "A0"


# Sales


@pytest.mark.parametrize("pan", [Card().pan, CREDIT])
async def test_a_sale_is_approved_and_booked(ppp: PppService, terminal: TestTerminal, pan: str) -> None:
    card = Card(pan)
    answer = await terminal.pay(card, 1500)
    assert answer.text(39) == "00"
    assert card.believes(answer.data(55), "00")
    assert not card.believes(answer.data(55), "51")
    assert (len(answer.text(37)), len(answer.text(38))) == (12, 6)
    assert (await spent(ppp, card), await owed(ppp, terminal)) == (1500, 1500)


@pytest.mark.parametrize(("results", "code"), [("03A40000", "00"), ("03A60000", "55"), ("03A20000", "55")])
async def test_a_pin_that_the_card_has_checked_is_no_pin_for_the_issuer(
    ppp: PppService, terminal: TestTerminal, results: str, code: str
) -> None:
    """D5: what the card's cryptogram covers says whether it was right."""
    answer = await terminal.pay(Card(), 1500, pin=None, results=bytes.fromhex(results))
    assert answer.text(39) == code


async def test_a_card_s_number_is_in_no_answer_and_no_table(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    answer = encode(await terminal.pay(card, 1500))
    assert card.pan not in answer.hex()
    assert card.pan.encode() not in answer
    for table in tables.metadata.sorted_tables:
        rows = await ppp.database.read(lambda conn, table=table: list(conn.execute(select(table))))
        assert card.pan not in repr(rows)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"fen": 500_001}, "51"),
        ({"fen": 2_000_001}, "61"),
        ({"fen": 0}, "13"),
        ({"pin": "123457"}, "55"),
        ({"pin": None}, "55"),
        ({"kind": 0x40}, "05"),
        ({"pan": "6217001834057286119"}, "14"),
        ({"expiry": "4401"}, "54"),
    ],
)
async def test_what_the_issuer_refuses(
    ppp: PppService, terminal: TestTerminal, told: dict[str, Any], code: str
) -> None:
    of_card = {name: told[name] for name in ("pan", "expiry") if name in told}
    card = Card(**of_card)
    answer = await terminal.pay(card, **{"fen": 1500, **{k: v for k, v in told.items() if k not in of_card}})
    assert answer.text(39) == code
    if code not in ("05", "14"):
        assert card.believes(answer.data(55), code)
    assert 38 not in answer
    assert await owed(ppp, terminal) == 0


@pytest.mark.parametrize(("state", "code"), [("lost", "41"), ("stolen", "43"), ("blocked", "62")])
async def test_a_card_that_is_held_back(
    ppp: PppService, terminal: TestTerminal, state: str, code: str
) -> None:
    await change(ppp, Card(), state=state)
    assert (await terminal.pay(Card(), 1500)).text(39) == code


async def test_a_card_is_good_until_the_end_of_its_month(ppp: PppService, terminal: TestTerminal) -> None:
    await change(ppp, Card(), expiry="2605")
    assert (await terminal.pay(Card(expiry="2605"), 1500)).text(39) == "54"
    await change(ppp, Card(), expiry="2606")
    assert (await terminal.pay(Card(atc=40, expiry="2606"), 1500)).text(39) == "00"


async def test_another_amount_than_the_card_has_signed(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    fields = terminal.payment(card, 1500) | {4: f"{1:012d}"}
    assert (await terminal.exchange("0200", fields)).text(39) == "13"


async def test_a_cryptogram_counts_once(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    assert (await terminal.pay(card, 1500)).text(39) == "00"
    assert (await terminal.pay(card, 1500, fresh=False)).text(39) == "05"
    assert (await terminal.pay(Card(atc=10), 1500)).text(39) == "05"
    assert (await terminal.pay(card, 1500)).text(39) == "00"
    assert await spent(ppp, card) == 3000


async def test_a_forged_cryptogram_does_not_use_up_the_counter(
    ppp: PppService, terminal: TestTerminal
) -> None:
    card = Card()
    fields = terminal.payment(Card(atc=900), 1500)
    data = bytearray(bytes(fields[55]))  # type: ignore[arg-type]
    data[5] ^= 1
    assert (await terminal.exchange("0200", {**fields, 55: bytes(data)})).text(39) == "05"
    assert (await terminal.pay(card, 1500)).text(39) == "00"


async def test_the_third_wrong_pin_ends_it(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    assert [(await terminal.pay(card, 1500, pin="000000")).text(39) for _ in range(2)] == ["55", "55"]
    assert (await terminal.pay(card, 1500)).text(39) == "00"
    codes = [(await terminal.pay(card, 1500, pin="000000")).text(39) for _ in range(3)]
    assert codes == ["55", "55", "75"]
    assert (await terminal.pay(card, 1500)).text(39) == "75"
    assert await spent(ppp, card) == 1500


async def test_a_pin_block_under_another_key_costs_no_try(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    fields = terminal.payment(card, 1500) | {52: bytes(8)}
    assert (await terminal.exchange("0200", fields)).text(39) == "99"
    assert (await account(ppp, card)).pin_failures == 0


async def test_a_credit_card_needs_no_pin_and_has_a_limit(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card(CREDIT)
    assert (await terminal.pay(card, 999_999, pin=None)).text(39) == "00"
    assert (await terminal.pay(card, 2, pin=None)).text(39) == "51"
    assert (await terminal.pay(card, 1, pin=None)).text(39) == "00"


@pytest.mark.parametrize("lacks", [3, 4, 11, 35, 49, 55, 60])
async def test_a_field_that_is_missing(ppp: PppService, terminal: TestTerminal, lacks: int) -> None:
    fields = {11: "000077", **terminal.payment(Card(), 1500)}
    fields = {number: value for number, value in fields.items() if number != lacks}
    message = decode(terminal.made("0200", fields, 77))
    kept = {number: value for number, value in message.fields.items() if number not in (lacks, 64)}
    sent = encode(Message("0200", kept), lambda data: ecb_mac(terminal.keys["mak"], data))
    assert decode(await ppp.answer(sent)).text(39) == "30"
    assert await owed(ppp, terminal) == 0


@pytest.mark.parametrize(
    "data", [b"", bytes.fromhex("9F26"), bytes.fromhex("9F2608" + "00" * 8), bytes.fromhex("82008200")]
)
async def test_chip_data_that_is_none(ppp: PppService, terminal: TestTerminal, data: bytes) -> None:
    fields = terminal.payment(Card(), 1500) | {55: data}
    assert (await terminal.exchange("0200", fields)).text(39) == "30"


@pytest.mark.parametrize(("mti", "code"), [("0100", "000000"), ("0200", "200000"), ("0820", "000000")])
async def test_what_there_is_not_here(ppp: PppService, terminal: TestTerminal, mti: str, code: str) -> None:
    fields = terminal.payment(Card(), 1500, code=code)
    assert (await terminal.exchange(mti, fields)).text(39) == "12"


async def test_what_is_no_message_or_of_nobody(ppp: PppService, terminal: TestTerminal) -> None:
    for data in (b"nonsense", encode(Message("0200", {3: "000000"}))):
        with pytest.raises(Iso8583Error):
            await ppp.answer(data)


async def test_a_balance_is_told(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await terminal.pay(card, 1500)
    fields = terminal.payment(card, 0, code="310000") | {
        60: str(Network("01", terminal.batch, "000", "5", "0"))
    }
    del fields[4]
    answer = await terminal.exchange("0200", fields)
    assert (answer.text(39), answer.text(54)) == ("00", "1002156C000000498500")
    assert card.believes(answer.data(55), "00")


# Once


async def test_a_sale_that_comes_twice_is_answered_out_of_its_row(
    ppp: PppService, terminal: TestTerminal
) -> None:
    card = Card()
    fields = terminal.payment(card, 1500)
    first = await terminal.exchange("0200", fields, stan=5)
    assert await terminal.exchange("0200", fields, stan=5) == first
    # After another sign-in PIN block and track are other bytes, and so is the MAC.
    await terminal.sign_in()
    again = fields | terminal.who(card) | {52: terminal.pin_block(card, "123456")}
    assert (await terminal.exchange("0200", again, stan=5)).fields.items() - {64} >= {
        (39, "00"),
        (37, first.text(37)),
        (55, first.data(55)),
    }
    assert await spent(ppp, card) == 1500


async def test_something_else_under_its_number_is_refused(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await terminal.exchange("0200", terminal.payment(card, 1500), stan=5)
    assert (await terminal.exchange("0200", terminal.payment(card, 1600), stan=5)).text(39) == "94"
    assert await spent(ppp, card) == 1500


async def test_a_refusal_is_the_same_again(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    fields = terminal.payment(card, 1500, pin="000000")
    codes = [(await terminal.exchange("0200", fields, stan=5)).text(39) for _ in range(4)]
    assert codes == ["55"] * 4
    assert (await account(ppp, card)).pin_failures == 1


async def test_sales_of_one_card_at_once(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    wanted = [terminal.payment(card, 200_000) for _ in range(4)]
    wanted += wanted
    answers = await asyncio.gather(
        *(terminal.exchange("0200", fields, stan=100 + place % 4) for place, fields in enumerate(wanted))
    )
    approved = {place % 4 for place, answer in enumerate(answers) if answer.text(39) == "00"}
    assert await spent(ppp, card) == 200_000 * len(approved) <= 400_000
    assert [one.text(39) for one in answers[:4]] == [one.text(39) for one in answers[4:]]


# Reversals


async def test_a_reversal_undoes_a_sale_once(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await terminal.exchange("0200", terminal.payment(card, 1500), stan=5)
    for _ in range(3):
        assert (await terminal.reverse(1500, 5)).text(39) == "00"
    assert (await spent(ppp, card), await owed(ppp, terminal)) == (0, 0)


async def test_a_sale_that_comes_after_its_reversal_is_refused(
    ppp: PppService, terminal: TestTerminal
) -> None:
    card = Card()
    fields = terminal.payment(card, 1500)
    for _ in range(2):
        assert (await terminal.reverse(1500, 5)).text(39) == "25"
    assert (await terminal.exchange("0200", fields, stan=5)).text(39) == "12"
    assert (await terminal.reverse(1500, 5)).text(39) == "25"
    assert await spent(ppp, card) == 0


async def test_a_sale_that_was_reversed_does_not_come_back(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    fields = terminal.payment(card, 1500)
    await terminal.exchange("0200", fields, stan=5)
    await terminal.reverse(1500, 5)
    assert (await terminal.exchange("0200", fields, stan=5)).text(39) == "12"
    assert await spent(ppp, card) == 0


async def test_a_reversal_of_what_was_refused_or_of_another_amount(
    ppp: PppService, terminal: TestTerminal
) -> None:
    card = Card()
    await terminal.exchange("0200", terminal.payment(card, 1500, pin="000000"), stan=5)
    assert (await terminal.reverse(1500, 5)).text(39) == "12"
    await terminal.exchange("0200", terminal.payment(card, 1500), stan=6)
    assert (await terminal.reverse(1400, 6)).text(39) == "64"
    assert await spent(ppp, card) == 1500


async def test_a_reversal_names_its_original_in_bit_61(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await terminal.exchange("0200", terminal.payment(card, 1500), stan=5)
    answer = await terminal.reverse(1500, 99, de61=str(Original("000001", "000005")))
    assert (answer.text(39), await spent(ppp, card)) == ("00", 0)


async def test_a_sale_and_its_reversal_at_once(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    fields = terminal.payment(card, 1500)
    sale, reversal = await asyncio.gather(
        terminal.exchange("0200", fields, stan=5), terminal.reverse(1500, 5)
    )
    assert (sale.text(39), reversal.text(39)) in {("00", "00"), ("12", "25")}
    assert await spent(ppp, card) == 0


# Electronic cash


async def test_a_load_puts_money_onto_the_card(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card(CASH, cash_fen=18_650)
    answer = await terminal.pay(card, 5000, code="600000")
    assert answer.text(39) == "00"
    assert card.script(answer.data(55)) == bytes.fromhex("04DA9F790A" + f"{23_650:012d}")
    assert await spent(ppp, card) == 5000
    name = ppp.accounts.name_of(CASH)
    assert await ppp.database.read(lambda conn: books.unspent(conn, name)) == 23_650


@pytest.mark.parametrize(("card", "code"), [(Card(CASH, cash_fen=95_001), "61"), (Card(CASH), "30")])
async def test_a_load_that_does_not_go(
    ppp: PppService, terminal: TestTerminal, card: Card, code: str
) -> None:
    answer = await terminal.pay(card, 5000, code="600000")
    assert answer.text(39) == code
    assert card.script(answer.data(55)) is None
    assert await spent(ppp, card) == 0


@pytest.mark.parametrize(("result", "code", "fen"), [("20", "12", 5000), ("10", "00", 0)])
@pytest.mark.parametrize("told", [True, False])
async def test_a_load_is_reversed_unless_the_card_has_it(
    ppp: PppService, terminal: TestTerminal, result: str, code: str, fen: int, told: bool
) -> None:
    card = Card(CASH, cash_fen=0)
    await terminal.exchange("0200", terminal.payment(card, 5000, code="600000"), stan=5)
    results = bytes.fromhex(f"DF3105{result}00000001")
    if told:
        fields = {55: results, 60: "00000001951", 61: "000001000005"}
        assert [(await terminal.exchange("0620", fields)).text(39) for _ in range(2)] == ["00", "00"]
    other = {} if told else {"de55": results}
    assert (await terminal.reverse(5000, 5, **other)).text(39) == code
    assert await spent(ppp, card) == fen


@pytest.mark.parametrize(
    ("data", "stan", "code"), [("DF310520000001", "000005", "30"), ("DF31052000000001", "000009", "25")]
)
async def test_a_script_result_of_nothing(
    ppp: PppService, terminal: TestTerminal, data: str, stan: str, code: str
) -> None:
    await terminal.exchange("0200", terminal.payment(Card(), 1500), stan=5)
    fields = {55: bytes.fromhex(data), 60: "00000001951", 61: f"000001{stan}"}
    assert (await terminal.exchange("0620", fields)).text(39) == code


# Faults


async def test_faults_are_as_they_were_ordered(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    ppp.faults.refuse = "91"
    assert (await terminal.pay(card, 1500)).text(39) == "91"
    ppp.faults.refuse_mti = "0400"
    ppp.faults.wrong_mac = True
    answer = decode(await ppp.answer(terminal.made("0200", terminal.payment(card, 1500), 8)))
    assert (answer.text(39), answer.data(64)) == ("00", b"00000000")
    assert await spent(ppp, card) == 1500


async def test_what_it_knows_outlives_it(ppp: PppService, terminal: TestTerminal, tmp_path: Path) -> None:
    """Another process over the same tables answers as the first would have."""
    card = Card()
    fields = terminal.payment(card, 1500)
    first = await terminal.exchange("0200", fields, stan=5)
    terminal.service = service_over(tmp_path, seed=2)
    try:
        assert await terminal.exchange("0200", fields, stan=5) == first
        assert (await terminal.pay(card, 1500)).text(39) == "00"
    finally:
        terminal.service.database.close()
