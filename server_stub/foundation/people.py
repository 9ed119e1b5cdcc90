"""People's names, as they type them."""

from __future__ import annotations

from unicodedata import normalize


def same_person(one: str, other: str) -> bool:
    """Whether two names are one, however it was typed: width, case, spaces, marks and what is not seen do not count.

    >>> same_person("Alice Wu", " \uff41lice\u200b  WU.")
    True
    """
    letters = ("".join(filter(str.isalnum, normalize("NFKC", name).casefold())) for name in (one, other))
    return next(letters) == next(letters)
