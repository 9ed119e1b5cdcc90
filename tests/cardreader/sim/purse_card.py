"""A purse card without a reader, for tests: the commands of a purchase, and random numbers that are known."""

from __future__ import annotations

from cardreader.pboc import crypto
from cardreader.purse import AID
from cardreader.sim.issuers import KNOWN
from cardreader.sim.profiles import PROFILES, Profile, SimulatedCard
from cardreader.sim.purse_state import PurseState
from cardreader.sim.store import MemoryStore
from tests.cardreader.sim.counting import Counting
from tests.cardreader.terminal import DATE, TIME

GOOD = PROFILES["good"]
KEYS = KNOWN.card_keys(bytes.fromhex(GOOD.serial))
TERMINAL_NUMBER = bytes.fromhex("853100000001")
SELECT = "00A4040009" + AID.hex() + "00"


class Inserted:
    """A powered card without a reader."""

    def __init__(self, card: SimulatedCard) -> None:
        self.card = card
        card.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        return self.card.transmit(apdu)

    def close(self) -> None:
        """Nothing to let go of."""

    def ask(self, apdu: str) -> tuple[str, int]:
        data, sw = self.transmit(bytes.fromhex(apdu))
        return data.hex().upper(), sw


def inserted(profile: Profile = GOOD, state: PurseState | None = None) -> Inserted:
    store = MemoryStore()
    if state is not None:
        store.save(state.to_contents())
    return Inserted(SimulatedCard(profile, store, Counting()))


def init_apdu(amount_fen: int, key_index: int = 1, p1: int = 1) -> str:
    return f"8050{p1:02X}020B{key_index:02X}{amount_fen:08X}{TERMINAL_NUMBER.hex()}0F"


def debit_apdu(card: Inserted, amount_fen: int, random: str) -> str:
    """A DEBIT that the card accepts after an INIT for this amount that gave this random number."""
    key = crypto.purchase_session_key(
        KEYS.purchase, bytes.fromhex(random), card.card.state.offline_number, bytes(4)
    )
    mac1 = crypto.purchase_mac1(key, amount_fen, 6, TERMINAL_NUMBER, DATE, TIME)
    return f"805401000F00000000{DATE.hex()}{TIME.hex()}{mac1.hex()}08"


def begun(amount_fen: int = 100) -> tuple[Inserted, str]:
    """A card after INIT, and the DEBIT that would finish it."""
    card = inserted()
    card.ask(SELECT)
    data, sw = card.ask(init_apdu(amount_fen))
    assert sw == 0x9000
    return card, debit_apdu(card, amount_fen, data[-8:])
