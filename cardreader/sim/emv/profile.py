"""A simulated debit or credit card as a tester writes it down: a TOML file with its data objects, files and keys.

docs/card-profiles.md describes the file. Values of data objects are hex digits, ``{ text = "..." }`` (GB 18030)
or ``{ fen = 100000 }`` (format n 12). Everything a card computes from the rest (track 2, certificates, ...) may
be written down all the same; then the file is right, so that a tester can make a card that is wrong.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cardreader import toml
from cardreader.emv import dol
from cardreader.errors import ProtocolError
from cardreader.sim.emv.issuer_keys import CardKeys, card_keys
from cardreader.sim.emv.keys import CA_INDEX, CA_KEY, RsaKey, rsa_key

_MAX_VALUE = 252
_SFI = range(1, 31)
_PROBE = 2

RecordRow = tuple[tuple[int, bytes | None], ...]
"""The objects of a record: each a tag, and a value of its own or None for the application's."""
FileRecords = dict[int, tuple[RecordRow, ...]]
"""By SFI, the records."""


@dataclass(frozen=True, slots=True)
class ApplicationProfile:
    """One payment application.

    Attributes:
        aid: 5 to 16 bytes.
        priority: 87, for PSE and PPSE.
        fci: tags of the FCI's proprietary template, in order; those of its BF0C come from ``discretionary``.
        discretionary: tags of BF0C.
        objects: data objects by tag; what the card computes is added when it is made.
        files: records by SFI.
        afl: 94 for debit and credit.
        electronic_cash_afl: 94 for electronic cash; empty when the application has none.
        readable: tags that GET DATA gives.
        writable: tags that PUT DATA changes.
        log_records, load_log_records: how many each log keeps.
    """

    aid: bytes
    priority: int
    fci: tuple[int, ...]
    discretionary: tuple[int, ...]
    objects: Mapping[int, bytes]
    files: FileRecords
    afl: bytes
    electronic_cash_afl: bytes
    readable: frozenset[int]
    writable: frozenset[int]
    log_records: int
    load_log_records: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a tester can make a card do otherwise.

    Attributes:
        get_response: a T=0 card, whose answers wait for GET RESPONSE (61xx).
        format_2: GPO, INTERNAL AUTHENTICATE and GENERATE AC answer with a template 77, not 80.
        blocked: every application is blocked from the beginning.
        card_blocked: the whole card is.
        contactless: it is seen as by a contactless reader, which tells its UID.
    """

    get_response: bool = False
    format_2: bool = False
    blocked: bool = False
    card_blocked: bool = False
    contactless: bool = False


@dataclass(frozen=True, slots=True)
class EmvProfile:
    """A simulated debit or credit card as it comes from its issuer.

    Attributes:
        name: what testers call it.
        description: one line for people.
        pan: 12 to 19 digits.
        sequence_number: two digits, 5F34.
        effective, expiry: 5F25 and 5F24.
        holder: 5F20.
        service_code: 5F30 and in track 2.
        pin: 4 to 12 digits, the offline PIN; not printed.
        pin_tries: how many there are when none was wrong (9F17).
        pin_tries_left: how many there are now.
        atc: transactions so far.
        last_online_atc: 0 is a new card.
        keys: the card's keys for cryptograms and scripts.
        ca_index: 8F.
        ca_key, issuer_key, icc_key, pin_key: who signs whom.
        pse, ppse: whether the directory is there.
        applications: in the order of the directory.
        behaviour: what it does otherwise.
    """

    name: str
    description: str
    pan: str
    sequence_number: str
    effective: datetime.date
    expiry: datetime.date
    holder: str
    service_code: str
    pin: str = field(repr=False)
    pin_tries: int
    pin_tries_left: int
    atc: int
    last_online_atc: int
    keys: CardKeys
    ca_index: int
    ca_key: RsaKey
    issuer_key: RsaKey
    icc_key: RsaKey
    pin_key: RsaKey
    pse: bool
    ppse: bool
    applications: tuple[ApplicationProfile, ...]
    behaviour: Behaviour


def load(path: Path) -> EmvProfile:
    """Reads a profile file; its name, with the suffix, is the card's.

    Raises:
        ProtocolError: it cannot be read, or is no profile; says where.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(toml.MAX_FILE + 1)
    except OSError as error:
        raise ProtocolError(f"{path} cannot be read: {error.strerror}") from error
    return parse(raw, path.name)


