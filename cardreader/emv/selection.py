"""Which applications a card and the terminal share, and selecting one (EMV Book 1, 12; PPSE: Book B, 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.emv.settings import Application, Interface
from cardreader.errors import ApplicationBlocked, ProtocolError, StatusError
from cardreader.tlv import Tlv, find, parse

PSE = b"1PAY.SYS.DDF01"
PPSE = b"2PAY.SYS.DDF01"
_NO_RECORD = 0x6A83
_INVALIDATED = 0x6283
_BLOCKED_OR_UNSUPPORTED = 0x6A81
_FIRST, _NEXT = 0x00, 0x02
_AID_SIZES = range(5, 17)
_MAX_SFI = 10
_MAX_RECORDS = 255
_MAX_APPLICATIONS = 30
"""A card that goes on naming applications has an end here."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An application that both sides support.

    Attributes:
        aid: DF name on the card.
        application: the terminal's entry for it.
        label: what to call it: 9F12 when its code table is Latin, else 50.
        priority: 1 is the highest, 0 none (87, low digit).
        confirmation: it is not to be chosen without asking the holder (87, bit 8).
    """

    aid: bytes
    application: Application
    label: str = ""
    priority: int = 0
    confirmation: bool = False


@dataclass(frozen=True, slots=True)
class Fci:
    """What an application says of itself when it is selected.

    Attributes:
        name: 84.
        objects: data objects of A5 and BF0C by tag; the first of each.
    """

    name: bytes
    objects: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> Fci:
        """Reads an FCI template.

        Raises:
            ProtocolError: cut off, or without 6F, 84 or A5; says which, and at which byte.

        >>> Fci.parse(bytes.fromhex("6F0D 8405A000000333 A504 50024142")).objects[0x50]
        b'AB'
        """
        templates = parse(data)
        if not templates or templates[0].tag != 0x6F:
            raise ProtocolError("FCI: no template 6F at byte 0")
        inside = templates[0].children
        name = next((item.value for item in inside if item.tag == 0x84), None)
        proprietary = next((item for item in inside if item.tag == 0xA5), None)
        if name is None or proprietary is None:
            raise ProtocolError(f"FCI: no {'84' if name is None else 'A5'} in the template at byte 0")
        objects: dict[int, bytes] = {}
        for item in proprietary.children:
            objects.setdefault(item.tag, item.value)
            for inner in item.children if item.tag == 0xBF0C else ():
                objects.setdefault(inner.tag, inner.value)
        return cls(name, objects)


def candidates(
    channel: Channel, interface: Interface, applications: Sequence[Application], *, passed_over: bool = False
) -> list[Candidate]:
    """The applications that both sides support, best first; asks the card's directory, then each AID.

    Args:
        passed_over: also those that no terminal would offer: the directory's that this one does not support, and where there
            is none, blocked ones.

    Raises:
        ApplicationBlocked: the card is blocked.
        ProtocolError: the PPSE is garbled, or an application that was asked for by its AID.
    """
    if interface is Interface.CONTACT:
        try:
            directory = _payment_directory(channel)
        except ProtocolError:  # a PSE that fails is none: there are the AIDs (EMV Book 1, 12.3.2)
            directory = [], b""
    else:
        directory = _proximity_directory(channel), b""
    found = _matching(*directory, applications)
    if not found and interface is Interface.CONTACT:
        found = list(_by_name(channel, applications, blocked=passed_over))
    if passed_over:
        supported = {one.aid for one in found}
        others = {
            item.value for entry in directory[0] for item in entry.children if item.tag == 0x4F
        } - supported
        found += _matching(*directory, [Application(aid, partial=False) for aid in sorted(others)])
    return sorted(found, key=lambda candidate: candidate.priority or 16)


def select(channel: Channel, candidate: Candidate, *, blocked: bool = False) -> Fci:
    """Selects an application for good.

    Args:
        blocked: also one that its issuer has blocked (6283).

    Raises:
        ApplicationNotFound, ApplicationBlocked, StatusError: the card does not let it be selected.
        ProtocolError: its FCI is garbled, or of another application.
    """
    data, sw = channel.send(_select(candidate.aid))
    if not (blocked and sw == _INVALIDATED):
        status.checked("SELECT", (data, sw), selecting=True)
    fci = Fci.parse(data)
    if fci.name != candidate.aid:
        raise ProtocolError(f"SELECT {candidate.aid.hex().upper()}: {fci.name.hex().upper()} was selected")
    return fci


def _select(name: bytes, occurrence: int = _FIRST) -> Command:
    return Command(0x00, 0xA4, 0x04, occurrence, name, MAX_LE)


def _payment_directory(channel: Channel) -> tuple[list[Tlv], bytes]:
    """The entries (61) of the PSE, none when the card has none that can be used, and its issuer code table (9F11)."""
    data, sw = channel.send(_select(PSE))
    if sw == _BLOCKED_OR_UNSUPPORTED:
        raise ApplicationBlocked("SELECT", sw, status.meaning(sw))
    if sw != status.OK:
        return [], b""
    objects = Fci.parse(data).objects
    sfi = objects.get(0x88, b"")
    if len(sfi) != 1 or not 1 <= sfi[0] <= _MAX_SFI:
        return [], b""
    entries: list[Tlv] = []
    for number in range(1, _MAX_RECORDS + 1):
        data, sw = channel.send(Command(0x00, 0xB2, number, sfi[0] << 3 | 4, le=MAX_LE))
        if sw == _NO_RECORD:
            break
        if sw != status.OK:
            return [], b""
        record = parse(data)
        if len(record) != 1 or record[0].tag != 0x70:
            raise ProtocolError(f"PSE: record {number} has no template 70 at byte 0")
        entries += [item for item in record[0].children if item.tag == 0x61]
    return entries, objects.get(0x9F11, b"")


def _proximity_directory(channel: Channel) -> list[Tlv]:
    data = status.checked("SELECT PPSE", channel.send(_select(PPSE)), selecting=True)
    directory = find(data, 0x6F, 0xA5, 0xBF0C)
    if directory is None:
        raise ProtocolError("PPSE: no directory 6F/A5/BF0C")
    return [item for item in parse(directory) if item.tag == 0x61]


def _matching(
    entries: Sequence[Tlv], code_table: bytes, applications: Sequence[Application]
) -> list[Candidate]:
    found = []
    for entry in entries:
        objects = {0x9F11: code_table, **{item.tag: item.value for item in reversed(entry.children)}}
        aid = objects.get(0x4F, b"")
        application = _supported(aid, applications)
        if application is not None:
            found.append(_candidate(aid, application, objects))
    return found


def _supported(aid: bytes, applications: Sequence[Application]) -> Application | None:
    if len(aid) not in _AID_SIZES:
        return None
    exact = (item for item in applications if item.aid == aid)
    partial = (item for item in applications if item.partial and aid.startswith(item.aid))
    return next(exact, None) or next(partial, None)


def _by_name(channel: Channel, applications: Sequence[Application], *, blocked: bool) -> Iterator[Candidate]:
    """Tries the terminal's AIDs one by one (EMV Book 1, 12.3.3)."""
    seen: set[bytes] = set()
    for application in applications:
        data, sw = channel.send(_select(application.aid))
        while sw in (status.OK, _INVALIDATED):
            if sw == _INVALIDATED and not data:  # under T=0 a card cannot warn and tell
                if blocked:
                    yield Candidate(application.aid, application)
                break
            fci = Fci.parse(data)
            if fci.name in seen or not fci.name.startswith(application.aid):
                break
            seen.add(fci.name)
            whole = fci.name == application.aid
            if (sw == status.OK or blocked) and (whole or application.partial):
                yield _candidate(fci.name, application, fci.objects)
            if not application.partial or len(seen) >= _MAX_APPLICATIONS:
                break
            data, sw = channel.send(_select(application.aid, _NEXT))
        if sw == _BLOCKED_OR_UNSUPPORTED and not seen:
            raise ApplicationBlocked("SELECT", sw, status.meaning(sw))


def _candidate(aid: bytes, application: Application, objects: dict[int, bytes]) -> Candidate:
    indicator = objects.get(0x87, b"\x00")
    value = indicator[0] if indicator else 0
    return Candidate(aid, application, _label(objects), value & 0x0F, bool(value & 0x80))


def _label(objects: dict[int, bytes]) -> str:
    preferred, code_table = objects.get(0x9F12), objects.get(0x9F11)
    if preferred and code_table == b"\x01":
        return preferred.decode("latin-1").strip()
    return objects.get(0x50, b"").decode("latin-1").strip()


def first_selectable(channel: Channel, found: Sequence[Candidate]) -> tuple[Candidate, Fci]:
    """Selects the first candidate that the card lets be selected (EMV Book 1, 12.4, step 4).

    Raises:
        StatusError: what the card said to the last one, e.g. ApplicationBlocked; ApplicationNotFound without any.
    """
    refusal: StatusError = status.error("SELECT", 0x6A82, selecting=True)
    for candidate in found:
        try:
            return candidate, select(channel, candidate)
        except StatusError as error:
            refusal = error
    raise refusal
