"""Offline data authentication of a card: SDA, DDA and CDA (EMV Book 2, 5 to 7; Book 3, 10.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.emv.bits import Aip, TerminalCapabilities, Tvr
from cardreader.emv.capk import CaKeys
from cardreader.emv.certificates import (
    FORMAT_ICC,
    FORMAT_ISSUER,
    CertificateInvalid,
    CombinedData,
    PublicKey,
    Reason,
    open_certificate,
    open_dynamic,
    open_static,
    transaction_hash,
)
from cardreader.emv.dol import fill, parse
from cardreader.errors import ProtocolError
from cardreader.tlv import Tlv, encode, find
from cardreader.tlv import parse as parse_tlv

_RID_SIZE = 5
_AIP_TAG = b"\x82"
_UNPREDICTABLE_NUMBER = 0x9F37
_MAX_DATA = 255


class Method(Enum):
    """How the card is authenticated; the value is what the TVR says when it fails."""

    NONE = Tvr.OFFLINE_DATA_AUTHENTICATION_NOT_PERFORMED
    SDA = Tvr.SDA_FAILED
    DDA = Tvr.DDA_FAILED
    CDA = Tvr.CDA_FAILED


def choose(aip: Aip, capabilities: TerminalCapabilities) -> Method:
    """The best method that both sides support."""
    for method in (Method.CDA, Method.DDA, Method.SDA):
        if Aip[method.name] in aip and TerminalCapabilities[method.name] in capabilities:
            return method
    return Method.NONE


@dataclass(frozen=True, slots=True)
class CardFile:
    """What a card's certificates are checked with.

    Attributes:
        aid: of the application.
        objects: the card's data objects by tag.
        aip: value of 82.
        signed: records that belong to the static data, None when they cannot (see `records.Records`).
    """

    aid: bytes
    objects: Mapping[int, bytes]
    aip: bytes
    signed: bytes | None

    def static_data(self) -> bytes:
        """Static data to be authenticated. Raises CertificateInvalid when a record or 9F4A does not fit."""
        tags = self.objects.get(0x9F4A)
        if self.signed is None or (tags is not None and tags != _AIP_TAG):
            raise CertificateInvalid("static data to be authenticated", Reason.DATA)
        return self.signed + (self.aip if tags is not None else b"")

    def need(self, what: str, tag: int) -> bytes:
        """A data object's value. Raises CertificateInvalid (MISSING)."""
        value = self.objects.get(tag)
        if not value:
            raise CertificateInvalid(what, Reason.MISSING)
        return value

    @property
    def pan(self) -> str:
        """Digits of 5A."""
        return self.objects.get(0x5A, b"").hex().rstrip("f")


def issuer_key(card: CardFile, ca_keys: CaKeys, today: date) -> PublicKey:
    """The issuer's key (EMV Book 2, 5.3). Raises CertificateInvalid."""
    what = "issuer public key certificate"
    index = card.need(what, 0x8F)
    certificate, exponent = card.need(what, 0x90), card.need(what, 0x9F32)
    ca = ca_keys.get((card.aid[:_RID_SIZE], index[0]))
    if ca is None:
        raise CertificateInvalid(what, Reason.NO_CA_KEY)
    if ca.expiry < today:
        raise CertificateInvalid("certification authority's key", Reason.EXPIRED)
    found = open_certificate(
        what, FORMAT_ISSUER, ca.key, certificate, card.objects.get(0x92, b""), exponent, today
    )
    identifier = found.subject.hex().rstrip("f")
    if not 3 <= len(identifier) <= 8 or not card.pan.startswith(identifier):
        raise CertificateInvalid(what, Reason.SUBJECT)
    return found.key


def icc_key(card: CardFile, issuer: PublicKey, today: date) -> PublicKey:
    """The card's key (EMV Book 2, 6.4). Raises CertificateInvalid."""
    return _card_key(
        "ICC public key certificate", card, issuer, (0x9F46, 0x9F48, 0x9F47), today, card.static_data()
    )


