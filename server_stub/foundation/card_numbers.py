"""Whole card numbers in what people type: found, so that none is kept, and masked where a text is shown.

A card number has 13 to 19 digits, of which the last is a check digit (ISO/IEC 7812-1, annex B: Luhn), and does not begin
with 0. People write it in groups, with spaces or hyphens between, or with the wide digits of a Chinese keyboard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardreader.secret import mask_number
from server_stub.foundation.sentences import N_

SHORTEST, LONGEST = 13, 19
SMALLEST_GROUP, LARGEST_GROUP = 4, 6
"""Digits that stand together where a number is written in groups, unlike ones or like ones."""
WHOLE = N_("Here stands a whole card number. Write its last four digits only.")
"""Said of a text that is to be kept."""
_GAP = r"[\s\-\u2010-\u2015\u2212\uff0d]"
_RUN = re.compile(rf"\d(?:{_GAP}*\d)*")
_GROUP = re.compile(r"\d+")
_LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{13,19}(?![0-9A-Za-z])")


def has_whole(text: str) -> bool:
    """Whether a whole card number stands in a text.

    >>> has_whole("card 6222 0200 0000 0000 034, asked the bank"), has_whole("card 6222 02** **** *** 0039")
    (True, False)
    """
    return next(_found(text), None) is not None


def any_whole(*texts: str | None) -> bool:
    """Whether a whole card number stands in one of these texts."""
    return any(has_whole(text) for text in texts if text)


def hidden(text: str) -> str:
    """A text in which no whole card number stands, nor digits without gaps that are as long as one.

    >>> hidden("card 6222020000000000035 of 2026-06-21")
    'card 6222 02** **** *** 0035 of 2026-06-21'
    >>> hidden("6222-0200-0000-0000-034")
    '6222 02** **** *** 0034'
    """
    told, at = [], 0
    for begin, end in _found(text):
        digits = "".join(str(int(one)) for one in text[begin:end] if one.isdecimal())
        told += [text[at:begin], mask_number(digits)]
        at = end
    shown = _LONG_NUMBER.sub(lambda found: mask_number(found[0]), "".join((*told, text[at:])))
    # What is left of one may make another one with the digits beside it.
    return hidden(shown) if has_whole(shown) else shown


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers begin and end."""
    for run in _RUN.finditer(text):
        groups = [(one.start(), one.end()) for one in _GROUP.finditer(text, run.start(), run.end())]
        at = 0
        while at < len(groups):
            last = _last(text, groups, at)
            if last is not None:
                yield groups[at][0], groups[last][1]
            at = at + 1 if last is None else last + 1


def _last(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the longest card number that begins with a group."""
    digits, sizes, found = "", list[int](), None
    for place in range(first, len(groups)):
        begin, end = groups[place]
        digits += text[begin:end]
        sizes.append(end - begin)
        if len(digits) > LONGEST:
            break
        alone = (first, place) == (0, len(groups) - 1)
        if _is_grouped(sizes, alone=alone) and _is_card(digits):
            found = place
    return found


def _is_grouped(sizes: list[int], *, alone: bool) -> bool:
    """Whether a card number is written like this: days, and numbers of a terminal and a batch, are not."""
    size, *more = sizes
    alike = size <= LARGEST_GROUP and set(more[:-1]) <= {size} and (more or [0])[-1] <= size
    return not more or alike or (alone and min(sizes[:-1]) >= SMALLEST_GROUP)


def _is_card(digits: str) -> bool:
    """Whether so many digits have a valid check digit."""
    if not SHORTEST <= len(digits) <= LONGEST or int(digits[0]) == 0:
        return False
    doubled = (sum(divmod(2 * int(one), 10)) for one in digits[-2::-2])
    return (sum(int(one) for one in digits[::-2]) + sum(doubled)) % 10 == 0
