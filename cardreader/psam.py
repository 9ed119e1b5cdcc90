"""The PSAM session: the secure access module that authorises a purse debit and checks the card's proof."""

from __future__ import annotations

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command, Trace
from cardreader.pboc.files import (
    SFI_PSAM_APPLICATION,
    SFI_PSAM_CARD,
    SFI_PSAM_TERMINAL,
    PsamApplication,
    PsamCard,
    PsamInit,
    PsamTerminal,
)
from cardreader.reader import Connection

__all__ = ["Psam", "PsamApplication", "PsamInit"]

APPLICATION_FID = bytes.fromhex("1001")
_MF = bytes.fromhex("3F00")


class Psam:
    """A PSAM whose consumption application is selected.

    The constructor reads the card's and terminal's numbers from the MF and then selects the application. INIT
    and CREDIT belong together: nobody else may use the PSAM between them.

    Args:
        connection: a powered PSAM.
        on_apdu: told of every exchange.
        application: name (AID) or two-byte file id of the application; issuers choose it.

    Attributes:
        serial: 10 bytes.
        terminal_number: 6 bytes; the card's INIT and the MACs cover it.
        application: key index, issuer, zone and validity.

    Raises:
        ApplicationNotFound, ApplicationBlocked, CardRemoved.
    """

    def __init__(
        self, connection: Connection, on_apdu: Trace | None = None, application: bytes = APPLICATION_FID
    ) -> None:
        self._send = Channel(connection, on_apdu).send
        self._select(_MF)
        self.serial = PsamCard.decode(self._read_binary(SFI_PSAM_CARD, PsamCard.size())).serial
        terminal = self._read_binary(SFI_PSAM_TERMINAL, PsamTerminal.size())
        self.terminal_number = PsamTerminal.decode(terminal).terminal_number
        self._select(application)
        self.application = PsamApplication.decode(
            self._read_binary(SFI_PSAM_APPLICATION, PsamApplication.size())
        )

    def initialize_for_purchase(
        self,
        random: bytes,
        offline_number: int,
        amount_fen: int,
        transaction_type: int,
        date: bytes,
        time: bytes,
        key_version: int,
        algorithm_id: int,
        application_serial8: bytes,
    ) -> PsamInit:
        """INIT SAM FOR PURCHASE: the terminal transaction number and MAC1 for the card's DEBIT.

        Args:
            random, offline_number, key_version, algorithm_id: as the card's INIT returned them.
            amount_fen: the amount to debit.
            transaction_type: 6 for a purchase from the electronic purse.
            date: YYYYMMDD in 4 bytes BCD.
            time: HHMMSS in 3 bytes BCD.
            application_serial8: the last 8 bytes of the card's application serial number.

        Raises:
            KeyIndexUnsupported: the PSAM holds no key of that version.
            ApplicationBlocked: too many wrong MAC2 in a row.
        """
        data = (
            random
            + offline_number.to_bytes(2)
            + amount_fen.to_bytes(4)
            + bytes((transaction_type,))
            + date
            + time
            + bytes((key_version, algorithm_id))
            + application_serial8
        )
        command = Command(0x80, 0x70, 0x00, 0x00, data, PsamInit.size())
        return PsamInit.decode(self._checked("INIT SAM FOR PURCHASE", command))

    def credit_for_purchase(self, mac2: bytes) -> None:
        """CREDIT SAM FOR PURCHASE: checks the card's MAC2 (4 bytes) and moves on to the next number.

        Raises:
            MacInvalid: the card has not proved its debit.
            ApplicationBlocked: there were too many wrong MAC2 in a row before this one.
        """
        self._checked("CREDIT SAM FOR PURCHASE", Command(0x80, 0x72, 0x00, 0x00, mac2))

    def _select(self, name: bytes) -> None:
        p1 = 0x00 if len(name) == 2 else 0x04
        self._checked("SELECT", Command(0x00, 0xA4, p1, 0x00, name, MAX_LE), selecting=True)

    def _read_binary(self, sfi: int, size: int) -> bytes:
        return self._checked("READ BINARY", Command(0x00, 0xB0, 0x80 | sfi, 0x00, le=size))

    def _checked(self, name: str, command: Command, *, selecting: bool = False) -> bytes:
        return status.checked(name, self._send(command), selecting=selecting)
