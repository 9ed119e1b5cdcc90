"""A simulated card, the terminal kernel, PPP and issuer: what each believes of the others."""

from __future__ import annotations

import pytest

from cardreader import tlv
from cardreader.emv import capk
from cardreader.emv.cvm import Cvm
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, ApprovedOffline, Declined, Online, PinEntered
from cardreader.emv.scripts import IssuerResponse
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.sim.profiles import open_card
from server_stub.foundation.iso8583 import Message, Network, Value
from server_stub.ppp import books
from server_stub.ppp.service import PppService
from server_stub.ppp.terminals import DEMO_MERCHANT, DEMO_TERMINAL
from tests.server_stub.ppp.terminal import Card as Known
from tests.server_stub.ppp.terminal import TestTerminal

pytestmark = pytest.mark.anyio
SETTINGS = TerminalSettings(terminal_id=DEMO_TERMINAL, merchant_id=DEMO_MERCHANT, ca_keys=capk.simulated())


class Desk:
    """A card in the reader of a terminal that is signed in at PPP."""

    def __init__(self, profile: str, terminal: TestTerminal, ppp: PppService) -> None:
        self.card = open_card(profile, None)
        self.card.power_on()
        self.known = Known(self.card.number)
        self._terminal = terminal
        self._ppp = ppp
        self.application = DebitCredit(_Slot(self.card), SETTINGS)

    def begun(self, fen: int, kind: TransactionType) -> Online | ApprovedOffline | Declined:
        """Up to the first cryptogram."""
        transaction = Transaction(fen, self._ppp.clock.now(), 1, kind)
        prepared = self.application.prepare(transaction)
        first = self.application.authorise(PinEntered() if prepared.cvm is Cvm.ONLINE_PIN else None)
        assert isinstance(first, Online | ApprovedOffline | Declined)
        return first

    def asked(self, first: Online, fen: int, code: str, pin: str = "123456") -> dict[int, Value]:
        """The 0200 of it."""
        data = b"".join(tlv.encode(tag, value) for tag, value in first.data.items())
        fields = self._terminal.payment(self.known, fen, code=code, pin=pin) | {55: data}
        return fields

    def told(self, answer: Message) -> Approved | Declined:
        """The card hears the answer."""
        chip = answer.data(55)
        scripts = tuple(one.value for one in tlv.parse(chip) if one.tag == 0x72)
        said = IssuerResponse(answer.text(39).encode(), tlv.find(chip, 0x91) or b"", (), scripts)
        return self.application.complete(said)


async def spent(ppp: PppService, desk: Desk) -> int:
    name = ppp.accounts.name_of(desk.card.number)
    first = 1_000_000 if desk.card.number.startswith("6259") else 500_000
    row_fen = await ppp.database.read(lambda conn: books.available(conn, name, 0))
    return (0 if first == 1_000_000 else first) - row_fen


@pytest.mark.parametrize("profile", ["debit", "debit-t0", "debit-sda", "debit-cda", "credit"])
async def test_a_card_and_its_issuer_agree_on_a_sale(
    ppp: PppService, terminal: TestTerminal, profile: str
) -> None:
    desk = Desk(profile, terminal, ppp)
    first = desk.begun(60_000, TransactionType.PURCHASE)
    assert isinstance(first, Online)
    answer = await terminal.exchange("0200", desk.asked(first, 60_000, "000000"), stan=5)
    assert answer.text(39) == "00"
    last = desk.told(answer)
    assert isinstance(last, Approved)
    assert await spent(ppp, desk) == 60_000
    upload: dict[int, Value] = {
        55: b"".join(tlv.encode(*one) for one in last.data.items()),
        60: "00000001203",
    }
    assert (await terminal.exchange("0320", {4: f"{60_000:012d}", **upload}, stan=5)).text(39) == "00"


async def test_a_refusal_is_believed_too(ppp: PppService, terminal: TestTerminal) -> None:
    desk = Desk("debit", terminal, ppp)
    first = desk.begun(1500, TransactionType.PURCHASE)
    assert isinstance(first, Online)
    answer = await terminal.exchange("0200", desk.asked(first, 1500, "000000", pin="000000"))
    assert answer.text(39) == "55"
    last = desk.told(answer)
    assert isinstance(last, Declined)
    assert not last.reversal
    assert await spent(ppp, desk) == 0


async def test_cash_is_loaded_spent_and_collected(ppp: PppService, terminal: TestTerminal) -> None:
    desk = Desk("electronic-cash", terminal, ppp)
    first = desk.begun(5000, TransactionType.LOAD)
    assert isinstance(first, Online)
    answer = await terminal.exchange("0200", desk.asked(first, 5000, "600000"), stan=5)
    assert answer.text(39) == "00"
    last = desk.told(answer)
    assert isinstance(last, Approved)
    assert desk.application.electronic_cash().balance_fen == 18_650 + 5000
    results = {55: tlv.encode(0xDF31, last.script_results), 60: "00000001951", 61: "000001000005"}
    assert (await terminal.exchange("0620", results)).text(39) == "00"
    assert (await terminal.reverse(5000, 5)).text(39) == "12"

    desk.card.power_on()
    desk.application = DebitCredit(_Slot(desk.card), SETTINGS)
    spending = desk.begun(650, TransactionType.PURCHASE)
    assert isinstance(spending, ApprovedOffline)
    data = b"".join(tlv.encode(tag, value) for tag, value in spending.data.items())
    fields: dict[int, Value] = {
        4: f"{650:012d}",
        49: "156",
        55: data,
        60: str(Network("36", "000001", "204")),
    }
    assert (await terminal.exchange("0320", {**fields, **terminal.who(desk.known)})).text(39) == "00"
    name = ppp.accounts.name_of(desk.card.number)
    assert await ppp.database.read(lambda conn: books.unspent(conn, name)) == 23_650 - 650
    assert desk.application.electronic_cash().balance_fen == 23_650 - 650


class _Slot:
    """A connection straight to a simulated card."""

    def __init__(self, card: object) -> None:
        self._card = card

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        answer: tuple[bytes, int] = self._card.transmit(apdu)  # type: ignore[attr-defined]
        return answer

    def close(self) -> None:
        """Nothing to let go of."""
