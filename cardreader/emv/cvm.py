"""Cardholder verification: the CVM list, rule by rule (EMV Book 3, 10.5), and offline PINs (Book 3, 6.5.12; Book 2, 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.emv.bits import TerminalCapabilities, Tvr
from cardreader.emv.certificates import PublicKey
from cardreader.emv.settings import TerminalSettings, TransactionType
from cardreader.errors import ProtocolError, StatusError
from cardreader.secret import Pin

_AMOUNTS = 8
_TRY_NEXT = 0x40
FAIL, PLAINTEXT, ONLINE, ENCIPHERED, SIGNATURE, NO_CVM = 0x00, 0x01, 0x02, 0x04, 0x1E, 0x1F
_PLAINTEXT_AND_SIGNATURE, _ENCIPHERED_AND_SIGNATURE = 0x03, 0x05
_PINS = frozenset((PLAINTEXT, ONLINE, _PLAINTEXT_AND_SIGNATURE, ENCIPHERED, _ENCIPHERED_AND_SIGNATURE))
_NEEDS = {
    PLAINTEXT: TerminalCapabilities.PLAINTEXT_PIN,
    ONLINE: TerminalCapabilities.ONLINE_PIN,
    _PLAINTEXT_AND_SIGNATURE: TerminalCapabilities.PLAINTEXT_PIN | TerminalCapabilities.SIGNATURE,
    ENCIPHERED: TerminalCapabilities.ENCIPHERED_PIN,
    _ENCIPHERED_AND_SIGNATURE: TerminalCapabilities.ENCIPHERED_PIN | TerminalCapabilities.SIGNATURE,
    SIGNATURE: TerminalCapabilities.SIGNATURE,
    NO_CVM: TerminalCapabilities.NO_CVM,
}
UNKNOWN, FAILED, SUCCESSFUL = 0x00, 0x01, 0x02
"""Third byte of the CVM results."""
NOT_PERFORMED = bytes((0x3F, 0x00, UNKNOWN))
_CHALLENGE_SIZE = 8
_ENCIPHERED_HEADER = 0x7F
_MAX_VERIFY_KEY = 248


class Cvm(StrEnum):
    """What the holder has to do."""

    NONE = "none"
    ONLINE_PIN = "online PIN"
    OFFLINE_PIN = "offline PIN"
    SIGNATURE = "signature"
    OFFLINE_PIN_AND_SIGNATURE = "offline PIN and signature"


@dataclass(frozen=True, slots=True)
class Rule:
    """One cardholder verification rule: CVM code and condition code (EMV Book 3, tables 39 and 40)."""

    code: int
    condition: int

    @property
    def method(self) -> int:
        """The code without "try the next one"."""
        return self.code & 0x3F

    @property
    def try_next(self) -> bool:
        """Whether the next rule counts when this one is not fulfilled."""
        return bool(self.code & _TRY_NEXT)

    @property
    def enciphered(self) -> bool:
        """Whether the card wants the PIN enciphered."""
        return self.method in (ENCIPHERED, _ENCIPHERED_AND_SIGNATURE)

    @property
    def cvm(self) -> Cvm:
        """What the holder has to do for it."""
        return {
            ONLINE: Cvm.ONLINE_PIN,
            PLAINTEXT: Cvm.OFFLINE_PIN,
            ENCIPHERED: Cvm.OFFLINE_PIN,
            SIGNATURE: Cvm.SIGNATURE,
            NO_CVM: Cvm.NONE,
        }.get(self.method, Cvm.OFFLINE_PIN_AND_SIGNATURE)


@dataclass(frozen=True, slots=True)
class CvmList:
    """Tag 8E: amounts X and Y in the card's currency (fen for ours), and rules."""

    x: int
    y: int
    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, value: bytes) -> CvmList:
        """Reads a CVM list.

        Raises:
            ProtocolError: too short, or half a rule; says at which byte.

        >>> CvmList.parse(bytes.fromhex("0000000000000000 4203 1F03")).rules[1]
        Rule(code=31, condition=3)
        """
        if len(value) < _AMOUNTS:
            raise ProtocolError(f"CVM list: amounts X and Y are cut off at byte {len(value)}")
        if len(value) % 2:
            raise ProtocolError(f"CVM list: half a rule at byte {len(value) - 1}")
        rules = tuple(Rule(*value[offset : offset + 2]) for offset in range(_AMOUNTS, len(value), 2))
        return cls(int.from_bytes(value[:4]), int.from_bytes(value[4:8]), rules)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the rules' conditions are about.

    Attributes:
        settings: the terminal.
        type: of the transaction.
        amount_fen: of the transaction.
        same_currency: the transaction's currency is the application's (9F42).
    """

    settings: TerminalSettings
    type: TransactionType
    amount_fen: int
    same_currency: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Where a CVM list has got to.

    Attributes:
        rule: the rule that now waits for the holder, or None when the list is through.
        index: number of the next rule.
        tvr: bits so far.
        results: 9F34, when the list is through.
    """

    rule: Rule | None
    index: int
    tvr: Tvr
    results: bytes = NOT_PERFORMED


def begin(cvms: CvmList, circumstances: Circumstances) -> Step:
    """Goes through the list up to the first rule that applies."""
    return _advance(cvms, circumstances, Step(None, 0, Tvr(0), bytes((0x3F, 0x00, FAILED))))


