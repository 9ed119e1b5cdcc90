"""Amounts in integer fen."""

from __future__ import annotations

MOST_FEN = 2**31 - 1
"""Most that one payment can be: what a purse can hold is more, what a service costs is far less."""


def yuan(amount_fen: int) -> str:
    """The amount as people read it.

    >>> yuan(4205)
    '42.05'
    >>> yuan(-5)
    '-0.05'
    """
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{abs(amount_fen) // 100}.{abs(amount_fen) % 100:02d}"


def percent_off(amount_fen: int, percent: int) -> int:
    """That many percent of an amount, rounded down to the fen.

    >>> percent_off(4205, 5)
    210
    """
    return amount_fen * percent // 100