def parse(raw: bytes, name: str) -> EmvProfile:
    """Reads a profile from the bytes of its file. Raises ProtocolError, which names the key that is wrong."""
    try:
        table = toml.parse(toml.decoded(raw))
    except ProtocolError as error:
        raise ProtocolError(f"profile {name}: {error}") from error
    return _profile(_Table(f"profile {name}", table), name)


class _Table:
    """A table of the file that knows where it stands, and at the end that nothing in it was left over."""

    def __init__(self, place: str, values: Mapping[str, Any]) -> None:
        self.place = place
        self._values = dict(values)

    def wrong(self, key: str, why: str) -> ProtocolError:
        return ProtocolError(f"{self.place}: {key}: {why}")

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self._values:
            if default is None:
                raise self.wrong(key, "is missing")
            return default
        value = self._values.pop(key)
        # A TOML boolean is a Python int, too.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(key, f"{_KINDS[kind]} is wanted, not {value!r:.40}")
        return value

    def number(self, key: str, allowed: range, default: int | None = None) -> int:
        value: int = self.take(key, int, default)
        if value not in allowed:
            raise self.wrong(key, f"{allowed.start} to {allowed.stop - 1}, not {value}")
        return value

    def digits(self, key: str, shortest: int, longest: int, default: str | None = None) -> str:
        value: str = self.take(key, str, default)
        if not (shortest <= len(value) <= longest and value.isascii() and value.isdecimal()):
            raise self.wrong(key, f"{shortest} to {longest} digits are wanted")
        return value

    def date(self, key: str) -> datetime.date:
        value: datetime.date = self.take(key, datetime.date)
        if not 2000 <= value.year < 2050:  # the card tells two digits, and 50 to 99 are of the last century
            raise self.wrong(key, "a year from 2000 to 2049 is wanted")
        return value

    def hex(self, key: str, shortest: int, longest: int, default: str | None = None) -> bytes:
        return self.hex_of(key, self.take(key, str, default), shortest, longest)

    def hex_of(self, key: str, text: str, shortest: int, longest: int) -> bytes:
        try:
            value = bytes.fromhex(text)
        except ValueError:
            raise self.wrong(key, f"{text!r:.40} is not made of hex digits") from None
        if not shortest <= len(value) <= longest:
            wanted = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
            raise self.wrong(key, f"{wanted} bytes are wanted, not {len(value)}")
        return value

    def tags(self, key: str, default: str | None = None) -> tuple[int, ...]:
        text: str = self.take(key, str, default)
        return tuple(self.tag_of(key, word) for word in text.split())

    def tag_of(self, key: str, word: str) -> int:
        raw = self.hex_of(key, word, 1, 3)
        continued = [byte & 0x80 for byte in raw[1:-1]]
        multiple = raw[0] & 0x1F == 0x1F
        if raw[0] == 0 or multiple != (len(raw) > 1) or not all(continued) or (multiple and raw[-1] & 0x80):
            raise self.wrong(key, f"{word!r} is no tag")
        return int.from_bytes(raw)

    def table(self, key: str, required: bool = True) -> _Table:
        return _Table(f"{self.place}: {key}", self.take(key, dict, None if required else {}))

    def tables(self, key: str) -> Iterator[_Table]:
        for number, item in enumerate(self.take(key, list), 1):
            if not isinstance(item, dict):
                raise self.wrong(key, "a table is wanted")
            yield _Table(f"{self.place}: {key} {number}", item)

    def left(self) -> tuple[str, ...]:
        return tuple(self._values)

    def done(self) -> None:
        for key in self._values:
            raise self.wrong(key, "is not known here")


