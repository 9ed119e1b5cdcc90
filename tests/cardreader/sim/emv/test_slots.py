"""Debit cards in the slots: the simulated one, and the virtual reader of a real pcscd, T=1 and T=0."""

from __future__ import annotations

import pytest

from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.tlv import find
from tests.cardreader.conftest import Slot
from tests.cardreader.sim.emv.terminal import CDOL1, CDOL2, PURCHASE, Answer, Issuer, changed

AID = bytes.fromhex("A000000333010101")


class Terminal:
    """The commands of an online purchase over a connection."""

    def __init__(self, slot: Slot, profile: str) -> None:
        self._channel = Channel(slot.insert(profile))

    def send(self, cla: int, ins: int, p1: int, p2: int, data: str = "", le: int | None = MAX_LE) -> bytes:
        answer, sw = self._channel.send(Command(cla, ins, p1, p2, bytes.fromhex(data), le))
        assert sw == 0x9000, f"{ins:02X}: {sw:04X}"
        return answer

    def begin(self) -> bytes:
        assert find(self.send(0x00, 0xA4, 4, 0, AID.hex()), 0x6F, 0x84) == AID
        return self.send(0x80, 0xA8, 0, 0, "8300")

    def generate_ac(self, p1: int, arc: str = "") -> Answer:
        values = {**PURCHASE, "8A": arc.encode().hex()}
        dol = CDOL2 if arc else CDOL1
        data = "".join(values.get(tag, "").rjust(size * 2, "0") for tag, size in dol)
        return Answer(self.send(0x80, 0xAE, p1, 0, data).hex())


@pytest.mark.parametrize("profile", ["debit", "debit-t0"])
def test_an_online_purchase_in_a_slot(slot: Slot, profile: str) -> None:
    terminal = Terminal(slot, profile)
    afl = terminal.begin()[4:]
    for sfi, first, last in ((afl[at] >> 3, afl[at + 1], afl[at + 2]) for at in range(0, len(afl), 4)):
        for number in range(first, last + 1):
            assert terminal.send(0x00, 0xB2, number, sfi << 3 | 4)[0] == 0x70
    issuer = Issuer(changed(profile).pan, "01", terminal.generate_ac(0x80))
    terminal.send(0x00, 0x82, 0, 0, issuer.authentication("00")[10:], None)
    tc = terminal.generate_ac(0x40, "00")
    assert (tc.cid, tc.ac) == (0x40, issuer.ac("7C00", tc))
    # The card that comes back has not forgotten.
    slot.pull()
    terminal = Terminal(slot, profile)
    terminal.begin()
    assert terminal.send(0x80, 0xCA, 0x9F, 0x36) == bytes.fromhex("9F36020013")
    assert terminal.send(0x80, 0xCA, 0x9F, 0x13) == bytes.fromhex("9F13020012")
    assert len(terminal.send(0x00, 0xB2, 1, 0x5C)) == 45
