"""A debit, credit or electronic cash application of a simulated card (EMV Book 3; cards.md, D).

The transaction's order is the standard's: SELECT, GET PROCESSING OPTIONS, then reading, VERIFY and INTERNAL
AUTHENTICATE, first GENERATE AC, and after an ARQC also EXTERNAL AUTHENTICATE, scripts and the second one. Every
change is in the store before the answer leaves the card, all of a command's changes at once.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cardreader.apdu import Command
from cardreader.emv import dol
from cardreader.emv.bits import Ac, Aip, Cvr, Tvr
from cardreader.emv.cryptogram import issuer_response
from cardreader.sim.cos import Handler, Random, Refusal
from cardreader.sim.emv import answers, risk
from cardreader.sim.emv.issuer_commands import Effect, carry_out
from cardreader.sim.emv.issuer_keys import CardKeys
from cardreader.sim.emv.keys import RsaKey
from cardreader.sim.emv.personalisation import Personalised
from cardreader.sim.emv.profile import EmvProfile
from cardreader.sim.emv.risk import Ada, Facts, Limits, Online
from cardreader.sim.emv.signing import signed_dynamic_data
from cardreader.sim.emv.state import ApplicationState
from cardreader.sim.emv.values import bcd_fen, fen_bcd, pin_of, sized
from cardreader.tlv import encode

EC_BALANCE, EC_BALANCE_LIMIT, EC_SINGLE_LIMIT, EC_RESET_THRESHOLD = 0x9F79, 0x9F77, 0x9F78, 0x9F6D
_MAX_ATC = 0xFFFF
_MOST_SCRIPTS_COUNTED = 15

Commit = Callable[[ApplicationState, bool], None]
"""Makes a state safe; True blocks the whole card with it."""


@dataclass(frozen=True, slots=True)
class _First:
    """What the first GENERATE AC answered."""

    cvr: Cvr
    cryptogram: bytes
    asked: Mapping[int, bytes]
    asked_raw: bytes
    facts: Facts


@dataclass(slots=True)
class _Session:
    """A transaction: from GET PROCESSING OPTIONS until power, SELECT, or the last GENERATE AC ends it."""

    atc: bytes
    pdol_raw: bytes
    electronic_cash: bool
    carried: Cvr
    pin_seen: bool = False
    pin_failed: bool = False
    dda_performed: bool = False
    first: _First | None = None
    authenticated: bool | None = None
    script_failed: bool = False
    done: bool = False


class PaymentApplication:
    """One application of a card.

    Args:
        card: the card's profile.
        contents: what its issuer has put into it.
        state: what it remembers.
        commit: called with the new state before an answer tells of it.
        random: source of challenges and ICC dynamic numbers.
    """

    fid = b""

    def __init__(
        self,
        card: EmvProfile,
        contents: Personalised,
        state: ApplicationState,
        commit: Commit,
        random: Random,
    ) -> None:
        self.name = contents.profile.aid
        self.state = state
        self._card = card
        self._contents = contents
        self._commit_state = commit
        self._random = random
        self._session: _Session | None = None
        self._challenge: bytes | None = None
        self._fresh_challenge: bytes | None = None
        self._commands: dict[tuple[int, int], Handler] = {
            (0x80, 0xA8): self._get_processing_options,
            (0x80, 0xCA): self._get_data,
            (0x80, 0xAE): self._generate_ac,
            (0x00, 0x20): self._verify,
            (0x00, 0x82): self._external_authenticate,
            (0x00, 0x84): self._get_challenge,
            (0x00, 0x88): self._internal_authenticate,
            (0x04, 0xDA): self._script,
            (0x04, 0xDC): self._script,
            (0x84, 0x16): self._script,
            (0x84, 0x18): self._script,
            (0x84, 0x1E): self._script,
            (0x84, 0x24): self._script,
        }

    # -- what every application of the card does

    def select(self) -> bytes:
        self.forget()
        if self.state.blocked:
            raise Refusal(0x6283, self._contents.fci)
        return self._contents.fci

    def forget(self) -> None:
        self._session = None
        self._challenge = self._fresh_challenge = None

    def before(self, command: Command) -> None:
        # A challenge is good for the very next command only.
        self._challenge, self._fresh_challenge = self._fresh_challenge, None

    def commands(self) -> Mapping[tuple[int, int], Handler]:
        return self._commands

    def binary(self, sfi: int) -> bytes:
        raise Refusal(0x6981)

    def record(self, sfi: int, number: int) -> bytes:
        for log_tag, kept, log in (
            (0x9F4D, self._contents.profile.log_records, self.state.log),
            (0xDF4D, self._contents.profile.load_log_records, self.state.load_log),
        ):
            entry = self._contents.objects.get(log_tag)
            if entry and entry[0] == sfi:
                if not 1 <= number <= min(kept, len(log)):
                    raise Refusal(0x6A83)
                return log[number - 1]
        if sfi not in self._contents.profile.files:
            raise Refusal(0x6A82)
        record = self.state.records.get((sfi, number), self._contents.records.get((sfi, number)))
        if record is None:
            raise Refusal(0x6A83)
        return record

    def challenge(self, random: bytes) -> None:
        self._fresh_challenge = random

    def _get_challenge(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0, 0):
            raise Refusal(0x6A86)
        if command.data or command.le not in (8, 256):
            raise Refusal(0x6700)
        random = self._random(8)
        self.challenge(random)
        return random

    # -- data objects

    def _object(self, tag: int) -> bytes | None:
        """A data object as it stands now."""
        if tag in self.state.objects:
            return self.state.objects[tag]
        return self._contents.objects.get(tag)

    def _number(self, tag: int) -> int | None:
        """A counter or limit of binary format, or None when the card has none."""
        value = self._object(tag)
        return None if value is None else int.from_bytes(value)

    def _fen(self, tag: int) -> int | None:
        """An amount of format n 12."""
        value = self._object(tag)
        return None if value is None else bcd_fen(value)

    def _get_data(self, command: Command) -> bytes:
        if command.data:
            raise Refusal(0x6700)
        tag = command.p1 << 8 | command.p2
        current = {
            0x9F36: self.state.atc.to_bytes(2),
            0x9F13: self.state.last_online_atc.to_bytes(2),
            0x9F17: bytes((self.state.pin_tries_left,)),
        }
        value = current.get(tag, self._object(tag))
        if tag not in self._contents.profile.readable or value is None:
            raise Refusal(0x6A88)
        return encode(tag, value)

    # -- the beginning

    def _get_processing_options(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0, 0):
            raise Refusal(0x6A86)
        if self._session is not None:
            raise Refusal(0x6985)
        raw = command.data
        if len(raw) < 2 or raw[0] != 0x83:
            raise Refusal(0x6A80)
        # The template's length has two bytes from 128 on; both forms are read.
        head = 3 if raw[1] == 0x81 else 2
        values = raw[head:]
        if len(values) != raw[head - 1] or len(values) != dol.length(self._contents.pdol):
            raise Refusal(0x6700)
        if self.state.atc == _MAX_ATC:
            raise Refusal(0x6985)
        asked = dol.split(self._contents.pdol, values)
        electronic_cash = self._is_electronic_cash(asked)
        self._commit(replace(self.state, atc=self.state.atc + 1))
        self._session = _Session(self.state.atc.to_bytes(2), values, electronic_cash, self.state.carried)
        profile = self._contents.profile
        afl = profile.electronic_cash_afl if electronic_cash else profile.afl
        aip = self._contents.objects.get(0x82, bytes(2))
        if self._card.behaviour.format_2:
            return encode(0x77, encode(0x82, aip) + encode(0x94, afl))
        return encode(0x80, aip + afl)

    def _is_electronic_cash(self, asked: Mapping[int, bytes]) -> bool:
        """Whether this transaction is one of electronic cash on contact (cards.md, D2)."""
        balance_fen, single_fen = self._fen(EC_BALANCE), self._fen(EC_SINGLE_LIMIT)
        amount_fen = bcd_fen(asked.get(0x9F02, b""))
        return (
            bool(self._contents.profile.electronic_cash_afl)
            and balance_fen is not None
            and not self.state.blocked
            and asked.get(0x9F7A) == b"\x01"
            and asked.get(0x5F2A) == self._object(0x9F51)
            and amount_fen <= balance_fen
            and (single_fen is None or amount_fen <= single_fen)
        )

    def _begun(self) -> _Session:
        """The transaction, before its first GENERATE AC."""
        if self._session is None or self._session.first is not None:
            raise Refusal(0x6985)
        return self._session

    # -- cardholder and card authentication

    def _verify(self, command: Command) -> bytes:
        session = self._begun()
        if command.p1 != 0 or command.p2 not in (0x80, 0x88):
            raise Refusal(0x6A86)
        if command.p2 == 0x88:
            block = self._deciphered(command.data)
        else:
            if len(command.data) != 8:
                raise Refusal(0x6700)
            block = command.data
        if self.state.pin_tries_left == 0:
            session.pin_seen, session.pin_failed = True, True
            raise Refusal(0x6983)
        pin = pin_of(block)
        if pin is None:
            raise Refusal(0x6A80)
        session.pin_seen = True
        session.pin_failed = not hmac.compare_digest(pin, self.state.pin)
        if session.pin_failed:
            # The try is counted before the card tells, so that pulling the card does not give a free one.
            self._commit(replace(self.state, pin_tries_left=self.state.pin_tries_left - 1))
            raise Refusal(0x63C0 | self.state.pin_tries_left)
        if self.state.pin_tries_left != self._card.pin_tries:
            self._commit(replace(self.state, pin_tries_left=self._card.pin_tries))
        return b""

    def _deciphered(self, data: bytes) -> bytes:
        """The PIN block of an enciphered VERIFY (EMV Book 2, 7.2): 7F, block, challenge, random padding."""
        challenge = self._challenge
        if challenge is None:
            raise Refusal(0x6984)
        key: RsaKey = self._card.pin_key if 0x9F2D in self._contents.objects else self._card.icc_key
        if len(data) != len(key.modulus):
            raise Refusal(0x6700)
        try:
            plain = key.recover(data)
        except ValueError:  # a number above the modulus: nobody enciphered that
            raise Refusal(0x6984) from None
        if plain[0] != 0x7F or not hmac.compare_digest(plain[9:17], challenge):
            raise Refusal(0x6984)
        return plain[1:9]

    def _internal_authenticate(self, command: Command) -> bytes:
        session = self._begun()
        if (command.p1, command.p2) != (0, 0):
            raise Refusal(0x6A86)
        if 0x9F46 not in self._contents.objects:
            raise Refusal(0x6D00)
        if len(command.data) != dol.length(self._contents.ddol):
            raise Refusal(0x6700)
        number = self._random(answers.ICC_DYNAMIC_NUMBER_SIZE)
        session.dda_performed = True
        signed = signed_dynamic_data(self._card.icc_key, bytes((len(number),)) + number, command.data)
        if self._card.behaviour.format_2:
            return encode(0x77, encode(0x9F4B, signed))
        return encode(0x80, signed)

    # -- cryptograms

    def _generate_ac(self, command: Command) -> bytes:
        session = self._session
        if session is None or session.done:
            raise Refusal(0x6985)
        if command.p2 or command.p1 & 0x2F or command.p1 & 0xC0 == 0xC0:
            raise Refusal(0x6A86)
        requested, combined = Ac(command.p1 & 0xC0), bool(command.p1 & 0x10)
        wanted = self._contents.cdol1 if session.first is None else self._contents.cdol2
        if len(command.data) != dol.length(wanted):
            raise Refusal(0x6700)
        if combined and 0x9F46 not in self._contents.objects:
            raise Refusal(0x6985)
        asked = dol.split(wanted, command.data)
        if session.first is None:
            return self._first(session, requested, combined, asked, command.data)
        if requested is Ac.ARQC:
            raise Refusal(0x6985)
        return self._second(session, session.first, requested, combined, asked, command.data)

    def _first(
        self, session: _Session, requested: Ac, combined: bool, asked: Mapping[int, bytes], raw: bytes
    ) -> bytes:
        facts = self._facts(session, asked, combined and requested is not Ac.AAC)
        answer, cvr, blocks = risk.first(requested, facts)
        state = replace(self.state, blocked=self.state.blocked or blocks)
        if answer is Ac.TC:
            state = self._approved_offline(state, session, facts, asked)
        elif answer is Ac.ARQC:
            state = replace(state, carried=state.carried | Cvr.LAST_ONLINE_NOT_COMPLETED)
        else:
            results = Tvr(int.from_bytes(sized(asked.get(0x95, b""), 5)))
            state = replace(state, carried=risk.carried_declined(state.carried, results))
        if state != self.state:
            self._commit(state)
        signed = session.pdol_raw + raw if combined and answer is not Ac.AAC else None
        cryptogram, data = self._answer(session, answer, cvr, asked, signed)
        session.first = _First(cvr, cryptogram, asked, raw, facts)
        session.done = answer is not Ac.ARQC
        return data

    def _second(
        self,
        session: _Session,
        first: _First,
        requested: Ac,
        combined: bool,
        asked: Mapping[int, bytes],
        raw: bytes,
    ) -> bytes:
        asked = {**first.asked, **asked}
        online = Online(
            reached=asked.get(0x8A) not in (risk.Y3, risk.Z3),
            authenticated=session.authenticated,
            supported=bool(self._aip() & Aip.ISSUER_AUTHENTICATION),
            mandatory=bool((self._number(0x9F56) or 0) & 0x80),
        )
        # A script before this command may have blocked the application, or changed the balance.
        facts = replace(first.facts, blocked=self.state.blocked, balance_fen=self._fen(EC_BALANCE) or 0)
        failed_script = Cvr.SCRIPT_FAILED if session.script_failed else Cvr(0)
        answer, cvr = risk.second(requested, first.cvr | failed_script, facts, online)
        state = self.state
        if online.reached:
            state = replace(state, carried=risk.carried_online(cvr, online) | failed_script)
            if risk.issuer_accepted(online):
                state = replace(
                    state,
                    last_online_atc=int.from_bytes(session.atc),
                    offline_count=0,
                    offline_total_fen=0,
                )
            if answer is Ac.TC:
                state = replace(state, log=self._logged(session, asked))
        elif answer is Ac.TC:
            state = self._approved_offline(state, session, facts, asked)
        if state != self.state:
            self._commit(state)
        session.done = True
        signed = None
        if combined and answer is Ac.TC:
            signed = session.pdol_raw + first.asked_raw + raw
        return self._answer(session, answer, cvr, asked, signed)[1]

    def _aip(self) -> Aip:
        return Aip(int.from_bytes(sized(self._contents.objects.get(0x82, b""), 2)))

    def _facts(self, session: _Session, asked: Mapping[int, bytes], combined: bool) -> Facts:
        counts = session.electronic_cash or asked.get(0x5F2A) == self._object(0x9F51)
        return Facts(
            ada=Ada(int.from_bytes((self._object(0x9F52) or b"")[:2])),
            limits=Limits(self._number(0x9F58), self._number(0x9F59), self._fen(0x9F54), self._fen(0x9F5C)),
            blocked=self.state.blocked,
            new_card=self.state.last_online_atc == 0,
            offline_count=self.state.offline_count,
            offline_total_fen=self.state.offline_total_fen,
            amount_fen=bcd_fen(asked.get(0x9F02, b"")) if counts else 0,
            carried=session.carried,
            pin_tries_left=self.state.pin_tries_left,
            pin_seen=session.pin_seen,
            pin_failed=session.pin_failed,
            dda_performed=session.dda_performed or combined,
            electronic_cash=session.electronic_cash,
            balance_fen=self._fen(EC_BALANCE) or 0,
            reset_threshold_fen=self._fen(EC_RESET_THRESHOLD) or 0,
        )

    def _approved_offline(
        self, state: ApplicationState, session: _Session, facts: Facts, asked: Mapping[int, bytes]
    ) -> ApplicationState:
        """Money and log in one state: whatever happens to the power, both or neither."""
        state = replace(state, log=self._logged(session, asked))
        if session.electronic_cash:
            balance = fen_bcd(facts.balance_fen - facts.amount_fen)
            return replace(state, objects={**state.objects, EC_BALANCE: balance})
        return replace(
            state,
            offline_count=state.offline_count + 1,
            offline_total_fen=state.offline_total_fen + facts.amount_fen,
        )

    def _logged(self, session: _Session, asked: Mapping[int, bytes]) -> tuple[bytes, ...]:
        values = {**asked, 0x9F36: session.atc}
        record = dol.fill(self._contents.log_format, values)
        kept = self._contents.profile.log_records
        return (record, *self.state.log)[:kept] if record else self.state.log

    def _answer(
        self,
        session: _Session,
        answer: Ac,
        cvr: Cvr,
        asked: Mapping[int, bytes],
        signed: bytes | None,
    ) -> tuple[bytes, bytes]:
        """The cryptogram, and the answer to GENERATE AC; ``signed`` is what a combined signature covers besides it."""
        keys = self._keys(session)
        cryptogram = answers.cryptogram(keys, asked, self._aip(), session.atc, cvr)
        told = answers.Told(
            answer,
            session.atc,
            cryptogram,
            answers.issuer_application_data(keys, session.atc, cvr, self._object(EC_BALANCE)),
        )
        if signed is None:
            return cryptogram, told.encode(self._card.behaviour.format_2)
        number = self._random(answers.ICC_DYNAMIC_NUMBER_SIZE)
        unpredictable = sized(asked.get(0x9F37, b""), 4)
        return cryptogram, told.signed(self._card.icc_key, number, unpredictable, signed)

    # -- the issuer

    def _external_authenticate(self, command: Command) -> bytes:
        session = self._session
        if session is None or session.first is None or session.done or session.authenticated is not None:
            raise Refusal(0x6985)
        if (command.p1, command.p2) != (0, 0):
            raise Refusal(0x6A86)
        if len(command.data) != 10:
            raise Refusal(0x6700)
        arpc, response_code = command.data[:8], command.data[8:]
        expected = issuer_response(self._keys(session).ac, session.first.cryptogram, response_code)
        session.authenticated = hmac.compare_digest(arpc, expected)
        if not session.authenticated:
            raise Refusal(0x6300)
        return b""

    def _script(self, command: Command) -> bytes:
        """An issuer script command: its MAC is checked, what it does is done, and both are remembered at once."""
        session = self._session
        if session is None or session.first is None:
            raise Refusal(0x6985)
        before = self.state
        if session.done:
            before = replace(before, carried=_one_more_script(before.carried))
        try:
            effect = carry_out(
                command,
                before,
                self._contents,
                self._card,
                self._keys(session),
                session.atc,
                session.first.cryptogram,
                session.first.asked,
            )
        except Refusal:
            session.script_failed = True
            self._commit(replace(before, carried=before.carried | Cvr.SCRIPT_FAILED))
            raise
        self._apply(effect)
        return b""

    def _apply(self, effect: Effect) -> None:
        self._commit_state(effect.state, effect.blocks_card)
        self.state = effect.state

    def _keys(self, session: _Session) -> CardKeys:
        return self._card.keys.session(session.atc)

    def _commit(self, state: ApplicationState) -> None:
        self._commit_state(state, False)
        self.state = state


def _one_more_script(carried: Cvr) -> Cvr:
    count = (carried & Cvr.SCRIPT_COUNT) >> 4
    return (carried & ~Cvr.SCRIPT_COUNT) | Cvr(min(count + 1, _MOST_SCRIPTS_COUNTED) << 4)
