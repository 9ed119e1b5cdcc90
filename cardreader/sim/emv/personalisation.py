"""From a profile to what is on the card: data objects, records, certificates and FCI (EMV Books 1 to 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cardreader.emv import dol
from cardreader.emv.dol import DolEntry
from cardreader.errors import ProtocolError
from cardreader.sim.cos import fci
from cardreader.sim.emv import signing
from cardreader.sim.emv.profile import ApplicationProfile, EmvProfile, RecordRow
from cardreader.tlv import encode

MAX_RECORD = 254
"""Bytes of a record with its template; a short answer carries 256."""
PSE_NAME, PPSE_NAME = b"1PAY.SYS.DDF01", b"2PAY.SYS.DDF01"
DIRECTORY_SFI = 1
_CERTIFICATE_SERIAL = bytes.fromhex("000001")
_DATA_AUTHENTICATION_CODE = bytes.fromhex("DAC1")
_SIGNED_SFI_WITHOUT_TEMPLATE = range(1, 11)

Dol = tuple[DolEntry, ...]
Records = dict[tuple[int, int], bytes]
"""By SFI and number (from 1), each with its template 70."""


@dataclass(frozen=True, slots=True)
class Personalised:
    """One application as it is on the card.

    Attributes:
        profile: where it comes from.
        objects: every data object by tag.
        records: every record.
        fci: answer to SELECT.
        pdol, cdol1, cdol2, ddol: what the application asks for.
        log_format, load_log_format: what its logs hold.
    """

    profile: ApplicationProfile
    objects: Mapping[int, bytes]
    records: Mapping[tuple[int, int], bytes]
    fci: bytes
    pdol: Dol
    cdol1: Dol
    cdol2: Dol
    ddol: Dol
    log_format: Dol
    load_log_format: Dol


def personalise(card: EmvProfile, application: ApplicationProfile) -> Personalised:
    """Makes the application.

    Raises:
        ProtocolError: a file wants an object that is not there, a record is too long, or the AFL names one
            that is missing.
    """
    objects = _derived(card, application) | dict(application.objects)
    signed = _signed_static_data_and_certificates(card, application, objects)
    objects = objects | signed | dict(application.objects)
    records = _records(card, application, objects)
    for afl in (application.afl, application.electronic_cash_afl):
        _check_afl(card, afl, records)

    def entries(tag: int) -> Dol:
        return dol.parse(objects.get(tag, b""))

    return Personalised(
        profile=application,
        objects=objects,
        records=records,
        fci=_fci(application, objects),
        pdol=entries(0x9F38),
        cdol1=entries(0x8C),
        cdol2=entries(0x8D),
        ddol=entries(0x9F49),
        log_format=entries(0x9F4F),
        load_log_format=entries(0xDF4F),
    )


def payment_directory(card: EmvProfile) -> tuple[bytes, ...]:
    """The PSE's records, one for each application: 70 { 61 { 4F, 50, 9F12, 87 } } (EMV Book 1, 12.2.3)."""
    return tuple(
        encode(0x70, encode(0x61, _entry(application, (0x50, 0x9F12)))) for application in card.applications
    )


def proximity_directory(card: EmvProfile) -> bytes:
    """The PPSE's proprietary template: BF0C { 61 { 4F, 50, 87 } ... } (EMV Book B, 3.3.1)."""
    entries = (encode(0x61, _entry(application, (0x50,))) for application in card.applications)
    return encode(0xBF0C, b"".join(entries))


def _entry(application: ApplicationProfile, tags: tuple[int, ...]) -> bytes:
    named = b"".join(encode(tag, application.objects[tag]) for tag in tags if tag in application.objects)
    return encode(0x4F, application.aid) + named + encode(0x87, bytes((application.priority,)))


def _fci(application: ApplicationProfile, objects: Mapping[int, bytes]) -> bytes:
    named = b"".join(encode(tag, objects[tag]) for tag in application.fci if tag in objects)
    more = b"".join(encode(tag, objects[tag]) for tag in application.discretionary if tag in objects)
    if more:
        named += encode(0xBF0C, more)
    return fci(application.aid, named)


def _derived(card: EmvProfile, application: ApplicationProfile) -> dict[int, bytes]:
    expiry, effective = card.expiry.strftime("%y%m%d"), card.effective.strftime("%y%m%d")
    track2 = f"{card.pan}D{expiry[:4]}{card.service_code}"
    return {
        0x57: bytes.fromhex(track2 + "F" * (len(track2) % 2)),
        0x5A: bytes.fromhex(card.pan + "F" * (len(card.pan) % 2)),
        0x5F20: card.holder.encode("gb18030"),
        0x5F24: bytes.fromhex(expiry),
        0x5F25: bytes.fromhex(effective),
        0x5F30: bytes.fromhex(f"0{card.service_code}"),
        0x5F34: bytes.fromhex(card.sequence_number),
        0x87: bytes((application.priority,)),
        0x8F: bytes((card.ca_index,)),
    }