_KINDS: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
    object: "a value",
    datetime.date: "a date",
}


def _profile(table: _Table, name: str) -> EmvProfile:
    description = table.take("description", str)
    card = table.table("card")
    pan, sequence_number = card.digits("pan", 12, 19), card.digits("sequence_number", 2, 2, "01")
    expiry = card.date("expiry")
    pin_tries = card.number("pin_tries", range(16), 3)
    applications = tuple(_application(item) for item in table.tables("applications"))
    if not 1 <= len(applications) <= 8:
        raise table.wrong("applications", "1 to 8 are wanted")
    if len({application.aid for application in applications}) != len(applications):
        raise table.wrong("applications", "two have one AID")
    keys = table.table("keys", required=False)
    behaviour = table.table("behaviour", required=False)
    ca_key, issuer_key = _rsa_key(keys, "ca", CA_KEY), _rsa_key(keys, "issuer", "issuer")
    profile = EmvProfile(
        name=name,
        description=description,
        pan=pan,
        sequence_number=sequence_number,
        effective=card.date("effective"),
        expiry=expiry,
        holder=_text(card, "holder", card.take("holder", str)).decode("gb18030"),
        service_code=card.digits("service_code", 3, 3, "220"),
        pin=card.digits("pin", 4, 12),
        pin_tries=pin_tries,
        pin_tries_left=card.number("pin_tries_left", range(pin_tries + 1), pin_tries),
        atc=card.number("atc", range(0x10000), 0),
        last_online_atc=card.number("last_online_atc", range(0x10000), 0),
        keys=_card_keys(keys, pan, sequence_number),
        ca_index=keys.number("ca_index", range(256), CA_INDEX),
        ca_key=ca_key,
        issuer_key=issuer_key,
        icc_key=_rsa_key(keys, "icc", "icc"),
        pin_key=_rsa_key(keys, "pin", "pin"),
        pse=card.take("pse", bool, True),
        ppse=card.take("ppse", bool, True),
        applications=applications,
        behaviour=Behaviour(
            *(behaviour.take(key, bool, False) for key in Behaviour.__dataclass_fields__),
        ),
    )
    if profile.behaviour.contactless and profile.behaviour.get_response:
        raise behaviour.wrong("get_response", "a contactless card does not speak T=0")
    sizes = [len(key.modulus) for key in (ca_key, issuer_key, profile.icc_key)]
    if sizes != sorted(sizes, reverse=True) or len(profile.pin_key.modulus) > sizes[1]:
        raise keys.wrong("issuer", "no key may be longer than the one that signs it")
    for part in (card, keys, behaviour, table):
        part.done()
    return profile


def _card_keys(table: _Table, pan: str, sequence_number: str) -> CardKeys:
    usual = card_keys(pan, sequence_number)
    return CardKeys(
        table.hex("ac", 16, 16, usual.ac.hex()),
        table.hex("mac", 16, 16, usual.mac.hex()),
        table.hex("enc", 16, 16, usual.enc.hex()),
    )


def _rsa_key(table: _Table, key: str, default: str) -> RsaKey:
    value = table.take(key, object, default)
    if isinstance(value, str):
        try:
            return rsa_key(value)
        except KeyError:
            raise table.wrong(key, f"there is no test key {value!r:.40}") from None
    if not isinstance(value, dict):
        raise table.wrong(key, "the name of a test key, or a table is wanted")
    inside = _Table(f"{table.place}: {key}", value)
    prime1, prime2 = (int.from_bytes(inside.hex(name, 32, 128)) for name in ("prime1", "prime2"))
    exponent = inside.number("exponent", range(3, 65538), 3)
    inside.done()
    found = RsaKey(prime1, prime2, exponent)
    if exponent not in (3, 65537) or not 64 <= len(found.modulus) <= 248 or found.modulus[0] < 0x80:
        raise inside.wrong("exponent", "3 or 65537, and a modulus of 512 to 1984 whole bits, are wanted")
    try:
        # Numbers that are no primes do not give the same number back.
        sound = pow(
            int.from_bytes(found.recover(_PROBE.to_bytes(len(found.modulus)))), exponent, prime1 * prime2
        )
    except ValueError:
        sound = 0
    if sound != _PROBE:
        raise inside.wrong("exponent", "does not fit these primes")
    return found


