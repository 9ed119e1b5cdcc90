"""What a transaction wants of its holder, and how it ends: the values that `cardreader.emv.kernel` takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from cardreader import tlv
from cardreader.emv.cvm import Cvm, pin_block
from cardreader.secret import Pin, SecretBytes, SecretText, mask_number

_SCRIPT_RESULTS = 0xDF31


@dataclass(frozen=True, slots=True)
class PaymentCard:
    """Who the card is. Number and track do not print.

    Attributes:
        pan: digits.
        track_2: 57 as it stands, empty when the card does not tell it.
        sequence_number: two digits (5F34), or None.
        expiry: YYMMDD.
    """

    pan: SecretText
    track_2: SecretBytes
    sequence_number: str | None
    expiry: str

    @property
    def masked(self) -> str:
        """The number as people may see it."""
        return mask_number(self.pan.reveal())


@dataclass(frozen=True, slots=True)
class Prepared:
    """The holder's turn.

    Attributes:
        cvm: what the holder has to do.
        card: the card.
        tries_left: after a wrong offline PIN, how many are left; else None.
        electronic_cash: the amount is to come from the card's electronic cash, offline.
        balance_fen: of electronic cash, when it is asked for.
        wants_issuer: electronic cash alone will not do: too little would remain, or the terminal's checks want the
            issuer's word, who is then asked without a PIN.
    """

    cvm: Cvm
    card: PaymentCard
    tries_left: int | None = None
    electronic_cash: bool = False
    balance_fen: int | None = None
    wants_issuer: bool = False


@dataclass(frozen=True, slots=True)
class ClearPin:
    """An offline PIN, for the card to check. Raises ValueError when it has fewer than 4 digits."""

    pin: Pin

    def __post_init__(self) -> None:
        pin_block(self.pin)


class PinEntered:
    """An online PIN was entered (it goes to the issuer beside this), or the holder has signed."""


class PinBypassed:
    """The holder has not entered a PIN."""


Verification = ClearPin | PinEntered | PinBypassed | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An end of the transaction, or of its first half.

    Attributes:
        data: data objects for the issuer by tag, in the order of the settings' ``online_tags``.
        script_results: DF31, 5 bytes a script.
    """

    data: dict[int, bytes]
    script_results: bytes = b""

    @property
    def coded(self) -> bytes:
        """``data`` one after another, as in DE55, and the results of scripts."""
        results = {_SCRIPT_RESULTS: self.script_results} if self.script_results else {}
        return b"".join(tlv.encode(tag, value) for tag, value in {**self.data, **results}.items())


@dataclass(frozen=True, slots=True)
class Online(Outcome):
    """The card wants the issuer's word (ARQC)."""


@dataclass(frozen=True, slots=True)
class ApprovedOffline(Outcome):
    """The card has paid without the issuer (TC)."""


@dataclass(frozen=True, slots=True)
class Approved(Outcome):
    """The card agrees with the issuer's approval (TC)."""


@dataclass(frozen=True, slots=True)
class Declined(Outcome):
    """Nothing was paid (AAC, or a TC that is not vouched for).

    Attributes:
        reversal: the issuer had approved: what it has booked is to be reversed.
    """

    reversal: bool = False
