"""What is wrong with a TLS connection, as a code that the screen and the doctor have words for."""

from __future__ import annotations

import ssl

AUTHORITY, EXPIRED, EARLY, NAME, OTHER = (
    "tls-authority-unknown",
    "tls-expired",
    "tls-not-yet-valid",
    "tls-wrong-name",
    "tls-failed",
)
# X509_V_ERR_... of OpenSSL's x509_vfy.h
_CODES = {
    2: AUTHORITY,
    9: EARLY,
    10: EXPIRED,
    18: AUTHORITY,
    19: AUTHORITY,
    20: AUTHORITY,
    21: AUTHORITY,
    62: NAME,
    64: NAME,
}


def code_of(error: BaseException) -> str | None:
    """The code for an exception that has a TLS failure somewhere among its causes; None when it has none."""
    seen: list[BaseException] = []
    waiting: list[BaseException] = [error]
    found: str | None = None
    while waiting:
        one = waiting.pop()
        if any(one is before for before in seen):
            continue
        seen.append(one)
        if isinstance(one, ssl.SSLCertVerificationError):
            return _CODES.get(one.verify_code, OTHER)
        if isinstance(one, ssl.SSLError):
            found = OTHER
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [next_one for next_one in inner if isinstance(next_one, BaseException)]
    return found
