"""What the values of data objects say in words, where that is more than their bytes."""

from __future__ import annotations

from collections.abc import Callable

from cardreader.emv import bits, dol
from cardreader.emv.certificates import full_year
from cardreader.emv.cvm import CvmList
from cardreader.emv.iad import IssuerApplicationData
from cardreader.emv.tags import Format, describe
from cardreader.errors import ProtocolError
from cardreader.lab.masking import SECRET

_FIELDS = {
    0x82: bits.Aip,
    0x9F07: bits.Auc,
    0x95: bits.Tvr,
    **dict.fromkeys((0x9F0D, 0x9F0E, 0x9F0F), bits.Tvr),
    0x9B: bits.Tsi,
    0x9F33: bits.TerminalCapabilities,
    0x9F66: bits.Ttq,
}
_LISTS = (0x8C, 0x8D, 0x97, 0x9F38, 0x9F49, 0x9F4F, 0xDF4F)
"""Data object lists, and formats of logs, which are written the same."""
_AMOUNTS = (0x9F02, 0x9F03, 0x9F77, 0x9F78, 0x9F79, 0x9F6D)
_DATES = (0x9A, 0x5F24, 0x5F25)
_COUNTS = (0x88, 0x9F13, 0x9F14, 0x9F17, 0x9F23, 0x9F36, 0x9F53, 0x9F58, 0x9F59, 0x9F72)
_COUNTRIES = {"0156": "China (156)", "0344": "Hong Kong (344)", "0446": "Macao (446)"}
_CURRENCIES = {"0156": "CNY (156)", "0344": "HKD (344)", "0446": "MOP (446)", "0840": "USD (840)"}
_TYPES = {
    "00": "purchase", "01": "cash", "09": "cashback", "31": "balance inquiry", "60": "load", "63": "cash load",
}  # fmt: skip
"""ISO 8583, first two digits of the processing code."""
_TEXTS = (Format.ALPHABETIC, Format.ALPHANUMERIC, Format.SPECIAL)
_CRYPTOGRAM = 0xC0


def reading(tag: int, value: bytes) -> str:
    """What a value says in words; empty where that is its bytes, or where it is garbled.

    >>> reading(0x9F38, bytes.fromhex("9F7A019F0206"))
    '9F7A 1, 9F02 6'
    """
    field = _FIELDS.get(tag)
    if field is not None:
        return ", ".join(bits.names(field(int.from_bytes(value))))
    special = _READINGS.get(tag)
    if special is not None:
        try:
            return special(value)
        except ProtocolError:
            return ""
    if tag not in SECRET and describe(tag).format in _TEXTS:
        try:
            return value.decode("gb18030").rstrip()
        except UnicodeDecodeError:
            return ""
    return ""


def _wanted(value: bytes) -> str:
    return ", ".join(f"{entry.tag:X} {entry.length}" for entry in dol.parse(value))


def _rules(value: bytes) -> str:
    rules = CvmList.parse(value).rules
    return ", ".join(f"{rule.cvm}{' or next' if rule.try_next else ''}" for rule in rules)


def _files(value: bytes) -> str:
    """An AFL (EMV Book 3, 10.2): file, first and last record."""
    if len(value) % 4:
        raise ProtocolError(f"AFL: half an entry at byte {len(value) - len(value) % 4}")
    entries = (value[at : at + 4] for at in range(0, len(value), 4))
    return ", ".join(f"SFI {file >> 3} records {first}-{last}" for file, first, last, _ in entries)


def _cryptogram(value: bytes) -> str:
    """CID (EMV Book 3, table 14)."""
    kinds = {0x00: "AAC", 0x40: "TC", 0x80: "ARQC"}
    return kinds.get(value[0] & _CRYPTOGRAM, "") if len(value) == 1 else ""


def _issuer_data(value: bytes) -> str:
    data = IssuerApplicationData.decode(value)
    said = [f"key {data.key_index}", f"CVN {data.version}", *bits.names(data.cvr)]
    if data.balance_fen is not None:
        said.append(f"balance {_in_yuan(data.balance_fen)}")
    return ", ".join(said)


def _date(value: bytes) -> str:
    """YYMMDD in 3 bytes BCD."""
    digits = value.hex()
    if len(digits) != 6 or not digits.isdecimal():
        return ""
    return f"{full_year(int(digits[:2]))}-{digits[2:4]}-{digits[4:]}"


def _time(value: bytes) -> str:
    digits = value.hex()
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}" if len(digits) == 6 and digits.isdecimal() else ""


def _count(value: bytes) -> str:
    return str(int.from_bytes(value)) if value else ""


def _priority(value: bytes) -> str:
    """87 (EMV Book 1, 12.2.3): the lower half says the place, bit 8 that the holder has to agree."""
    if len(value) != 1:
        return ""
    return f"{value[0] & 0x0F}{', to be confirmed' if value[0] & 0x80 else ''}"


def _log(value: bytes) -> str:
    """Log entry: file and how many records it has."""
    return f"SFI {value[0]} records 1-{value[1]}" if len(value) == 2 else ""


def _yuan(value: bytes) -> str:
    return _in_yuan(int(value.hex())) if value.hex().isdecimal() else ""


def _in_yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


_READINGS: dict[int, Callable[[bytes], str]] = {
    **dict.fromkeys(_LISTS, _wanted),
    **dict.fromkeys(_AMOUNTS, _yuan),
    **dict.fromkeys(_DATES, _date),
    **dict.fromkeys(_COUNTS, _count),
    **dict.fromkeys((0x5F28, 0x9F1A), lambda value: _COUNTRIES.get(value.hex(), "")),
    **dict.fromkeys((0x5F2A, 0x9F42, 0x9F51), lambda value: _CURRENCIES.get(value.hex(), "")),
    **dict.fromkeys((0x9F4D, 0xDF4D), _log),
    0x87: _priority,
    0x9C: lambda value: _TYPES.get(value.hex(), ""),
    0x9F21: _time,
    0x8E: _rules,
    0x94: _files,
    0x9F27: _cryptogram,
    0x9F10: _issuer_data,
}
