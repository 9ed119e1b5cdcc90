"""What can be put into a simulated or virtual slot."""

from __future__ import annotations

from typing import Protocol


class Card(Protocol):
    """A card as a slot sees it."""

    @property
    def atr(self) -> bytes:
        """Answer to reset (ISO 7816-3, 8.2)."""
        ...

    def power_on(self) -> None:
        """Cold reset."""
        ...

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Carries a command APDU out: response data and status word. Raises CardLeft."""
        ...


class DemoCard(Card, Protocol):
    """A card that was made from a profile."""

    @property
    def number(self) -> str:
        """The number that is printed on it."""
        ...


class CardLeft(Exception):
    """The card has left the slot by itself, as it was asked to.

    Attributes:
        carried_out: whether it had carried out the command that it did not answer.
    """

    def __init__(self, carried_out: bool) -> None:
        super().__init__("the card has left the slot")
        self.carried_out = carried_out
