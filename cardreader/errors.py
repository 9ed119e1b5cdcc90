"""Everything that can go wrong with a reader or a card.

CardReaderError
├── ReaderUnavailable        no such reader, or it cannot be used
│   ├── ServiceUnavailable   because the reader service (pcscd) does not run, or does not answer
│   ├── ReaderInUse          because another program has its card for itself
│   └── ReaderSilent         because it hangs: nothing that it was asked comes back
├── SlotOccupied             a simulated card cannot be put in: there is another one in the virtual reader
│   └── CardElsewhere        because the same card is in another virtual reader
├── CardRemoved              the card left, or stopped answering, in the middle of a command
│   └── ReaderGone           because the reader, or the reader service, has gone
├── CardTimeout              no card came, or none left, within the time allowed
├── Cancelled                the caller's cancel event was set while waiting
├── ProtocolError            bytes that no standard allows: answer too short, TLV cut off ...
│   └── StateDamaged         what a simulated card or PSAM has kept of itself
└── StatusError              the card answered with a status word that is not success
    ├── PinWrong             63Cx: carries the tries left
    ├── PinBlocked           6983
    ├── ApplicationNotFound  6A82 on SELECT
    ├── ApplicationBlocked   6A81, 6283, 9303
    ├── InsufficientBalance  9401
    ├── MacInvalid           9302
    ├── KeyIndexUnsupported  9403
    ├── CounterExhausted     9402
    └── ProofUnavailable     9406
"""

from __future__ import annotations


class CardReaderError(Exception):
    """Root of this package's errors."""


class ReaderUnavailable(CardReaderError):
    """There is no such reader, or it cannot be used."""


class ServiceUnavailable(ReaderUnavailable):
    """The reader service does not run, or does not answer: whether there is a reader is not known."""


class ReaderInUse(ReaderUnavailable):
    """Another program has the reader's card for itself."""


class ReaderSilent(ReaderUnavailable):
    """The reader hangs, or its driver does: nothing that it was asked comes back."""


class SlotOccupied(CardReaderError):
    """The virtual reader takes no simulated card: there is one in it already."""


class CardElsewhere(SlotOccupied):
    """The simulated card is in another virtual reader: no card is in two."""


class CardRemoved(CardReaderError):
    """The card was pulled, or died, during a command. What it did with the command is not known."""


class ReaderGone(CardRemoved):
    """The reader, or the reader service, has gone during a command, and the card with it."""


class CardTimeout(CardReaderError):
    """Nothing happened in the slot within the time allowed."""


class Cancelled(CardReaderError):
    """The caller gave up waiting."""


class ProtocolError(CardReaderError):
    """A card, file or reader delivered bytes that its standard does not allow."""


class StateDamaged(ProtocolError):
    """What a simulated card or PSAM has kept cannot be read, or is not of this card; begun anew it would work."""


class StatusError(CardReaderError):
    """The card refused a command.

    Attributes:
        command: the command's name in its standard, e.g. ``"DEBIT FOR PURCHASE"``.
        sw: status word, 0x0000 to 0xFFFF.
    """

    def __init__(self, command: str, sw: int, meaning: str = "") -> None:
        self.command = command
        self.sw = sw
        super().__init__(f"{command}: {sw:04X}" + (f" ({meaning})" if meaning else ""))


class PinWrong(StatusError):
    """VERIFY: wrong PIN. ``tries_left`` is 0 to 15."""

    def __init__(self, command: str, sw: int, meaning: str = "") -> None:
        super().__init__(command, sw, meaning)
        self.tries_left = sw & 0x0F


class PinBlocked(StatusError):
    """The PIN's tries are used up (6983)."""


class ApplicationNotFound(StatusError):
    """The card does not hold the application that was selected (6A82)."""


class ApplicationBlocked(StatusError):
    """The application or the card is blocked (6A81, 6283, 9303)."""


class InsufficientBalance(StatusError):
    """The purse holds less than the amount (9401)."""


class MacInvalid(StatusError):
    """The card or PSAM did not accept a MAC (9302); nothing was changed."""


class KeyIndexUnsupported(StatusError):
    """The key index or version is not there (9403)."""


class CounterExhausted(StatusError):
    """A transaction counter stands at its maximum (9402)."""


class ProofUnavailable(StatusError):
    """GET TRANSACTION PROVE: the card has no such transaction (9406)."""
