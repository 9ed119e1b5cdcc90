"""What a client says of cards: purses, bank cards, electronic cash, loads. Each changing call takes its idempotency key."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cardreader.secret import CardNumber
from stb_app.tsp.model import (
    AccountBalance,
    Authorisation,
    CardStanding,
    Fields,
    Lease,
    Load,
    LoadAuthorisation,
    Mac1,
    Payment,
)  # fmt: skip
from stb_app.tsp.problem import Problem

if TYPE_CHECKING:
    from stb_app.tsp.envelope import CardKey

ISSUER_S = 35.0
"""For the answer of a card's issuer: longer than the TSP waits for it."""
PAYING_S = 6.0
"""For an answer that somebody waits for at the card slot: silence is said soon, and the same is sent again.

Longer than the TSP itself waits for BOSS."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the TSP must know of a purse card: EF 0015 and its balance."""

    issuer_id: bytes
    application_serial: CardNumber
    application_type: int
    start_date: str
    expiry_date: str
    balance_fen: int


class CardVerbs:
    """The part of a client that is about cards."""

    @abstractmethod
    def _call(
        self, method: str, path: str, body: Any = None, key: str | None = None, answer_s: float = ...
    ) -> Fields:
        """Asks, and answers what came. Raises Problem."""

    def card_key(self) -> CardKey:
        """The key that a bank card's data and PIN are sealed for now. Raises Problem."""
        from stb_app.tsp.envelope import CardKey

        keys = self._call("GET", "/card-keys").many("card_keys", CardKey.read)
        if not keys:
            raise Problem("tsp-answer-bad", facts={"where": "card_keys", "expected": "keys"})
        return keys[0]

    def present_card(self, payment: str, card: CardFacts, key: str, wait: int = 0) -> Lease:
        """Has the card checked and a PSAM leased for it; waits so many seconds in the TSP's queue for one."""
        query = f"?wait={wait}" if wait else ""
        answer = self._call(
            "POST", f"/payments/{payment}/card{query}", _card_body(card), key, answer_s=PAYING_S + wait
        )
        return Lease(
            hexadecimal(answer, "terminal_number", 6), answer.int("key_index"), answer.int("seconds_left")
        )

    def authorise(
        self, payment: str, envelope: Mapping[str, str | None], chip: bytes, key: str
    ) -> Authorisation:
        """Has the card's issuer asked. From the moment this is sent the payment may be ``unknown``.

        Args:
            envelope: of ``stb_app.tsp.envelope.seal``.
            chip: data objects of the card's ARQC.
        """
        body = {"envelope": dict(envelope), "chip": chip.hex().upper()}
        return Authorisation.read(
            self._call("POST", f"/payments/{payment}/authorisation", body, key, answer_s=ISSUER_S)
        )

    def complete(self, payment: str, chip: bytes | None, key: str) -> Payment:
        """The card's last word, its data objects; None: it has none, and what was booked is undone."""
        body = {"chip": None if chip is None else chip.hex().upper()}
        return Payment.read(
            self._call("POST", f"/payments/{payment}/completion", body, key, answer_s=PAYING_S)
        )

    def begin_cash(
        self, payment: str, envelope: Mapping[str, str | None], balance_fen: int, atc: int, key: str
    ) -> Payment:
        """The card is about to pay with its electronic cash. From the moment this is sent the payment may be ``unknown``.

        Args:
            envelope: as for ``authorise``, without a PIN.
            balance_fen, atc: where the card stands (9F79, 9F36).
        """
        body = {"envelope": dict(envelope), "balance_before_fen": balance_fen, "atc": atc}
        return Payment.read(self._call("POST", f"/payments/{payment}/offline", body, key, answer_s=PAYING_S))

    def certified(self, payment: str, chip: bytes, balance_after_fen: int | None, key: str) -> Payment:
        """The card has paid: data objects with its certificate (TC)."""
        body = {"chip": chip.hex().upper(), "balance_after_fen": balance_after_fen}
        return Payment.read(
            self._call("POST", f"/payments/{payment}/certificate", body, key, answer_s=PAYING_S)
        )

    def not_certified(
        self, payment: str, balance_fen: int, atc: int, key: str, *, logged: bool, declined: bool
    ) -> Payment:
        """Where a card stands that has given no certificate, or whose certificate was lost.

        Args:
            logged: its own log has the transaction.
            declined: it has answered, and it was no certificate.
        """
        body = {"balance_fen": balance_fen, "atc": atc, "logged": logged, "declined": declined}
        return Payment.read(
            self._call("POST", f"/payments/{payment}/no-certificate", body, key, answer_s=PAYING_S)
        )

    def account_balance(self, envelope: Mapping[str, str | None], chip: bytes, key: str) -> AccountBalance:
        """Has the card's issuer asked what is in its account; moves no money. The envelope is sealed for ``key``."""
        body = {"envelope": dict(envelope), "chip": chip.hex().upper()}
        return AccountBalance.read(self._call("POST", "/account-inquiries", body, key, answer_s=ISSUER_S))

    def begin_load(self, amount_fen: int, key: str) -> Load:
        """A load of electronic cash; moves no money yet."""
        return Load.read(
            self._call("POST", "/card-loads", {"amount_fen": amount_fen}, key, answer_s=PAYING_S)
        )

    def load(self, load: str) -> Load:
        return Load.read(self._call("GET", f"/card-loads/{load}", answer_s=PAYING_S))

    def authorise_load(
        self, load: str, envelope: Mapping[str, str | None], chip: bytes, balance_fen: int, key: str
    ) -> LoadAuthorisation:
        """Has the card's issuer asked for a load, as ``authorise``; ``balance_fen``: on the card before."""
        body = {"envelope": dict(envelope), "chip": chip.hex().upper(), "balance_before_fen": balance_fen}
        return LoadAuthorisation.read(
            self._call("POST", f"/card-loads/{load}/authorisation", body, key, answer_s=ISSUER_S)
        )

    def complete_load(
        self, load: str, chip: bytes | None, balance_fen: int, key: str, *, logged: bool
    ) -> Load:
        """What the card has done about a load: its last word, its balance, and whether its own log has it."""
        told = None if chip is None else chip.hex().upper()
        body = {"chip": told, "balance_fen": balance_fen, "logged": logged}
        return Load.read(self._call("POST", f"/card-loads/{load}/completion", body, key, answer_s=PAYING_S))

    def init(self, payment: str, init: Mapping[str, Any], key: str) -> Mac1:
        """Sends what INITIALIZE FOR PURCHASE answered. From the moment this is sent the payment may be ``unknown``."""
        answer = self._call("POST", f"/payments/{payment}/init", init, key, answer_s=PAYING_S)
        return Mac1(
            hexadecimal(answer, "terminal_transaction_number", 4), hexadecimal(answer, "mac1", 4),
            hexadecimal(answer, "date", 4), hexadecimal(answer, "time", 3),
        )  # fmt: skip

    def debited(
        self, payment: str, tac: bytes, mac2: bytes, balance_after_fen: int | None, key: str
    ) -> Payment:
        body = {"tac": tac.hex().upper(), "mac2": mac2.hex().upper(), "balance_after_fen": balance_after_fen}
        return Payment.read(self._call("POST", f"/payments/{payment}/debit", body, key, answer_s=PAYING_S))

    def not_debited(self, payment: str, sw: int, offline_number: int, balance_fen: int, key: str) -> Payment:
        body = {"status_word": f"{sw:04X}", "offline_number": offline_number, "balance_fen": balance_fen}
        return Payment.read(
            self._call("POST", f"/payments/{payment}/not-debited", body, key, answer_s=PAYING_S)
        )

    def inquire(self, card: CardFacts, key: str) -> CardStanding:
        """ONL-10: asks what the TSP thinks of a card; recorded there, moves no money."""
        return CardStanding.read(
            self._call("POST", "/inquiries", {"kind": "card", **_card_body(card)}, key, answer_s=PAYING_S)
        )


def _card_body(card: CardFacts) -> dict[str, Any]:
    return {
        "issuer_id": card.issuer_id.hex().upper(),
        "application_serial": card.application_serial.reveal().hex().upper(),
        "application_type": f"{card.application_type:02X}",
        "start_date": card.start_date,
        "expiry_date": card.expiry_date,
        "balance_fen": card.balance_fen,
    }


def hexadecimal(answer: Fields, name: str, length: int) -> bytes:
    try:
        value = bytes.fromhex(answer.text(name))
    except ValueError as error:
        raise Problem("tsp-answer-bad", facts={"where": name, "expected": "hex"}) from error
    if len(value) != length:
        raise Problem("tsp-answer-bad", facts={"where": name, "expected": f"{length} bytes"})
    return value
