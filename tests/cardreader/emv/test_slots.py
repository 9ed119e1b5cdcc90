"""The kernel with cards in the slots: the simulated one, and the virtual reader of a real pcscd, T=1 and T=0."""

from __future__ import annotations

import pytest

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, ApprovedOffline, Online, PinEntered
from cardreader.emv.scripts import IssuerResponse
from tests.cardreader.conftest import Slot
from tests.cardreader.emv.bench import SETTINGS, issuer, purchase
from tests.cardreader.sim.emv.terminal import changed


@pytest.mark.parametrize("profile", ["debit-cda", "debit-t0"])
def test_an_online_debit(slot: Slot, profile: str) -> None:
    card = DebitCredit(slot.insert(profile), SETTINGS)
    card.prepare(purchase())
    first = card.authorise(PinEntered())
    assert isinstance(first, Online)
    arpc = bytes.fromhex(issuer(changed(profile), first).authentication("00"))[5:]
    assert isinstance(card.complete(IssuerResponse(b"00", arpc)), Approved)
    assert card.authentication_failure is None


def test_electronic_cash(slot: Slot) -> None:
    card = DebitCredit(slot.insert("electronic-cash"), SETTINGS)
    card.prepare(purchase())
    assert isinstance(card.authorise(), ApprovedOffline)
    slot.pull()
    card = DebitCredit(slot.insert("electronic-cash"), SETTINGS)
    assert card.electronic_cash().balance_fen == 16_660
