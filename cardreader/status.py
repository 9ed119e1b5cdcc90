"""Status words of ISO 7816-4 and PBOC: what they mean, and the error each becomes at a session's edge."""

from __future__ import annotations

from cardreader.errors import (
    ApplicationBlocked,
    ApplicationNotFound,
    CounterExhausted,
    InsufficientBalance,
    KeyIndexUnsupported,
    MacInvalid,
    PinBlocked,
    PinWrong,
    ProofUnavailable,
    StatusError,
)

OK = 0x9000

MEANINGS: dict[int, str] = {
    0x6200: "nothing was changed, a warning without a reason",
    0x6281: "the data may be corrupt",
    0x6282: "the file ended before all was read",
    0x6283: "the selected file is invalidated",
    0x6284: "the file's control information is garbled",
    0x6300: "authentication failed",
    0x6400: "nothing was changed, execution error",
    0x6581: "memory failure",
    0x6700: "wrong length",
    0x6882: "secure messaging is not supported",
    0x6901: "the command does not fit the card's state",
    0x6981: "the command does not fit the file's type",
    0x6982: "security status not satisfied",
    0x6983: "the PIN or key is blocked",
    0x6984: "the reference data or random number cannot be used",
    0x6985: "conditions of use not satisfied",
    0x6986: "no file is selected",
    0x6987: "the secure messaging MAC is missing",
    0x6988: "the secure messaging MAC is wrong",
    0x6A80: "wrong data",
    0x6A81: "not supported, or the application or card is blocked",
    0x6A82: "no such file or application",
    0x6A83: "no such record",
    0x6A84: "no space",
    0x6A86: "wrong P1 or P2",
    0x6A88: "no such key or data",
    0x6B00: "the offset lies outside the file",
    0x6D00: "the command is not known",
    0x6E00: "the class is not supported",
    0x6F00: "the card gives no reason",
    0x9301: "the balance is too small",
    0x9302: "the MAC is wrong",
    0x9303: "the application is permanently blocked",
    0x9401: "the balance is too small",
    0x9402: "the transaction counter stands at its maximum",
    0x9403: "the key index is not supported",
    0x9406: "no MAC or TAC is available for this transaction",
    0x9407: "the record is locked",
    0x9408: "the purse is locked",
}

_ERRORS: dict[int, type[StatusError]] = {
    0x6983: PinBlocked,
    0x9301: InsufficientBalance,
    0x9302: MacInvalid,
    0x9303: ApplicationBlocked,
    0x9401: InsufficientBalance,
    0x9402: CounterExhausted,
    0x9403: KeyIndexUnsupported,
    0x9406: ProofUnavailable,
}

# These words mean something else after SELECT: 6A82 is a missing application there, not a missing file.
_ERRORS_OF_SELECT: dict[int, type[StatusError]] = {
    0x6283: ApplicationBlocked,
    0x6A81: ApplicationBlocked,
    0x6A82: ApplicationNotFound,
}


def meaning(sw: int) -> str:
    """What a status word says, in a few words.

    >>> meaning(0x9302)
    'the MAC is wrong'
    >>> meaning(0x63C2)
    'wrong, 2 tries left'
    >>> meaning(0x1234)
    'a status word of no standard we know'
    >>> meaning(0x6120), meaning(0x6C00)
    ('32 bytes wait for GET RESPONSE', 'wrong Le, 256 is right')
    """
    if sw & 0xFFF0 == 0x63C0:
        return f"wrong, {sw & 0x0F} tries left"
    if sw == OK:
        return "success"
    if sw >> 8 == 0x61:
        return f"{sw & 0xFF or 256} bytes wait for GET RESPONSE"
    if sw >> 8 == 0x6C:
        return f"wrong Le, {sw & 0xFF or 256} is right"
    return MEANINGS.get(sw, "a status word of no standard we know")


def checked(command: str, answer: tuple[bytes, int], *, selecting: bool = False) -> bytes:
    """The data of an answer (data, status word). Raises what `error` makes of any status word but 9000."""
    data, sw = answer
    if sw != OK:
        raise error(command, sw, selecting=selecting)
    return data


def error(command: str, sw: int, *, selecting: bool = False) -> StatusError:
    """The error that a status word other than 9000 becomes.

    Args:
        command: the command's name in its standard.
        sw: status word.
        selecting: the command was a SELECT, which gives 6283, 6A81 and 6A82 their own meaning.

    63C0 becomes `PinBlocked`: the wrong PIN was the last one allowed.

    >>> error("VERIFY", 0x63C2).tries_left
    2
    """
    if sw & 0xFFF0 == 0x63C0:
        kind: type[StatusError] = PinWrong if sw & 0x0F else PinBlocked
    elif selecting and sw in _ERRORS_OF_SELECT:
        kind = _ERRORS_OF_SELECT[sw]
    else:
        kind = _ERRORS.get(sw, StatusError)
    return kind(command, sw, meaning(sw))
