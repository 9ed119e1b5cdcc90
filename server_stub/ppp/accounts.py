"""Accounts behind cards: found by fingerprint, PINs checked by fingerprint of their blocks; the demo's are loaded once."""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from importlib import resources
from typing import Any

from cryptography.fernet import InvalidToken
from psec import pinblock
from sqlalchemy import Connection, Row, select

from cardreader.secret import mask_number
from server_stub.foundation import statements
from server_stub.foundation.secret import Pin, SecretText
from server_stub.foundation.startup import CannotStart
from server_stub.foundation.vault import Vault
from server_stub.foundation.working_keys import des3_decrypt
from server_stub.ppp import books
from server_stub.ppp.tables import accounts

PIN_TRIES = 3
STATES = ("active", "blocked", "lost", "stolen")
SCHEMES = ("debit", "credit")
DEMO_SEQUENCE_NUMBER = "01"
DEMO_PIN = "123456"
DEMO_LIMIT_FEN = 2_000_000
DEMO_CASH_LIMIT_FEN = 100_000
"""What a card may hold of electronic cash (cards.md D3)."""


def any_opened(conn: Connection) -> bool:
    """Whether there is an account."""
    return conn.execute(select(accounts.c.id).limit(1)).first() is not None


class Accounts:
    """The issuer's accounts.

    Args:
        vault: seals PANs and makes fingerprints.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def name_of(self, pan: str) -> str:
        """The id of the account behind a PAN, whether there is one or not."""
        return self._vault.fingerprint("pan", pan.encode())

    def find(self, conn: Connection, pan: str) -> Row[Any] | None:
        """The account behind a PAN, locked; None where there is none."""
        return statements.one(conn, accounts, lock=True, id=self.name_of(pan))

    def pin_is(self, account: Row[Any], pan: str, pik: bytes, enciphered: bytes) -> bool:
        """Whether a PIN block (ISO 9564 format 0 under ``pik``) has the card's PIN.

        Raises:
            ValueError: there is no PIN block of this card in it.
        """
        block = des3_decrypt(pik, enciphered)
        pinblock.decode_pinblock_iso_0(block, pan)
        return hmac.compare_digest(self._pin(account.id, block), account.pin)

    def open(self, conn: Connection, pan: str, pin: Pin, at: datetime, **facts: Any) -> None:
        """Opens an account, unless there is one.

        Args:
            facts: the account's columns; ``deposit_fen`` and ``cash_fen``, what it and the electronic cash on the card
                begin with.
        """
        name = self.name_of(pan)
        deposit_fen, cash_fen = facts.pop("deposit_fen", 0), facts.pop("cash_fen", 0)
        block = pinblock.encode_pinblock_iso_0(pin.reveal(), pan)
        values = {
            "id": name,
            "pan": self._vault.seal(pan.encode()),
            "masked": mask_number(pan),
            "state": "active",
            "sequence_number": DEMO_SEQUENCE_NUMBER,
            "pin": self._pin(name, block),
            "pin_required": facts["scheme"] == "debit",
            "pin_failures": 0,
            "atc": 0,
            "credit_fen": 0,
            "limit_fen": DEMO_LIMIT_FEN,
            "cash_limit_fen": DEMO_CASH_LIMIT_FEN,
        }
        if statements.insert_once(conn, accounts, {**values, **facts}):
            books.open_card(conn, name, facts["scheme"])
            books.deposit(conn, name, deposit_fen, cash_fen, at)

    def expect_ours(self, conn: Connection) -> None:
        """Raises CannotStart: the accounts were sealed with another key."""
        sealed = conn.execute(select(accounts.c.pan).limit(1)).scalar()
        try:
            if sealed is not None:
                self._vault.unseal(sealed)
        except InvalidToken as error:
            raise CannotStart("ppp.key is not the key that PPP's accounts were sealed with") from error

    def load_demo(self, conn: Connection, at: datetime) -> None:
        """The accounts of the simulator's cards, into an empty issuer."""
        if any_opened(conn):
            return
        text = resources.files("server_stub.ppp").joinpath("accounts.json").read_text("utf-8")
        for facts in json.loads(text):
            self.open(conn, facts.pop("pan"), Pin(DEMO_PIN), at, **facts)

    def _pin(self, account: str, block: bytes) -> str:
        return self._vault.fingerprint(f"pin {account}", block)


def pan_of_track(track: SecretText) -> tuple[str, str]:
    """PAN and expiry (YYMM) of a track 2 (ISO 7813). Raises ValueError: it is none."""
    pan, separator, rest = track.reveal().partition("D")
    if (
        not separator
        or not pan.isdigit()
        or not 12 <= len(pan) <= 19
        or not rest[:4].isdigit()
        or len(rest) < 4
    ):
        raise ValueError("field 35 is no track 2")
    return pan, rest[:4]
