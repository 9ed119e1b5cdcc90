"""What a card's data say, in the subscriber's language: the words of cardreader's tables, which are English there, for programs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields

from cardreader import status
from cardreader.emv import bits
from cardreader.emv.certificates import Reason
from cardreader.emv.cvm import Cvm
from cardreader.emv.tags import TAGS
from cardreader.pboc.files import LogRecord, PublicApplicationData

Translate = Callable[[str], str]

_FIELDS = (bits.Aip, bits.Auc, bits.Tvr, bits.Tsi, bits.TerminalCapabilities, bits.Ttq, bits.Cvr)
_PHRASES = (
    "wrong, {n} tries left",
    "wrong Le, {n} is right",
    "{n} bytes wait for GET RESPONSE",
    "READ RECORD {n} of SFI {file}",
    "SFI {file} records {first}-{last}",
    "{rule} or next",
    "{n}, to be confirmed",
    "key {n}",
    "balance {amount}",
    "{n} of {all} applications were left out",
    "{what}: {why}",
)
"""What is put together there; the more special first."""
_WORDS = (
    "unknown",
    "success",
    "a status word of no standard we know",
    "China (156)",
    "Hong Kong (344)",
    "Macao (446)",
    "purchase",
    "cash",
    "cashback",
    "balance inquiry",
    "load",
    "cash load",
    "issuer public key certificate",
    "ICC public key certificate",
    "ICC PIN encipherment public key certificate",
    "certification authority's key",
    "signed static application data",
    "signed dynamic application data",
    "static data to be authenticated",
    "this application is blocked",
)
_LIST = ", "


def messages() -> tuple[str, ...]:
    """Every word that a card can bring to the screen, for the catalogue."""
    bit_names = (bits.said(name) for field in _FIELDS for name in field.__members__)
    parts = (part_name(one.name) for record in (PublicApplicationData, LogRecord) for one in fields(record))
    names = (one.name for one in TAGS.values())
    found = (*names, *bit_names, *parts, *status.MEANINGS.values(), *map(str, (*Reason, *Cvm)), *_WORDS)
    return tuple(dict.fromkeys((*found, *_PHRASES, _LIST)))


def part_name(field: str) -> str:
    """The name of a purse record's element, as `cardreader.lab.tree` has it."""
    return field.removesuffix("_fen").replace("_", " ").capitalize()


def said(text: str, t: Translate) -> str:
    """``text`` in the language of ``t``, part by part; what is in no table stays as it is.

    >>> chinese = {", ": "、", "key {n}": "密钥 {n}", "SDA failed": "SDA 失败"}
    >>> said("key 1, SDA failed, 17", lambda text: chinese.get(text, text))
    '密钥 1、SDA 失败、17'
    """
    whole = t(text) if text else ""
    if whole and whole != text:
        return whole
    for phrase, pattern in _PATTERNS:
        found = pattern.fullmatch(text)
        if found is not None:
            return t(phrase).format(**{k: said(v, t) for k, v in found.groupdict().items()})
    parts = text.split(_LIST)
    return t(_LIST).join(said(part, t) for part in parts) if len(parts) > 1 else text


def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(phrase)))


_PATTERNS = tuple((phrase, _pattern(phrase)) for phrase in _PHRASES)
