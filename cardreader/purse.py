"""The purse session: the electronic purse (EP) application of a PBOC card (JR/T 0025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command, Trace
from cardreader.errors import ProtocolError
from cardreader.pboc.files import (
    SFI_CARDHOLDER,
    SFI_LOG,
    SFI_PUBLIC_APPLICATION,
    CardholderData,
    LoadInit,
    LogRecord,
    PublicApplicationData,
    PurchaseInit,
    is_empty,
)
from cardreader.reader import Connection
from cardreader.secret import Pin
from cardreader.tlv import find

__all__ = [
    "DebitProof",
    "LoadInit",
    "LogRecord",
    "ProofForm",
    "PublicApplicationData",
    "PurchaseInit",
    "Purse",
    "pack_pin",
]

AID = bytes.fromhex("A00000000386980701")
EP = 0x02
"""P2 that names the electronic purse; 01 would be the electronic deposit (ED)."""
LOAD_EP = 0x02
PURCHASE_EP = 0x06
LOG_RECORDS = 10

_SELECT = Command(0x00, 0xA4, 0x04, 0x00, AID, MAX_LE)
_GET_BALANCE = Command(0x80, 0x5C, 0x00, EP, le=4)
_NO_RECORD = 0x6A83


@dataclass(frozen=True, slots=True)
class DebitProof:
    """What a card gives for money it has debited.

    Attributes:
        tac: 4 bytes for the issuer: the transaction authentication code.
        mac2: 4 bytes for the PSAM.
    """

    tac: bytes
    mac2: bytes


class ProofForm(NamedTuple):
    """How a card's operating system understands GET TRANSACTION PROVE; cards differ.

    Attributes:
        number_offset: added to the offline number that INIT returned. 1 asks for the counter as it stands
            after the debit, 0 as it stood before.
        mac2_first: the answer is MAC2 || TAC; otherwise TAC || MAC2, as in the answer of DEBIT.
    """

    number_offset: int = 1
    mac2_first: bool = True


class Purse:
    """A selected purse application.

    Args:
        connection: a powered card.
        on_apdu: told of every exchange, with PINs overwritten.
        proof_form: how this card answers GET TRANSACTION PROVE.

    Raises:
        ApplicationNotFound: the card holds no purse.
        ApplicationBlocked: the purse, or the whole card, is blocked.
        CardRemoved: the card left; every verb can raise this too.
    """

    def __init__(
        self, connection: Connection, on_apdu: Trace | None = None, proof_form: ProofForm | None = None
    ) -> None:
        self._send = Channel(connection, on_apdu).send
        self._proof_form = proof_form or ProofForm()
        self._information: PublicApplicationData | None = None
        self._fci = self._checked("SELECT", _SELECT, selecting=True)

    @property
    def information(self) -> PublicApplicationData:
        """EF 0015: issuer, serial number, validity. From the FCI when it is in there, else read once."""
        if self._information is None:
            raw = find(self._fci, 0x6F, 0xA5, 0x9F0C)
            if raw is None or len(raw) < PublicApplicationData.size():
                raw = self._read_binary(SFI_PUBLIC_APPLICATION, PublicApplicationData.size())
            self._information = PublicApplicationData.decode(raw)
        return self._information

    def cardholder(self) -> CardholderData:
        """EF 0016: the holder's name and certificate."""
        return CardholderData.decode(self._read_binary(SFI_CARDHOLDER, CardholderData.size()))

    def verify_pin(self, pin: Pin | str) -> None:
        """VERIFY.

        Args:
            pin: 2 to 12 decimal digits; a ``Pin`` cannot be printed on its way here.

        Raises:
            PinWrong: carries the tries left, at least 1.
            PinBlocked: no tries are left, or this was the last one.
        """
        self._checked("VERIFY", Command(0x00, 0x20, 0x00, 0x00, pack_pin(pin)))

    def change_pin(self, old_pin: str, new_pin: str) -> None:
        """CHANGE PIN. Raises PinWrong, PinBlocked."""
        data = pack_pin(old_pin) + b"\xff" + pack_pin(new_pin)
        self._checked("CHANGE PIN", Command(0x80, 0x5E, 0x01, 0x00, data))

    def balance_fen(self) -> int:
        """GET BALANCE of the electronic purse, in fen."""
        return int.from_bytes(self._answer("GET BALANCE", _GET_BALANCE, 4))

    def initialize_for_purchase(
        self, key_index: int, amount_fen: int, terminal_number: bytes
    ) -> PurchaseInit:
        """INITIALIZE FOR PURCHASE: the card names its counters and a random number; no money moves.

        Any other command than `debit_for_purchase` after this cancels the purchase.

        Args:
            key_index: of the consumption key, from the PSAM's EF 0017.
            amount_fen: 0 to 4,294,967,295.
            terminal_number: 6 bytes, from the PSAM's EF 0016.

        Raises:
            KeyIndexUnsupported, InsufficientBalance, CounterExhausted.
        """
        data = bytes((key_index,)) + amount_fen.to_bytes(4) + _exactly(6, terminal_number)
        command = Command(0x80, 0x50, 0x01, EP, data, PurchaseInit.size())
        return PurchaseInit.decode(self._checked("INITIALIZE FOR PURCHASE", command))

    def debit_for_purchase(
        self, terminal_transaction_number: bytes, date: bytes, time: bytes, mac1: bytes
    ) -> DebitProof:
        """DEBIT FOR PURCHASE: the card checks MAC1 and debits.

        Args:
            terminal_transaction_number: 4 bytes.
            date: YYYYMMDD in 4 bytes BCD.
            time: HHMMSS in 3 bytes BCD.
            mac1: 4 bytes.

        Raises:
            MacInvalid: nothing was debited.
            InsufficientBalance: nothing was debited.
            CardRemoved: whether it debited is not known; ask `prove_purchase` when the same card is back.
        """
        data = (
            _exactly(4, terminal_transaction_number)
            + _exactly(4, date)
            + _exactly(3, time)
            + _exactly(4, mac1)
        )
        answer = self._answer("DEBIT FOR PURCHASE", Command(0x80, 0x54, 0x01, 0x00, data, 8), 8)
        return DebitProof(tac=answer[:4], mac2=answer[4:])

    def prove_purchase(self, offline_number: int) -> DebitProof:
        """GET TRANSACTION PROVE: the proof of the purchase whose INIT returned ``offline_number``.

        Raises:
            ProofUnavailable: the card has not debited that purchase, or has made another transaction since.
        """
        number = (offline_number + self._proof_form.number_offset) & 0xFFFF
        command = Command(0x80, 0x5A, 0x00, PURCHASE_EP, number.to_bytes(2), 8)
        answer = self._answer("GET TRANSACTION PROVE", command, 8)
        first, second = answer[:4], answer[4:]
        return (
            DebitProof(tac=second, mac2=first) if self._proof_form.mac2_first else DebitProof(first, second)
        )

    def initialize_for_load(self, key_index: int, amount_fen: int, terminal_number: bytes) -> LoadInit:
        """INITIALIZE FOR LOAD; the PIN has to be verified. Raises KeyIndexUnsupported, CounterExhausted."""
        data = bytes((key_index,)) + amount_fen.to_bytes(4) + _exactly(6, terminal_number)
        command = Command(0x80, 0x50, 0x00, EP, data, LoadInit.size())
        return LoadInit.decode(self._checked("INITIALIZE FOR LOAD", command))

    def credit_for_load(self, date: bytes, time: bytes, mac2: bytes) -> bytes:
        """CREDIT FOR LOAD with the host's date (4 bytes BCD), time (3 bytes BCD) and MAC2; returns the TAC.

        Raises:
            MacInvalid: nothing was credited.
        """
        data = _exactly(4, date) + _exactly(3, time) + _exactly(4, mac2)
        return self._answer("CREDIT FOR LOAD", Command(0x80, 0x52, 0x00, 0x00, data, 4), 4)

    def log(self) -> list[LogRecord]:
        """The last transactions, at most ten, newest first; records that were never written are left out."""
        records = []
        for number in range(1, LOG_RECORDS + 1):
            command = Command(0x00, 0xB2, number, SFI_LOG << 3 | 4, le=LogRecord.size())
            data, sw = self._send(command)
            if sw == _NO_RECORD:
                break
            if sw != status.OK:
                raise status.error("READ RECORD", sw)
            if not is_empty(data):
                records.append(LogRecord.decode(data))
        return records

    def _read_binary(self, sfi: int, size: int) -> bytes:
        return self._checked("READ BINARY", Command(0x00, 0xB0, 0x80 | sfi, 0x00, le=size))

    def _checked(self, name: str, command: Command, *, selecting: bool = False) -> bytes:
        return status.checked(name, self._send(command), selecting=selecting)

    def _answer(self, name: str, command: Command, size: int) -> bytes:
        data = self._checked(name, command)
        if len(data) != size:
            raise ProtocolError(f"{name}: {size} bytes expected, {len(data)} came")
        return data


def pack_pin(pin: Pin | str) -> bytes:
    """A PIN as VERIFY carries it: packed digits, filled with F when their count is odd.

    Raises:
        ValueError: not 2 to 12 decimal digits. The message does not repeat them.

    >>> pack_pin("12345").hex()
    '12345f'
    """
    digits = (pin if isinstance(pin, Pin) else Pin(pin)).reveal()
    return bytes.fromhex(digits + "F" * (len(digits) % 2))


def _exactly(size: int, value: bytes) -> bytes:
    if len(value) != size:
        raise ValueError(f"{size} bytes, not {len(value)}")
    return value
