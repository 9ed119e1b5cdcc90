"""A terminal for the tests: a PSAM in this process, and a purchase done as the standard orders it."""

from __future__ import annotations

from dataclasses import dataclass

from cardreader.psam import Psam, PsamInit
from cardreader.purse import DebitProof, PurchaseInit, Purse
from cardreader.sim.psam import open_psam

DATE = bytes.fromhex("20261121")
TIME = bytes.fromhex("201500")


@dataclass(frozen=True)
class Begun:
    """A purchase for which the PSAM has given MAC1."""

    card: PurchaseInit
    psam: PsamInit

    def debit(self, purse: Purse) -> DebitProof:
        return purse.debit_for_purchase(self.psam.terminal_transaction_number, DATE, TIME, self.psam.mac1)


class Terminal:
    """Buys with demo PSAM 1."""

    def __init__(self, issuer: str = "known", state_dir: str | None = None) -> None:
        self.psam = Psam(open_psam(1, state_dir, issuer))

    def begin(self, purse: Purse, amount_fen: int) -> Begun:
        serial = purse.information.application_serial
        card = purse.initialize_for_purchase(
            self.psam.application.key_index, amount_fen, self.psam.terminal_number
        )
        psam = self.psam.initialize_for_purchase(
            card.random,
            card.offline_number,
            amount_fen,
            6,
            DATE,
            TIME,
            card.key_version,
            card.algorithm_id,
            serial[2:],
        )
        return Begun(card, psam)

    def buy(self, purse: Purse, amount_fen: int) -> DebitProof:
        proof = self.begin(purse, amount_fen).debit(purse)
        self.psam.credit_for_purchase(proof.mac2)
        return proof
