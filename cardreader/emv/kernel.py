"""A debit or credit transaction, from the application's selection to the second GENERATE AC (EMV Book 3, 8 to 10).

The order of calls is the order of the transaction::

    card = DebitCredit(connection, settings)
    prepared = card.prepare(transaction)           # what the holder has to do
    first = card.authorise(PinEntered())           # Prepared again, Declined, ApprovedOffline or Online
    final = card.complete(IssuerResponse(b"00"))   # after Online: Approved or Declined
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from enum import Enum, auto

from cardreader import status
from cardreader.apdu import Channel, Command, Trace
from cardreader.emv import actions, cvm, data, dol, records, restrictions, risk, scripts
from cardreader.emv.authentication import (
    CardFile,
    Method,
    check_dynamic,
    check_static,
    choose,
    icc_key,
    issuer_key,
    pin_key,
)
from cardreader.emv.bits import Ac, Aip, Tsi, Tvr
from cardreader.emv.certificates import CertificateInvalid, PublicKey, Reason
from cardreader.emv.cvm import Circumstances, Cvm, CvmList, Step
from cardreader.emv.data import ElectronicCash, LoadRecord, LogRecord
from cardreader.emv.generate_ac import Answer, generate_ac
from cardreader.emv.outcome import (
    Approved,
    ApprovedOffline,
    ClearPin,
    Declined,
    Online,
    PaymentCard,
    PinBypassed,
    PinEntered,
    Prepared,
    Verification,
)
from cardreader.emv.scripts import IssuerResponse, UnableToGoOnline
from cardreader.emv.selection import Candidate, Fci, candidates, first_selectable
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.errors import StatusError
from cardreader.reader import Connection
from cardreader.secret import Pin, SecretBytes, SecretText

_OFFLINE_DECLINED, _UNABLE_APPROVED, _UNABLE_DECLINED = b"Z1", b"Y3", b"Z3"
"""Authorisation response codes that the terminal gives itself (EMV Book 4, A6)."""
_TC_HASH = 0x98
_EC_CODE = 0x9F74
_NO_CVM_LIST = 8
_AUTHENTICATION_DATA = range(8, 17)


class _Stage(Enum):
    SELECTED = auto()
    PREPARED = auto()
    ONLINE = auto()
    ENDED = auto()


def _first(found: Sequence[Candidate]) -> Sequence[Candidate]:
    return found


class DebitCredit:
    """A debit, credit or electronic cash application, selected.

    Args:
        connection: a powered card.
        settings: the terminal.
        trace: told of every exchange.
        order: puts the applications that both sides support into the holder's order; the first that can be
            selected is taken.
        selected: an application that is selected already, and its FCI; no other is looked for then.
        random: gives that many random bytes.

    Raises:
        ApplicationNotFound: there is no application that both sides support.
        ApplicationBlocked: the card or its only such application is blocked.
        ProtocolError: the card is garbled.
    """

    def __init__(
        self,
        connection: Connection,
        settings: TerminalSettings,
        trace: Trace | None = None,
        *,
        order: Callable[[Sequence[Candidate]], Sequence[Candidate]] = _first,
        selected: tuple[Candidate, Fci] | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._channel = Channel(connection, trace)
        self._settings = settings
        self._random = random
        if selected is None:
            found = order(candidates(self._channel, settings.interface, settings.applications))
            selected = first_selectable(self._channel, found)
        self.candidate, self.fci = selected
        self._stage = _Stage.SELECTED
        self.tvr = Tvr(0)
        """Terminal verification results so far."""
        self.tsi = Tsi(0)
        """Transaction status information so far."""
        self.authentication_failure: CertificateInvalid | None = None
        """Why offline data authentication failed, or None."""
        self.objects: dict[int, bytes] = {}
        """What the card has told in this transaction, by tag."""

    # -- outside of a transaction

    def get_data(self, tag: int) -> bytes | None:
        """GET DATA, e.g. 9F36, 9F13, 9F17: the value, or None when the card does not tell it. Raises ProtocolError."""
        return data.get_data(self._channel, tag)

    def electronic_cash(self) -> ElectronicCash:
        """Balance and limits of electronic cash. Raises ProtocolError."""
        return data.electronic_cash(self._channel)

    def transaction_log(self) -> list[LogRecord]:
        """The last transactions, newest first. Raises ProtocolError."""
        return data.transaction_log(self._channel, self.fci.objects.get(0x9F4D))

    def load_log(self) -> list[LoadRecord]:
        """The last loads of electronic cash, newest first. Raises ProtocolError."""
        return data.load_log(self._channel, self.fci.objects.get(0xDF4D))

    # -- a transaction

    def prepare(self, transaction: Transaction) -> Prepared:
        """Begins: reads the card, checks restrictions and the card's authenticity, and looks who has to prove what.

        Raises:
            StatusError: the card does not want this transaction (6985), or a record is not there.
            ProtocolError: the card is garbled.
        """
        self._take(_Stage.SELECTED)
        settings, self._transaction = self._settings, transaction
        self._values = {
            **settings.values(self.candidate.application),
            **transaction.values(),
            0x84: self.fci.name,
            0x9F37: self._random(4),
            0x9F7A: b"\x01" if self._electronic_cash_wanted() else b"\x00",
        }
        self._note()
        pdol = dol.parse(self.fci.objects.get(0x9F38, b""))
        self._pdol_values = records.pdol_values(pdol, self._values)
        options = records.get_processing_options(self._channel, self._pdol_values)
        found = records.read(self._channel, options.afl)
        self._aip = options.aip
        self.objects = {**self.fci.objects, **found.objects, 0x82: int(options.aip).to_bytes(2)}
        self._is_electronic_cash = self._electronic_cash_wanted() and _EC_CODE in found.objects
        self._balance_fen, self._must_go_online = self._electronic_cash_state()
        self._card_file = CardFile(self.fci.name, self.objects, int(options.aip).to_bytes(2), found.signed)
        self._authenticate()
        self.tvr |= restrictions.check(
            self.objects,
            self.candidate.application.version,
            settings.country,
            transaction.type,
            transaction.now.date(),
            cash_dispenser=settings.cash_dispenser,
        )
        self._step = self._begin_verification()
        self._stage = _Stage.PREPARED
        return self._prepared()

    def authorise(self, pin: Verification = None) -> Prepared | Declined | ApprovedOffline | Online:
        """The holder's turn is over: verifies what there is to verify, and asks for the first cryptogram.

        Args:
            pin: `ClearPin` for an offline PIN, `PinEntered` for an online PIN or a signature, `PinBypassed` when there
                is none; None when nothing was wanted.

        Returns:
            `Prepared` when it is the holder's turn again: the offline PIN was wrong, or another rule counts now.

        Raises:
            ValueError: ``pin`` is not what was wanted.
            StatusError, ProtocolError: the card does not go on.
        """
        self._take(_Stage.PREPARED)
        tries_left = self._verify(pin)
        if self._step.rule is not None:
            if self._step.rule.cvm is not Cvm.NONE or tries_left is not None:
                self._stage = _Stage.PREPARED
                return self._prepared(tries_left)
            self._step = cvm.fulfilled(self._step)
        self._end_verification()
        self._manage_risk()
        requested = actions.first(self.tvr, self.objects, self._settings)
        if requested is Ac.TC and self._must_go_online and not self._settings.offline_only:
            requested = Ac.ARQC
        return self._first_cryptogram(requested)

    def complete(self, response: IssuerResponse | UnableToGoOnline) -> Approved | Declined:
        """The issuer has answered, or cannot be reached: tells the card and asks for the second cryptogram.

        Raises:
            StatusError, ProtocolError: the card does not go on; what an issuer has approved is to be reversed.
        """
        self._take(_Stage.ONLINE)
        if isinstance(response, UnableToGoOnline):
            requested = actions.unable_to_go_online(self.tvr, self.objects, self._settings)
            self._values[0x8A] = _UNABLE_APPROVED if requested is Ac.TC else _UNABLE_DECLINED
            return self._last_cryptogram(requested, (), b"", issuer_approved=False)
        self._values[0x8A] = response.arc
        approved = response.arc in self._settings.approved_codes
        if response.authentication_data:
            self._values[0x91] = response.authentication_data
            self._authenticate_issuer(response.authentication_data)
        results = self._run(response.scripts_71, Tvr.SCRIPT_FAILED_BEFORE)
        requested = Ac.TC if approved else Ac.AAC
        return self._last_cryptogram(requested, response.scripts_72, results, issuer_approved=approved)

    # -- its parts

    def _take(self, stage: _Stage) -> None:
        """Each step is taken once: one that fails on its way ends the transaction."""
        if self._stage is not stage:
            raise RuntimeError(f"the transaction is {self._stage.name.lower()}, not {stage.name.lower()}")
        self._stage = _Stage.ENDED

    def _electronic_cash_wanted(self) -> bool:
        transaction = self._transaction
        return (
            transaction.type is TransactionType.PURCHASE
            and not transaction.other_fen
            and transaction.amount_fen < self._settings.electronic_cash_limit_fen
        )

    def _electronic_cash_state(self) -> tuple[int | None, bool]:
        """Balance, and whether too little would remain to stay offline."""
        if not self._is_electronic_cash:
            return None, False
        balance_fen = data.amount(self._channel, 0x9F79)
        threshold_fen = (
            data.amount(self._channel, 0x9F6D) if self._settings.electronic_cash_threshold else None
        )
        rest_fen = (balance_fen or 0) - self._transaction.amount_fen
        return balance_fen, rest_fen < (threshold_fen or 0)

    def _authenticate(self) -> None:
        """Offline data authentication as far as it goes before the first GENERATE AC (EMV Book 3, 10.3)."""
        self._method = choose(self._aip, self._settings.capabilities)
        self._icc_key: PublicKey | None = None
        if self._method is Method.NONE:
            self.tvr |= self._method.value
            return
        self.tvr |= Tvr.SDA_SELECTED if self._method is Method.SDA else Tvr(0)
        self.tsi |= Tsi.OFFLINE_DATA_AUTHENTICATION
        today, file = self._transaction.now.date(), self._card_file
        try:
            issuer = issuer_key(file, self._settings.ca_keys, today)
            if self._method is Method.SDA:
                self.objects[0x9F45] = check_static(file, issuer)
                return
            self._icc_key = icc_key(file, issuer, today)
            if self._method is Method.DDA:
                self.objects[0x9F4C] = check_dynamic(
                    self._channel, file, self._icc_key, self._known(), self._settings.default_ddol
                )
        except CertificateInvalid as error:
            self._authentication_failed(error)

    def _authentication_failed(self, error: CertificateInvalid) -> None:
        self.authentication_failure = error
        self.tvr |= self._method.value
        if error.reason is Reason.MISSING:
            self.tvr |= Tvr.ICC_DATA_MISSING

    def _begin_verification(self) -> Step:
        value = self.objects.get(0x8E, b"")
        self._cvms = CvmList(0, 0, ())
        self._circumstances = Circumstances(
            self._settings,
            self._transaction.type,
            self._transaction.amount_fen,
            self.objects.get(0x9F42) == self._settings.currency,
        )
        if Aip.CARDHOLDER_VERIFICATION not in self._aip:
            return Step(None, 0, Tvr(0))
        if len(value) <= _NO_CVM_LIST:
            return Step(None, 0, Tvr.ICC_DATA_MISSING)
        self._cvms = CvmList.parse(value)
        self.tsi |= Tsi.CARDHOLDER_VERIFICATION
        return cvm.begin(self._cvms, self._circumstances)

    def _prepared(self, tries_left: int | None = None) -> Prepared:
        objects = self.objects
        sequence_number = objects.get(0x5F34)
        card = PaymentCard(
            SecretText(self._card_file.pan),
            SecretBytes(objects.get(0x57, b"")),
            None if sequence_number is None else sequence_number.hex(),
            objects[0x5F24].hex(),
        )
        rule = self._step.rule
        wanted = Cvm.NONE if rule is None else rule.cvm
        offline = actions.first(self.tvr, self.objects, self._settings) is Ac.TC and not self._must_go_online
        return Prepared(
            wanted,
            card,
            tries_left,
            self._is_electronic_cash,
            self._balance_fen,
            self._is_electronic_cash and not offline,
        )

    def _verify(self, pin: Verification) -> int | None:
        """Takes the holder's part of the rule that waits; the tries left when the card found the PIN wrong."""
        rule = self._step.rule
        if rule is None or rule.cvm is Cvm.NONE:
            if pin is not None:
                self._stage = _Stage.PREPARED
                raise ValueError("nothing was wanted of the holder")
            return None
        if isinstance(pin, PinBypassed):
            self._refuse(Tvr.PIN_NOT_ENTERED if rule.cvm is not Cvm.SIGNATURE else Tvr(0))
        elif rule.cvm in (Cvm.ONLINE_PIN, Cvm.SIGNATURE) and isinstance(pin, PinEntered):
            online = rule.cvm is Cvm.ONLINE_PIN
            self._step = cvm.fulfilled(self._step, Tvr.ONLINE_PIN_ENTERED if online else Tvr(0))
        elif rule.cvm not in (Cvm.ONLINE_PIN, Cvm.SIGNATURE) and isinstance(pin, ClearPin):
            return self._verify_offline(pin.pin, enciphered=rule.enciphered)
        else:
            self._stage = _Stage.PREPARED
            raise ValueError(f"{rule.cvm} was wanted")
        return None

    def _verify_offline(self, pin: Pin, *, enciphered: bool) -> int | None:
        key = None
        try:
            if enciphered:
                key = pin_key(self._card_file, self._settings.ca_keys, self._transaction.now.date())
            cvm.verify(self._channel, pin, key, self._random)
        except CertificateInvalid as error:
            self.authentication_failure = self.authentication_failure or error
            self._refuse(Tvr(0))
        except StatusError as error:
            if error.sw & 0xFFF0 == 0x63C0 and error.sw != 0x63C0:
                return error.sw & 0x0F
            self._refuse(Tvr.PIN_TRY_LIMIT_EXCEEDED if cvm.tries_used_up(error) else Tvr(0))
        else:
            self._step = cvm.fulfilled(self._step)
        return None

    def _refuse(self, tvr: Tvr) -> None:
        self._step = cvm.refused(self._cvms, self._circumstances, self._step, tvr)

    def _end_verification(self) -> None:
        self.tvr |= self._step.tvr
        self._values[0x9F34] = self._step.results

    def _manage_risk(self) -> None:
        # Electronic cash has its own limit (9F7B) instead of the floor limit.
        if Aip.TERMINAL_RISK_MANAGEMENT not in self._aip or self._is_electronic_cash:
            return
        self.tvr |= risk.check(
            self._transaction.amount_fen,
            self._settings,
            self.objects,
            self.get_data,
            lambda: self._random(1)[0] * 99 // 256 + 1,
        )
        self.tsi |= Tsi.TERMINAL_RISK_MANAGEMENT

    def _first_cryptogram(self, requested: Ac) -> Declined | ApprovedOffline | Online:
        self._cdol1_values = self._filled(0x8C)
        answer, vouched = self._cryptogram(
            requested, self._cdol1_values, self._pdol_values + self._cdol1_values
        )
        self.tsi |= Tsi.CARD_RISK_MANAGEMENT
        if answer.kind is Ac.ARQC and vouched:
            self._stage = _Stage.ONLINE
            return Online(self._data())
        if answer.kind is Ac.ARQC:
            # EMV Book 2, 6.6.2: nobody is asked about a card that is not genuine; it is told that it declines.
            self._values[0x8A] = _OFFLINE_DECLINED
            self._second_cryptogram(Ac.AAC)
        elif answer.kind is Ac.TC and vouched:
            return ApprovedOffline(self._data())
        return Declined(self._data())

    def _last_cryptogram(
        self, requested: Ac, after: Sequence[bytes], results: bytes, *, issuer_approved: bool
    ) -> Approved | Declined:
        answer, vouched = self._second_cryptogram(requested)
        results += self._run(after, Tvr.SCRIPT_FAILED_AFTER)
        if answer.kind is Ac.TC and vouched:
            return Approved(self._data(), results)
        return Declined(self._data(), results, reversal=issuer_approved)

    def _second_cryptogram(self, requested: Ac) -> tuple[Answer, bool]:
        values = self._filled(0x8D)
        return self._cryptogram(requested, values, self._pdol_values + self._cdol1_values + values)

    def _cryptogram(self, requested: Ac, values: bytes, signed_values: bytes) -> tuple[Answer, bool]:
        """Asks for a cryptogram; says, too, whether its CDA signature holds, when it should have one."""
        key = self._icc_key if self._method is Method.CDA else None
        combined = key is not None and requested is not Ac.AAC
        answer = generate_ac(self._channel, requested, values, combined=combined)
        vouched = True
        if combined and key is not None and answer.kind is not Ac.AAC:
            try:
                answer = answer.opened(key, signed_values, self._values[0x9F37])
            except CertificateInvalid as error:
                vouched = False
                self._authentication_failed(error)
        self._values.update(answer.values())
        return answer, vouched

    def _authenticate_issuer(self, authentication_data: bytes) -> None:
        """EXTERNAL AUTHENTICATE, when the card offers it; otherwise 91 goes with CDOL2 (EMV Book 3, 10.9)."""
        if Aip.ISSUER_AUTHENTICATION not in self._aip:
            return
        self.tsi |= Tsi.ISSUER_AUTHENTICATION
        sw = 0
        if len(authentication_data) in _AUTHENTICATION_DATA:
            _, sw = self._channel.send(Command(0x00, 0x82, 0x00, 0x00, authentication_data))
        if sw != status.OK:
            self.tvr |= Tvr.ISSUER_AUTHENTICATION_FAILED

    def _run(self, wanted: Sequence[bytes], failed: Tvr) -> bytes:
        if not wanted:
            return b""
        results, all_done = scripts.run(self._channel, wanted)
        self.tsi |= Tsi.SCRIPT_PROCESSING
        if not all_done:
            self.tvr |= failed
        return results

    def _known(self) -> dict[int, bytes]:
        """Everything that a data object list may ask for."""
        self._note()
        return {**self.objects, **self._values}

    def _note(self) -> None:
        self._values[0x95] = int(self.tvr).to_bytes(5)
        self._values[0x9B] = int(self.tsi).to_bytes(2)

    def _filled(self, tag: int) -> bytes:
        """Values of CDOL1 or CDOL2; the TC hash is made when they ask for it (EMV Book 3, 9.2.2)."""
        entries = dol.parse(self.objects[tag])
        if _TC_HASH in {entry.tag for entry in entries}:
            tdol = self.objects.get(0x97)
            if tdol is None:
                tdol = self._settings.default_tdol
                self.tvr |= Tvr.DEFAULT_TDOL
            hashed = dol.fill(dol.parse(tdol), self._known())
            self._values[_TC_HASH] = hashlib.sha1(hashed, usedforsecurity=False).digest()
        return dol.fill(entries, self._known())

    def _data(self) -> dict[int, bytes]:
        known = self._known()
        return {tag: known[tag] for tag in self._settings.online_tags if known.get(tag)}