def fulfilled(step: Step, tvr: Tvr = Tvr(0)) -> Step:
    """The rule's demand was met: an offline PIN was right, an online PIN or signature was given, or none is wanted."""
    assert step.rule is not None
    surely = step.rule.method in (PLAINTEXT, ENCIPHERED, NO_CVM)
    result = SUCCESSFUL if surely else UNKNOWN
    return Step(None, step.index, step.tvr | tvr, bytes((step.rule.code, step.rule.condition, result)))


def refused(cvms: CvmList, circumstances: Circumstances, step: Step, tvr: Tvr) -> Step:
    """The rule's demand was not met, for the reason that the TVR bits tell: the next rule counts, or none does."""
    assert step.rule is not None
    return _unsuccessful(cvms, circumstances, step, step.rule, tvr)


def _advance(cvms: CvmList, circumstances: Circumstances, step: Step) -> Step:
    for index in range(step.index, len(cvms.rules)):
        rule = cvms.rules[index]
        if not _applies(rule, cvms, circumstances):
            continue
        after = Step(rule, index + 1, step.tvr, step.results)
        needs = _NEEDS.get(rule.method)
        if needs is not None and needs in circumstances.settings.capabilities:
            return after
        if rule.method == FAIL:
            tvr = Tvr(0)
        elif needs is None:
            tvr = Tvr.UNRECOGNISED_CVM
        else:
            tvr = Tvr.PIN_PAD_ABSENT if rule.method in _PINS else Tvr(0)
        return _unsuccessful(cvms, circumstances, after, rule, tvr)
    return Step(None, len(cvms.rules), step.tvr | Tvr.CVM_FAILED, step.results)


def _unsuccessful(cvms: CvmList, circumstances: Circumstances, step: Step, rule: Rule, tvr: Tvr) -> Step:
    known = rule.method == FAIL or rule.method in _NEEDS
    results = bytes((rule.code, rule.condition, FAILED)) if known else step.results
    after = Step(None, step.index, step.tvr | tvr, results)
    if rule.try_next:
        return _advance(cvms, circumstances, after)
    return Step(None, len(cvms.rules), after.tvr | Tvr.CVM_FAILED, results)


def _applies(rule: Rule, cvms: CvmList, circumstances: Circumstances) -> bool:
    """Condition codes of EMV Book 3, table 40; one that is not known is not satisfied."""
    settings, cash = circumstances.settings, circumstances.type is TransactionType.CASH
    unattended = settings.terminal_type % 0x10 in (4, 5, 6)
    cashback = circumstances.type is TransactionType.CASHBACK
    amount, same = circumstances.amount_fen, circumstances.same_currency
    match rule.condition:
        case 0x00:
            return True
        case 0x01:
            return cash and unattended
        case 0x02:
            return not cash and not cashback
        case 0x03:
            needs = _NEEDS.get(rule.method)
            return needs is None or needs in settings.capabilities
        case 0x04:
            return cash and not unattended
        case 0x05:
            return cashback
        case 0x06:
            return same and amount < cvms.x
        case 0x07:
            return same and amount > cvms.x
        case 0x08:
            return same and amount < cvms.y
        case 0x09:
            return same and amount > cvms.y
    return False


def pin_block(pin: Pin) -> bytes:
    """ISO 9564 format 2, 8 bytes. Raises ValueError when the PIN has fewer than 4 digits."""
    digits = pin.reveal()
    if len(digits) < 4:
        raise ValueError("an offline PIN has 4 to 12 decimal digits")
    return bytes.fromhex(f"2{len(digits):X}{digits}".ljust(16, "F"))


def verify(channel: Channel, pin: Pin, key: PublicKey | None, random: Callable[[int], bytes]) -> None:
    """Lets the card check the PIN: in plain, or enciphered for ``key``.

    Raises:
        PinWrong: carries the tries left.
        PinBlocked, StatusError: the card does not check it any more, or at all.
        ProtocolError: the card's challenge is none.
    """
    if key is None:
        data, form = pin_block(pin), 0x80
    else:
        data, form = _enciphered(channel, pin, key, random), 0x88
    status.checked("VERIFY", channel.send(Command(0x00, 0x20, 0x00, form, data)))


def _enciphered(channel: Channel, pin: Pin, key: PublicKey, random: Callable[[int], bytes]) -> bytes:
    challenge = status.checked("GET CHALLENGE", channel.send(Command(0x00, 0x84, 0x00, 0x00, le=MAX_LE)))
    if len(challenge) != _CHALLENGE_SIZE:
        raise ProtocolError(f"GET CHALLENGE: {_CHALLENGE_SIZE} bytes expected, {len(challenge)} came")
    head = bytes((_ENCIPHERED_HEADER,)) + pin_block(pin) + challenge
    if not len(head) < key.size <= _MAX_VERIFY_KEY:
        raise ProtocolError(f"a PIN cannot be enciphered with a key of {key.size} bytes")
    return key.recover(head + random(key.size - len(head)))


def tries_used_up(error: StatusError) -> bool:
    """Whether VERIFY was refused because no try is left (6983, 6984, 63C0; EMV Book 3, 10.5.1)."""
    return error.sw in (0x6983, 0x6984, 0x63C0)
