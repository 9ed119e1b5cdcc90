"""What the issuer decides about a card and its transaction; answers with a code of bit 39."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from server_stub.foundation import statements
from server_stub.foundation.iso8583 import Message
from server_stub.foundation.secret import SecretText
from server_stub.foundation.working_keys import WorkingKeys, reveal_track
from server_stub.ppp import books, chip
from server_stub.ppp.accounts import PIN_TRIES, Accounts, pan_of_track
from server_stub.ppp.tables import accounts
from server_stub.ppp.terminals import Request

APPROVED = "00"
HELD_BACK = {"lost": "41", "stolen": "43", "blocked": "62"}
CURRENCY = "156"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the issuer says.

    Attributes:
        code: bit 39.
        reason: why, in a word for the record.
        account: whose card it is; None where that is not known.
        atc: of a good cryptogram; None of none.
        chip: bit 55 of the answer.
    """

    code: str
    reason: str
    account: str | None = None
    atc: int | None = None
    chip: bytes = b""


@dataclass(frozen=True, slots=True)
class Card:
    """The card that a message comes from, as PPP hands it to the issuer."""

    pan: SecretText
    expiry: str


class Refused(Exception):
    """The issuer says no."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def card_of(message: Message, keys: WorkingKeys) -> Card:
    """Whose card it is: out of the track under the TDK, or in clear where the sign-in has brought none.

    Raises:
        Refused: 30, there is no track, or what there is gives none.
    """
    if 35 not in message:
        raise Refused("30", "no-track")
    track = message.text(35)
    try:
        pan, expiry = pan_of_track(SecretText(reveal_track(keys.tdk, track) if keys.tdk else track))
    except ValueError as error:
        raise Refused("30", "no-track") from error
    if 2 in message and message.text(2) != pan:
        raise Refused("14", "other-number")
    return Card(SecretText(pan), expiry)


class Issuer:
    """The bank behind the cards.

    Args:
        master: its keys for cryptograms and scripts.
    """

    def __init__(self, found: Accounts, master: chip.MasterKeys) -> None:
        self._accounts = found
        self._master = master

    def decide(self, conn: Connection, kind: str, request: Request, fen: int, script: bytes = b"") -> Verdict:
        """Decides, with the account locked; PIN tries and ATC are kept whatever the end, money is moved by the caller.

        Args:
            kind: of ``books``, or ``balance``.
            fen: how much; 0 for a balance.
            script: a command that the card is told besides, without its MAC; empty for none.
        """
        message, keys, now = request.message, request.keys, request.now
        try:
            card = card_of(message, keys)
            pan = card.pan.reveal()
            account = self._accounts.find(conn, pan)
            if account is None:
                raise Refused("14", "no-such-card")
            known = Verdict("", "", account=account.id)
        except Refused as refused:
            return Verdict(refused.code, refused.reason)
        try:
            data, session = self._cryptogram(account, pan, message, fen)
        except Refused as refused:
            return replace(known, code=refused.code, reason=refused.reason)
        atc = int.from_bytes(data.atc)
        statements.change(conn, accounts, {"atc": atc}, id=account.id)
        known = replace(known, atc=atc)
        commands = [session.command(script[:4], script[4:])] if script else []
        try:
            _usable(account, card, now)
            self._pin(conn, account, pan, message, keys, data)
            _affordable(conn, kind, account, fen)
            if kind == books.LOAD:
                commands.append(chip.put_balance(session, _new_balance(account, data, fen)))
            code, reason = APPROVED, "approved"
        except Refused as refused:
            code, reason = refused.code, refused.reason
        return replace(known, code=code, reason=reason, chip=session.answer(code, commands))

    def certified(self, account: Row[Any], pan: str, data: chip.ChipData) -> bool:
        """Whether a TC is the card's."""
        session = chip.CardKeys(self._master, pan, account.sequence_number, data)
        return data.kind == chip.TC and session.good()

    def _cryptogram(
        self, account: Row[Any], pan: str, message: Message, fen: int
    ) -> tuple[chip.ChipData, chip.CardKeys]:
        """The chip's data and the keys of this transaction, whose cryptogram is good and new."""
        if 55 not in message:
            raise Refused("30", "no-chip-data")
        try:
            data = chip.ChipData.parse(message.data(55))
            told_fen = data.amount_fen
        except chip.ChipError as error:
            raise Refused("30", "chip-data") from error
        session = chip.CardKeys(self._master, pan, account.sequence_number, data)
        if data.kind != chip.ARQC or not session.good():
            raise Refused("05", "cryptogram")
        if int.from_bytes(data.atc) <= account.atc:
            raise Refused("05", "atc")
        if told_fen != fen:
            raise Refused("13", "amount")
        return data, session

    def _pin(
        self, conn: Connection, account: Row[Any], pan: str, message: Message, keys: WorkingKeys, data: chip.ChipData
    ) -> None:  # fmt: skip
        if account.pin_failures >= PIN_TRIES:
            raise Refused("75", "pin-tries")
        if 52 not in message:
            if account.pin_required and not data.pin_verified:
                raise Refused("55", "no-pin")
            return
        try:
            right = self._accounts.pin_is(account, pan, keys.pik.reveal(), message.data(52))
        except ValueError as error:
            raise Refused("99", "pin-block") from error
        failures = 0 if right else account.pin_failures + 1
        if failures != account.pin_failures:
            statements.change(conn, accounts, {"pin_failures": failures}, id=account.id)
        if not right:
            raise Refused("55" if failures < PIN_TRIES else "75", "pin")


def _usable(account: Row[Any], card: Card, now: datetime) -> None:
    if account.state != "active":
        raise Refused(HELD_BACK[account.state], account.state)
    if card.expiry != account.expiry or account.expiry < f"{now:%y%m}":
        raise Refused("54", "expired")


def _affordable(conn: Connection, kind: str, account: Row[Any], fen: int) -> None:
    if kind == "balance":
        return
    if fen <= 0:
        raise Refused("13", "amount")
    if fen > account.limit_fen:
        raise Refused("61", "limit")
    if fen > books.available(conn, account.id, account.credit_fen):
        raise Refused("51", "funds")


def _new_balance(account: Row[Any], data: chip.ChipData, fen: int) -> int:
    """Of electronic cash, after a load."""
    balance = data.cash_balance_fen
    if balance is None:
        raise Refused("30", "no-cash-balance")
    if balance + fen > account.cash_limit_fen:
        raise Refused("61", "cash-limit")
    return balance + fen
