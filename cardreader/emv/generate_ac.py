"""GENERATE AC: asking for a cryptogram and reading the answer (EMV Book 3, 6.5.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.emv.authentication import answer_objects, check_combined
from cardreader.emv.bits import Ac
from cardreader.emv.certificates import PublicKey
from cardreader.errors import ProtocolError
from cardreader.tlv import Tlv, parse

_CDA = 0x10
_TYPE = 0xC0
_ALLOWED = {Ac.TC: (Ac.TC, Ac.ARQC, Ac.AAC), Ac.ARQC: (Ac.ARQC, Ac.AAC), Ac.AAC: (Ac.AAC,)}
_AC_SIZE, _ATC_SIZE = 8, 2
_MAX_IAD = 32
_MAX_DATA = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What the card answered.

    Attributes:
        kind: type of the cryptogram.
        information: CID, 9F27.
        atc: 9F36, 2 bytes.
        cryptogram: 9F26, 8 bytes; empty while it is still inside a CDA signature (see `opened`).
        issuer_data: 9F10, may be empty.
        objects: data objects of an answer in format 2, in their order; empty for format 1.
    """

    kind: Ac
    information: int
    atc: bytes
    cryptogram: bytes
    issuer_data: bytes
    objects: tuple[Tlv, ...] = ()

    def values(self) -> Mapping[int, bytes]:
        """Its data objects for the issuer."""
        return {
            0x9F27: bytes((self.information,)),
            0x9F36: self.atc,
            0x9F26: self.cryptogram,
            **({0x9F10: self.issuer_data} if self.issuer_data else {}),
        }

    def opened(self, key: PublicKey, command_values: bytes, unpredictable_number: bytes) -> Answer:
        """The same answer with the cryptogram of its CDA signature (arguments as `check_combined`).

        Raises:
            CertificateInvalid: the signature does not hold, or there is none.
        """
        combined = check_combined(key, self.objects, command_values, unpredictable_number)
        return Answer(
            self.kind, self.information, self.atc, combined.cryptogram, self.issuer_data, self.objects
        )


def generate_ac(channel: Channel, requested: Ac, values: bytes, *, combined: bool = False) -> Answer:
    """Asks for a cryptogram.

    Args:
        channel: to the card.
        requested: the type; the card may answer with a lesser one.
        values: of CDOL1 or CDOL2.
        combined: whether a CDA signature is wanted.

    Raises:
        StatusError: 6985, the transaction is not in a state for it.
        ProtocolError: the answer is garbled, or of a type that was not to be had.
    """
    if len(values) > _MAX_DATA:
        raise ProtocolError(f"CDOL: {len(values)} bytes of values, a command holds {_MAX_DATA}")
    command = Command(0x80, 0xAE, requested | (_CDA if combined else 0), 0x00, values, MAX_LE)
    answer = parse_answer(status.checked("GENERATE AC", channel.send(command)))
    if answer.kind not in _ALLOWED[requested]:
        raise ProtocolError(f"GENERATE AC: {answer.kind.name} came, {requested.name} was asked for")
    if not answer.cryptogram and (answer.kind is Ac.AAC or not combined):
        raise ProtocolError("GENERATE AC: no 9F26")
    return answer


def parse_answer(data: bytes) -> Answer:
    """Reads an answer in format 1 (80) or 2 (77).

    Raises:
        ProtocolError: garbled; says where.
    """
    templates = parse(data)
    objects: tuple[Tlv, ...] = ()
    if len(templates) == 1 and templates[0].tag == 0x80:
        value = templates[0].value
        head = 1 + _ATC_SIZE + _AC_SIZE
        if not head <= len(value) <= head + _MAX_IAD:
            raise ProtocolError(f"GENERATE AC: {head} to {head + _MAX_IAD} bytes expected, {len(value)} came")
        cid, atc, cryptogram, issuer_data = value[:1], value[1:3], value[3:head], value[head:]
    else:
        objects = answer_objects("GENERATE AC", data)
        by_tag = {item.tag: item.value for item in objects}
        cid, atc = by_tag.get(0x9F27, b""), by_tag.get(0x9F36, b"")
        cryptogram, issuer_data = by_tag.get(0x9F26, b""), by_tag.get(0x9F10, b"")
        sizes = len(cid) == 1 and len(atc) == _ATC_SIZE and len(cryptogram) in (0, _AC_SIZE)
        if not sizes or len(issuer_data) > _MAX_IAD:
            raise ProtocolError("GENERATE AC: 9F27, 9F36, 9F26 or 9F10 is missing or of another length")
    if cid[0] & _TYPE == _TYPE:
        raise ProtocolError(f"GENERATE AC: no type of cryptogram: {cid[0]:02X}")
    return Answer(Ac(cid[0] & _TYPE), cid[0], atc, cryptogram, issuer_data, objects)