def pin_key(card: CardFile, ca_keys: CaKeys, today: date) -> PublicKey:
    """The key that PINs are enciphered with: one of its own, or the card's (EMV Book 2, 7.1).

    Raises:
        CertificateInvalid: there is none, or its certificate does not hold.
    """
    issuer = issuer_key(card, ca_keys, today)
    if 0x9F2D not in card.objects:
        return icc_key(card, issuer, today)
    return _card_key(
        "ICC PIN encipherment public key certificate", card, issuer, (0x9F2D, 0x9F2F, 0x9F2E), today, b""
    )


def _card_key(
    what: str, card: CardFile, issuer: PublicKey, tags: tuple[int, int, int], today: date, static_data: bytes
) -> PublicKey:
    certificate, remainder, exponent = tags
    found = open_certificate(
        what,
        FORMAT_ICC,
        issuer,
        card.need(what, certificate),
        card.objects.get(remainder, b""),
        card.need(what, exponent),
        today,
        static_data,
    )
    if found.subject.hex().rstrip("f") != card.pan:
        raise CertificateInvalid(what, Reason.SUBJECT)
    return found.key


def check_static(card: CardFile, issuer: PublicKey) -> bytes:
    """SDA (EMV Book 2, 5.4); the data authentication code (9F45). Raises CertificateInvalid."""
    what = "signed static application data"
    return open_static(what, issuer, card.need(what, 0x93), card.static_data())


def check_dynamic(
    channel: Channel, card: CardFile, key: PublicKey, values: Mapping[int, bytes], default_ddol: bytes
) -> bytes:
    """DDA (EMV Book 2, 6.5): asks for INTERNAL AUTHENTICATE; the ICC dynamic number (9F4C).

    Raises:
        CertificateInvalid: the card's signature does not hold, or it gave none.
    """
    what = "signed dynamic application data"
    entries = parse(card.objects.get(0x9F49) or default_ddol)
    data = fill(entries, values)
    if _UNPREDICTABLE_NUMBER not in {entry.tag for entry in entries} or len(data) > _MAX_DATA:
        raise CertificateInvalid("DDOL", Reason.DATA)
    answer, sw = channel.send(Command(0x00, 0x88, 0x00, 0x00, data, MAX_LE))
    signed = None
    if sw == status.OK:
        signed = find(answer, 0x80) if answer[:1] == b"\x80" else find(answer, 0x77, 0x9F4B)
    if signed is None:
        raise CertificateInvalid(what, Reason.MISSING)
    dynamic = open_dynamic(what, key, signed, data)
    size = dynamic[0] if dynamic else 0
    if not 2 <= size <= 8 or len(dynamic) < 1 + size:
        raise CertificateInvalid(what, Reason.DATA)
    return dynamic[1 : 1 + size]


def check_combined(
    key: PublicKey, objects: Sequence[Tlv], command_values: bytes, unpredictable_number: bytes
) -> CombinedData:
    """CDA (EMV Book 2, 6.6.2): what the card has signed of its answer to GENERATE AC.

    Args:
        key: the card's.
        objects: data objects of the answer (77), in their order.
        command_values: of the PDOL, CDOL1 and, for the second GENERATE AC, CDOL2, one behind the other.
        unpredictable_number: 9F37.

    Raises:
        CertificateInvalid: it does not hold.
    """
    what = "signed dynamic application data"
    by_tag = {item.tag: item.value for item in objects}
    signed = by_tag.get(0x9F4B)
    if signed is None:
        raise CertificateInvalid(what, Reason.MISSING)
    dynamic = CombinedData.parse(what, open_dynamic(what, key, signed, unpredictable_number))
    told = b"".join(encode(item.tag, item.value) for item in objects if item.tag != 0x9F4B)
    if by_tag.get(0x9F27) != bytes((dynamic.information,)) or dynamic.transaction_hash != transaction_hash(
        command_values, told
    ):
        raise CertificateInvalid(what, Reason.CRYPTOGRAM)
    return dynamic


def answer_objects(name: str, data: bytes) -> tuple[Tlv, ...]:
    """Data objects of an answer in format 2 (77). Raises ProtocolError."""
    templates = parse_tlv(data)
    if len(templates) != 1 or templates[0].tag != 0x77:
        raise ProtocolError(f"{name}: neither template 80 nor 77 at byte 0")
    return templates[0].children
