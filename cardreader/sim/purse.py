"""The purse application of a simulated card: keys, MACs, counters, log and sequence rules."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cardreader.apdu import Command
from cardreader.pboc import crypto
from cardreader.pboc.files import (
    SFI_CARDHOLDER,
    SFI_LOG,
    SFI_PUBLIC_APPLICATION,
    LoadInit,
    LogRecord,
    PublicApplicationData,
    PurchaseInit,
)
from cardreader.purse import AID, EP, LOAD_EP, LOG_RECORDS, PURCHASE_EP
from cardreader.sim.cos import Handler, Random, Refusal, fci
from cardreader.sim.issuers import ALGORITHM_DES, KEY_INDEX, KEY_VERSION, CardKeys
from cardreader.sim.purse_state import PIN_TRIES, Block, Proof, PurseState
from cardreader.sim.store import Store
from cardreader.tlv import encode

FID = bytes.fromhex("1001")
_MAC_FAILURES_UNTIL_PERMANENT = 3
_MAX_COUNTER = 0xFFFF
_MAX_BALANCE_FEN = 0xFFFFFFFF
_NO_OVERDRAFT = 0
_EMPTY_RECORD = bytes(LogRecord.size())


@dataclass(frozen=True, slots=True)
class _Begun:
    """A transaction between INIT and DEBIT or CREDIT; lives without power no longer than a register does."""

    transaction_type: int
    amount_fen: int
    terminal_number: bytes
    random: bytes


class PurseApplication:
    """The purse. Every change is saved in the store before the answer leaves the card.

    Args:
        state: what the card holds now.
        keys: the card's own keys.
        store: where changes go.
        random: source of the random numbers of INIT.
        log_needs_pin: the log can be read only after VERIFY, as the standard has it; many cards ask nothing.
    """

    name = AID
    fid = FID

    def __init__(
        self, state: PurseState, keys: CardKeys, store: Store, random: Random, *, log_needs_pin: bool = False
    ) -> None:
        self.state = state
        self._keys = keys
        self._store = store
        self._random = random
        self._log_needs_pin = log_needs_pin
        self._verified = False
        self._begun: _Begun | None = None
        self._pending: _Begun | None = None
        self._challenge: bytes | None = None
        self._fresh_challenge: bytes | None = None
        self._commands: dict[tuple[int, int], Handler] = {
            (0x00, 0x20): self._verify,
            (0x80, 0x5C): self._get_balance,
            (0x80, 0x50): self._initialize,
            (0x80, 0x54): self._debit,
            (0x80, 0x52): self._credit_for_load,
            (0x80, 0x5A): self._get_transaction_prove,
            (0x80, 0x5E): self._change_or_reload_pin,
            (0x84, 0x1E): self._application_block,
            (0x84, 0x18): self._application_unblock,
            (0x84, 0x16): self._card_block,
            (0x04, 0xD6): self._update_binary,
        }

    # -- what every application of the card does

    def select(self) -> bytes:
        self.forget()
        if self.state.block is Block.PERMANENT:
            raise Refusal(0x9303)
        if self.state.block is Block.TEMPORARY:
            raise Refusal(0x6A81)
        return fci(self.name, encode(0x9F08, b"\x01") + encode(0x9F0C, self.state.public))

    def forget(self) -> None:
        self._verified = False
        self._begun = self._pending = None
        self._challenge = self._fresh_challenge = None

    def before(self, command: Command) -> None:
        # What INIT began, and what GET CHALLENGE gave, is there for the very next command only.
        self._pending, self._begun = self._begun, None
        self._challenge, self._fresh_challenge = self._fresh_challenge, None
        if self.state.block is Block.PERMANENT:
            raise Refusal(0x9303)
        if self.state.block is Block.TEMPORARY and (command.cla, command.ins) not in (
            (0x00, 0x84),
            (0x84, 0x18),
        ):
            raise Refusal(0x6A81)

    def commands(self) -> Mapping[tuple[int, int], Handler]:
        return self._commands

    def binary(self, sfi: int) -> bytes:
        if sfi == SFI_PUBLIC_APPLICATION:
            return self.state.public
        if sfi == SFI_CARDHOLDER:
            return self.state.cardholder
        raise Refusal(0x6981 if sfi == SFI_LOG else 0x6A82)

    def record(self, sfi: int, number: int) -> bytes:
        if sfi != SFI_LOG:
            raise Refusal(0x6981 if sfi in (SFI_PUBLIC_APPLICATION, SFI_CARDHOLDER) else 0x6A82)
        if self._log_needs_pin and not self._verified:
            raise Refusal(0x6982)
        if not 1 <= number <= LOG_RECORDS:
            raise Refusal(0x6A83)
        return self.state.log[number - 1] if number <= len(self.state.log) else _EMPTY_RECORD

    def challenge(self, random: bytes) -> None:
        self._fresh_challenge = random

    # -- PIN

    def _verify(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0, 0):
            raise Refusal(0x6A86)
        if not 1 <= len(command.data) <= 8:
            raise Refusal(0x6700)
        self._verified = False
        self._compare_pin(command.data)
        self._verified = True
        return b""

    def _compare_pin(self, pin: bytes) -> None:
        """Counts the try before it tells, so that pulling the card does not give a free one."""
        if self.state.pin_tries_left == 0:
            raise Refusal(0x6983)
        if not hmac.compare_digest(pin, self.state.pin):
            self._commit(replace(self.state, pin_tries_left=self.state.pin_tries_left - 1))
            raise Refusal(0x63C0 | self.state.pin_tries_left)
        if self.state.pin_tries_left != PIN_TRIES:
            self._commit(replace(self.state, pin_tries_left=PIN_TRIES))

    def _change_or_reload_pin(self, command: Command) -> bytes:
        if command.p2 != 0x00 or command.p1 not in (0x00, 0x01):
            raise Refusal(0x6A86)
        if command.p1 == 0x01:
            old, separator, new = command.data.partition(b"\xff")
            if not separator or not 2 <= len(new) <= 6:
                raise Refusal(0x6A80)
            self._compare_pin(old)
        else:
            new, mac = command.data[:-4], command.data[-4:]
            if not 2 <= len(new) <= 6:
                raise Refusal(0x6700)
            if not hmac.compare_digest(crypto.mac(crypto.halves_xored(self._keys.reload_pin), new), mac):
                raise Refusal(0x9302)
        self._commit(replace(self.state, pin=new, pin_tries_left=PIN_TRIES))
        return b""

    # -- money

    def _get_balance(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0x00, EP):
            raise Refusal(0x6A86)
        if command.le != 4:
            raise Refusal(0x6700)
        return self.state.balance_fen.to_bytes(4)

    def _initialize(self, command: Command) -> bytes:
        if command.p2 != EP or command.p1 not in (0x00, 0x01):
            raise Refusal(0x6A86)
        if len(command.data) != 11:
            raise Refusal(0x6700)
        key_index, amount_fen = command.data[0], int.from_bytes(command.data[1:5])
        terminal_number = command.data[5:]
        if command.p1 == 0x00:
            return self._initialize_for_load(key_index, amount_fen, terminal_number)
        return self._initialize_for_purchase(key_index, amount_fen, terminal_number)

    def _initialize_for_purchase(self, key_index: int, amount_fen: int, terminal_number: bytes) -> bytes:
        if key_index != KEY_INDEX:
            raise Refusal(0x9403)
        if amount_fen > self.state.balance_fen:
            raise Refusal(0x9401)
        if self.state.offline_number == _MAX_COUNTER:
            raise Refusal(0x9402)
        random = self._random(4)
        self._begun = _Begun(PURCHASE_EP, amount_fen, terminal_number, random)
        return PurchaseInit(
            self.state.balance_fen,
            self.state.offline_number,
            _NO_OVERDRAFT,
            KEY_VERSION,
            ALGORITHM_DES,
            random,
        ).encode()

    def _debit(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0x01, 0x00):
            raise Refusal(0x6A86)
        if len(command.data) != 15:
            raise Refusal(0x6700)
        begun = self._taken(PURCHASE_EP)
        terminal_transaction_number = command.data[:4]
        date, time, mac1 = command.data[4:8], command.data[8:11], command.data[11:]
        session_key = crypto.purchase_session_key(
            self._keys.purchase, begun.random, self.state.offline_number, terminal_transaction_number
        )
        expected = crypto.purchase_mac1(
            session_key, begun.amount_fen, PURCHASE_EP, begun.terminal_number, date, time
        )
        if not hmac.compare_digest(mac1, expected):
            raise Refusal(0x9302)
        mac2 = crypto.purchase_mac2(session_key, begun.amount_fen)
        tac = crypto.purchase_tac(
            self._keys.tac,
            begun.amount_fen,
            PURCHASE_EP,
            begun.terminal_number,
            terminal_transaction_number,
            date,
            time,
        )
        # Balance, number, log and proof in one: whatever happens to the power, all of them or none.
        self._commit(
            replace(
                self.state,
                balance_fen=self.state.balance_fen - begun.amount_fen,
                offline_number=self.state.offline_number + 1,
                log=self._logged(self.state.offline_number, begun, date, time),
                proof=Proof(PURCHASE_EP, self.state.offline_number + 1, mac2, tac),
            )
        )
        return tac + mac2

    def _initialize_for_load(self, key_index: int, amount_fen: int, terminal_number: bytes) -> bytes:
        if not self._verified:
            raise Refusal(0x6982)
        if key_index != KEY_INDEX:
            raise Refusal(0x9403)
        if self.state.online_number == _MAX_COUNTER:
            raise Refusal(0x9402)
        if self.state.balance_fen + amount_fen > _MAX_BALANCE_FEN:
            raise Refusal(0x6985)
        random = self._random(4)
        self._begun = _Begun(LOAD_EP, amount_fen, terminal_number, random)
        session_key = crypto.load_session_key(self._keys.load, random, self.state.online_number)
        return LoadInit(
            self.state.balance_fen,
            self.state.online_number,
            KEY_VERSION,
            ALGORITHM_DES,
            random,
            crypto.load_mac1(session_key, self.state.balance_fen, amount_fen, LOAD_EP, terminal_number),
        ).encode()

    def _credit_for_load(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0x00, 0x00):
            raise Refusal(0x6A86)
        if len(command.data) != 11:
            raise Refusal(0x6700)
        begun = self._taken(LOAD_EP)
        date, time, mac2 = command.data[:4], command.data[4:7], command.data[7:]
        number = self.state.online_number
        session_key = crypto.load_session_key(self._keys.load, begun.random, number)
        expected = crypto.load_mac2(session_key, begun.amount_fen, LOAD_EP, begun.terminal_number, date, time)
        if not hmac.compare_digest(mac2, expected):
            raise Refusal(0x9302)
        balance_fen = self.state.balance_fen + begun.amount_fen
        tac = crypto.load_tac(
            self._keys.tac, balance_fen, number, begun.amount_fen, LOAD_EP, begun.terminal_number, date, time
        )
        self._commit(
            replace(
                self.state,
                balance_fen=balance_fen,
                online_number=number + 1,
                log=self._logged(number, begun, date, time),
                proof=Proof(LOAD_EP, number + 1, b"", tac),
            )
        )
        return tac

    def _get_transaction_prove(self, command: Command) -> bytes:
        if command.p1 != 0x00:
            raise Refusal(0x6A86)
        if len(command.data) != 2:
            raise Refusal(0x6700)
        proof = self.state.proof
        wanted = (command.p2, int.from_bytes(command.data))
        if proof is None or (proof.transaction_type, proof.number) != wanted:
            raise Refusal(0x9406)
        return proof.mac2 + proof.tac

    def _taken(self, transaction_type: int) -> _Begun:
        """The transaction the command before this one began. Whatever comes of it, it is over."""
        begun = self._pending
        if begun is None or begun.transaction_type != transaction_type:
            raise Refusal(0x6985)
        return begun

    def _logged(self, number: int, begun: _Begun, date: bytes, time: bytes) -> tuple[bytes, ...]:
        # Date and time are the terminal's; they are written as they came, as a card does.
        record = (
            number.to_bytes(2)
            + _NO_OVERDRAFT.to_bytes(3)
            + begun.amount_fen.to_bytes(4)
            + bytes((begun.transaction_type,))
            + begun.terminal_number
            + date
            + time
        )
        return (record, *self.state.log)[:LOG_RECORDS]

    # -- the issuer's commands

    def _application_block(self, command: Command) -> bytes:
        if command.p1 != 0x00 or command.p2 not in (0x00, 0x01):
            raise Refusal(0x6A86)
        self._check_line_protection(command)
        self._commit(
            replace(self.state, block=Block.PERMANENT if command.p2 else Block.TEMPORARY, mac_failures=0)
        )
        return b""

    def _application_unblock(self, command: Command) -> bytes:
        if self.state.block is not Block.TEMPORARY:
            raise Refusal(0x6985)
        try:
            self._check_line_protection(command)
        except Refusal as refusal:
            if refusal.sw == 0x6988:
                failures = self.state.mac_failures + 1
                for_ever = failures >= _MAC_FAILURES_UNTIL_PERMANENT
                block = Block.PERMANENT if for_ever else Block.TEMPORARY
                self._commit(replace(self.state, mac_failures=failures, block=block))
                if for_ever:
                    raise Refusal(0x9303) from refusal
            raise
        self._commit(replace(self.state, block=Block.NONE, mac_failures=0))
        return b""

    def _card_block(self, command: Command) -> bytes:
        self._check_line_protection(command)
        self._commit(replace(self.state, card_blocked=True))
        return b""

    def _update_binary(self, command: Command) -> bytes:
        if command.p1 != 0x80 | SFI_PUBLIC_APPLICATION:
            raise Refusal(0x6982)
        data = self._check_line_protection(command)
        end = command.p2 + len(data)
        if end > PublicApplicationData.size():
            raise Refusal(0x6B00)
        public = self.state.public[: command.p2] + data + self.state.public[end:]
        self._commit(replace(self.state, public=public))
        return b""

    def _check_line_protection(self, command: Command) -> bytes:
        """The command's data without its MAC. Needs the challenge that the command before it fetched."""
        if len(command.data) < 4:
            raise Refusal(0x6987)
        if self._challenge is None or len(self._challenge) != 4:
            raise Refusal(0x6984)
        data, mac = command.data[:-4], command.data[-4:]
        header = bytes((command.cla, command.ins, command.p1, command.p2, len(command.data)))
        expected = crypto.secure_messaging_mac(self._keys.maintenance, self._challenge, header, data)
        if not hmac.compare_digest(mac, expected):
            raise Refusal(0x6988)
        return data

    def _commit(self, state: PurseState) -> None:
        self._store.save(state.to_contents())
        self.state = state