def _signed_static_data_and_certificates(
    card: EmvProfile, application: ApplicationProfile, objects: Mapping[int, bytes]
) -> dict[int, bytes]:
    """Only what some record wants is signed: a card without any is made without RSA."""
    wanted = {tag for rows in application.files.values() for row in rows for tag, _ in row}
    until = card.expiry.strftime("%m%y")
    expiry = bytes.fromhex(until)
    found: dict[int, bytes] = {}
    if 0x90 in wanted:
        issuer = signing.issuer_certificate(
            card.ca_key, card.issuer_key, card.pan, expiry, _CERTIFICATE_SERIAL
        )
        found |= {0x90: issuer.signed, 0x9F32: issuer.exponent}
        found |= {0x92: issuer.remainder} if issuer.remainder else {}
    if 0x9F2D in wanted:
        pin = signing.icc_certificate(
            card.issuer_key, card.pin_key, card.pan, expiry, _CERTIFICATE_SERIAL, b""
        )
        found |= {0x9F2D: pin.signed, 0x9F2E: pin.exponent}
        found |= {0x9F2F: pin.remainder} if pin.remainder else {}
    # What is signed must itself hold no signature; the records of the AFL are looked up once the rest stands.
    if 0x93 in wanted or 0x9F46 in wanted:
        static_data = _static_data(card, application, dict(objects) | found)
        if 0x93 in wanted:
            found[0x93] = signing.signed_static_data(card.issuer_key, _DATA_AUTHENTICATION_CODE, static_data)
        if 0x9F46 in wanted:
            icc = signing.icc_certificate(
                card.issuer_key, card.icc_key, card.pan, expiry, _CERTIFICATE_SERIAL, static_data
            )
            found |= {0x9F46: icc.signed, 0x9F47: icc.exponent}
            found |= {0x9F48: icc.remainder} if icc.remainder else {}
    return found


def _static_data(card: EmvProfile, application: ApplicationProfile, objects: Mapping[int, bytes]) -> bytes:
    """Static data to be authenticated (EMV Book 3, 10.3): the AFL's signed records, then the AIP when 9F4A says so."""
    data = b""
    for sfi_byte, first, _, signed in _entries(application.afl):
        sfi = sfi_byte >> 3
        for number in range(first, first + signed):
            rows = application.files[sfi]
            if not 1 <= number <= len(rows):
                raise ProtocolError(f"profile {card.name}: the AFL signs record {number} of file {sfi}")
            content = _content(card, sfi, number, rows[number - 1], objects)
            data += content if sfi in _SIGNED_SFI_WITHOUT_TEMPLATE else encode(0x70, content)
    if objects.get(0x9F4A) == b"\x82":
        data += objects.get(0x82, b"")
    return data


def _records(card: EmvProfile, application: ApplicationProfile, objects: Mapping[int, bytes]) -> Records:
    found: Records = {}
    for sfi, rows in application.files.items():
        for number, row in enumerate(rows, 1):
            record = encode(0x70, _content(card, sfi, number, row, objects))
            if len(record) > MAX_RECORD:
                raise ProtocolError(
                    f"profile {card.name}: record {number} of file {sfi} is {len(record)} bytes long, "
                    f"at most {MAX_RECORD} fit"
                )
            found[sfi, number] = record
    return found


def _content(card: EmvProfile, sfi: int, number: int, row: RecordRow, objects: Mapping[int, bytes]) -> bytes:
    # A certificate's remainder that is empty is the one object that may be asked for and not be there.
    remainders = (0x92, 0x9F48, 0x9F2F)
    content = b""
    for tag, own in row:
        value = objects.get(tag) if own is None else own
        if value is not None:
            content += encode(tag, value)
        elif tag not in remainders:
            raise ProtocolError(
                f"profile {card.name}: record {number} of file {sfi} wants {tag:X}, which has no value"
            )
    return content


def _check_afl(card: EmvProfile, afl: bytes, records: Records) -> None:
    for sfi_byte, first, last, signed in _entries(afl):
        for number in (first, last):
            if (sfi_byte >> 3, number) not in records:
                raise ProtocolError(
                    f"profile {card.name}: the AFL names record {number} of file {sfi_byte >> 3}"
                )
        if first > last or signed > last - first + 1:
            raise ProtocolError(f"profile {card.name}: the AFL's entry {sfi_byte:02X} counts wrong")


def _entries(afl: bytes) -> list[tuple[int, int, int, int]]:
    return [(afl[at], afl[at + 1], afl[at + 2], afl[at + 3]) for at in range(0, len(afl), 4)]
