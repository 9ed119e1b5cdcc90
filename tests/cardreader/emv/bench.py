"""What the tests of the terminal side share: a card that answers as it is told, and a simulated card on a desk."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cardreader.apdu import Channel
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Online
from cardreader.emv.scripts import IssuerResponse
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.sim.emv.profile import EmvProfile
from tests.cardreader.sim.emv.terminal import Answer, Bench, Issuer

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone(timedelta(hours=8)))
SETTINGS = TerminalSettings(
    terminal_id="00000001",
    merchant_id="000000000000001",
    merchant_name="STB",
    ca_keys=capk.simulated(),
)


def settings(**changes: object) -> TerminalSettings:
    """The bench's terminal with other settings."""
    return TerminalSettings(
        **{
            "terminal_id": "00000001",
            "merchant_id": "000000000000001",
            "ca_keys": capk.simulated(),
            **changes,
        }
    )


def purchase(amount_fen: int = 1990, type: TransactionType = TransactionType.PURCHASE) -> Transaction:
    return Transaction(amount_fen, NOON, 7, type)


class Told:
    """A card that gives the answers it was told, and keeps what it was asked: pairs of hex digits."""

    def __init__(self, *answers: tuple[str, int]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.asked.append(apdu.hex().upper())
        data, sw = self._answers.pop(0)
        return bytes.fromhex(data), sw

    def close(self) -> None:
        pass

    @property
    def channel(self) -> Channel:
        return Channel(self)


class Desk:
    """A simulated card, and every command that it was sent."""

    def __init__(self, card: EmvProfile | str = "debit", terminal: TerminalSettings = SETTINGS) -> None:
        self.bench = Bench(card)
        self.asked: list[str] = []
        self.changes: dict[str, tuple[bytes, int]] = {}
        self.card = DebitCredit(self, terminal, random=lambda size: bytes(range(1, size + 1)))

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.asked.append(apdu.hex().upper())
        answer = self.bench.card.transmit(apdu)
        return self.changes.pop(self.asked[-1][:4], answer)

    def close(self) -> None:
        pass

    def issuer(self, online: Online) -> Issuer:
        """The card's issuer, about this cryptogram."""
        answer = Answer.__new__(Answer)
        answer.atc, answer.ac, answer.iad = (online.data[tag] for tag in (0x9F36, 0x9F26, 0x9F10))
        return Issuer(self.bench.profile.pan, self.bench.profile.sequence_number, answer)

    def approval(self, online: Online, arc: str = "00", **scripts: tuple[bytes, ...]) -> IssuerResponse:
        """What the issuer answers: code and a right ARPC."""
        external = bytes.fromhex(self.issuer(online).authentication(arc))
        return IssuerResponse(arc.encode(), external[5:], **scripts)