def _application(table: _Table) -> ApplicationProfile:
    objects = dict(_objects(table.table("objects")))
    for tag in (0x9F38, 0x8C, 0x8D, 0x97, 0x9F49, 0x9F4F, 0xDF4F):
        try:
            size = dol.length(dol.parse(objects.get(tag, b"")))
        except ProtocolError as error:
            raise ProtocolError(f"{table.place}: objects: {tag:X}: {error}") from error
        if size > _MAX_VALUE:
            raise table.wrong(f"objects: {tag:X}", f"asks for more than {_MAX_VALUE} bytes")
    files: FileRecords = {}
    sources = table.table("files")
    for key in sources.left():
        if not (key.isascii() and key.isdecimal()) or int(key) not in _SFI:
            raise sources.wrong(key, "an SFI of 1 to 30 is wanted")
        files[int(key)] = tuple(_record(sources, key, row) for row in sources.take(key, list))
    found = ApplicationProfile(
        aid=table.hex("aid", 5, 16),
        priority=table.number("priority", range(16), 1),
        fci=table.tags("fci", "50 87 9F38 5F2D 9F11 9F12"),
        discretionary=table.tags("discretionary", "9F4D DF4D"),
        objects=objects,
        files=files,
        afl=_afl(table, "afl", None),
        electronic_cash_afl=_afl(table, "electronic_cash_afl", ""),
        readable=frozenset(table.tags("readable", "9F36 9F13 9F17 9F4F")),
        writable=frozenset(table.tags("writable", "9F58 9F59 9F54 9F5C")),
        log_records=table.number("log_records", range(31), 10),
        load_log_records=table.number("load_log_records", range(31), 10),
    )
    for sfi in (*found.afl[::4], *found.electronic_cash_afl[::4]):
        if sfi >> 3 not in files:
            raise table.wrong("afl", f"there is no file {sfi >> 3}")
    table.done()
    return found


def _record(table: _Table, key: str, row: Any) -> RecordRow:
    if not isinstance(row, str):
        raise table.wrong(key, "each record is a text of TAG or TAG=VALUE")
    return tuple(_entry(table, key, *word.partition("=")) for word in row.split())


def _entry(table: _Table, key: str, tag: str, equals: str, value: str) -> tuple[int, bytes | None]:
    own = table.hex_of(key, value, 0, _MAX_VALUE) if equals else None
    return table.tag_of(key, tag), own


def _afl(table: _Table, key: str, default: str | None) -> bytes:
    value = table.hex(key, 0, 248, default)
    if len(value) % 4:
        raise table.wrong(key, "four bytes each: SFI, first record, last record, how many are signed")
    return value


def _objects(table: _Table) -> Iterator[tuple[int, bytes]]:
    for key in table.left():
        value = table.take(key, object)
        if isinstance(value, dict):
            yield table.tag_of(key, key), _described(_Table(f"{table.place}: {key}", value))
        elif isinstance(value, str):
            yield table.tag_of(key, key), table.hex_of(key, value, 0, _MAX_VALUE)
        else:
            raise table.wrong(key, 'hex digits, { text = "..." } or { fen = ... } are wanted')


def _described(table: _Table) -> bytes:
    if "fen" in table.left():
        value = bytes.fromhex(f"{table.number('fen', range(10**12)):012}")
    else:
        value = _text(table, "text", table.take("text", str))
    table.done()
    return value


def _text(table: _Table, key: str, text: str) -> bytes:
    try:
        value = text.encode("gb18030")
    except UnicodeEncodeError:
        raise table.wrong(key, "GB 18030 has no such character") from None
    if len(value) > _MAX_VALUE:
        raise table.wrong(key, f"at most {_MAX_VALUE} bytes are wanted")
    return value
