"""What the tests of the terminal side share: a card that answers as it is told, and a simulated card on a desk."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cardreader.apdu import Channel
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Online
from cardreader.emv.scripts import IssuerResponse
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.errors import CardRemoved
from cardreader.sim.emv.profile import EmvProfile
from cardreader.tlv import encode
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


def issuer(profile: EmvProfile, online: Online) -> Issuer:
    """The card's issuer, about this cryptogram."""
    values = online.data
    told = bytes((values[0x9F27][0],)) + values[0x9F36] + values[0x9F26] + values[0x9F10]
    return Issuer(profile.pan, profile.sequence_number, Answer(encode(0x80, told).hex()))


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
    """A simulated card, every command that it was sent, and its answers; ``changes`` replaces the next to a CLA and INS."""

    def __init__(
        self,
        card: EmvProfile | str | Bench = "debit",
        terminal: TerminalSettings = SETTINGS,
        pull_at: int | None = None,
    ) -> None:
        self.bench = card if isinstance(card, Bench) else Bench(card)
        self._pull_at = pull_at
        self.asked: list[str] = []
        self.answers: list[tuple[bytes, int]] = []
        self.changes: dict[str, tuple[bytes, int]] = {}
        self.card = DebitCredit(self, terminal, random=lambda size: bytes(range(1, size + 1)))

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if len(self.asked) == self._pull_at:
            raise CardRemoved("pulled")
        self.asked.append(apdu.hex().upper())
        answer = self.bench.card.transmit(apdu)
        self.answers.append(self.changes.pop(self.asked[-1][:4], answer))
        return self.answers[-1]

    def close(self) -> None:
        pass

    def issuer(self, online: Online) -> Issuer:
        return issuer(self.bench.profile, online)

    def approval(self, online: Online, arc: str = "00", **scripts: tuple[bytes, ...]) -> IssuerResponse:
        """What the issuer answers: code and a right ARPC."""
        external = bytes.fromhex(self.issuer(online).authentication(arc))
        return IssuerResponse(arc.encode(), external[5:], **scripts)
