"""What an issuer script command does to an application (cards.md, D7). Pure: a state in, a state out."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cardreader.apdu import Command
from cardreader.emv import dol
from cardreader.errors import ProtocolError
from cardreader.sim.cos import Refusal
from cardreader.sim.emv.issuer_keys import CardKeys
from cardreader.sim.emv.personalisation import MAX_RECORD, Personalised
from cardreader.sim.emv.profile import EmvProfile
from cardreader.sim.emv.secure_messaging import MAC_SIZE, command_mac, deciphered_pin
from cardreader.sim.emv.state import ApplicationState
from cardreader.tlv import parse

_EC_BALANCE, _EC_BALANCE_LIMIT = 0x9F79, 0x9F77
_DES_BLOCK = 8


@dataclass(frozen=True, slots=True)
class Effect:
    """What a command has done.

    Attributes:
        state: the application afterwards.
        blocks_card: the whole card is blocked.
    """

    state: ApplicationState
    blocks_card: bool = False


def carry_out(
    command: Command,
    state: ApplicationState,
    contents: Personalised,
    card: EmvProfile,
    session: CardKeys,
    atc: bytes,
    cryptogram: bytes,
    asked: Mapping[int, bytes],
) -> Effect:
    """Checks the MAC and does what the command says.

    Args:
        command: with its MAC at the end of the data.
        state: the application before.
        contents, card: what it was made with.
        session: keys of the transaction.
        atc, cryptogram: of the transaction; the cryptogram is the first GENERATE AC's.
        asked: values of CDOL1, for the load log.

    Raises:
        Refusal: 6987 no MAC, 6988 another one; 6A80, 6A83, 6A84, 6A86, 6A88 as ISO 7816-4 has them.
    """
    if len(command.data) < MAC_SIZE:
        raise Refusal(0x6987)
    data, mac = command.data[:-MAC_SIZE], command.data[-MAC_SIZE:]
    plain = replace(command, data=data, le=None)
    if not hmac.compare_digest(mac, command_mac(session, plain, atc, cryptogram)):
        raise Refusal(0x6988)
    match command.ins:
        case 0xDA:
            return Effect(_put_data(plain, state, contents, atc, asked))
        case 0xDC:
            return Effect(_update_record(plain, state, contents))
        case 0x24:
            return Effect(_pin_change(plain, state, card, session))
        case _:
            return _block(plain, state)


def _put_data(
    command: Command,
    state: ApplicationState,
    contents: Personalised,
    atc: bytes,
    asked: Mapping[int, bytes],
) -> ApplicationState:
    tag, value = command.p1 << 8 | command.p2, command.data
    before = state.objects.get(tag, contents.objects.get(tag))
    if tag not in contents.profile.writable or before is None:
        raise Refusal(0x6A88)
    if len(value) != len(before):
        raise Refusal(0x6A80)
    changed = replace(state, objects={**state.objects, tag: value})
    if tag != _EC_BALANCE:
        return changed
    limit = state.objects.get(_EC_BALANCE_LIMIT, contents.objects.get(_EC_BALANCE_LIMIT))
    if not value.hex().isdecimal() or (limit is not None and value > limit):
        raise Refusal(0x6A80)
    values = {**asked, 0x9F36: atc}
    record = bytes((command.p1, command.p2)) + before + value + dol.fill(contents.load_log_format, values)
    return replace(changed, load_log=(record, *state.load_log)[: contents.profile.load_log_records])


def _update_record(command: Command, state: ApplicationState, contents: Personalised) -> ApplicationState:
    sfi, number, record = command.p2 >> 3, command.p1, command.data
    if command.p2 & 0x07 != 0x04:
        raise Refusal(0x6A86)
    if (sfi, number) not in contents.records:
        raise Refusal(0x6A83 if sfi in contents.profile.files else 0x6A82)
    if len(record) > MAX_RECORD:
        raise Refusal(0x6A84)
    try:
        found = parse(record)
    except ProtocolError:
        raise Refusal(0x6A80) from None
    if [tlv.tag for tlv in found] != [0x70]:
        raise Refusal(0x6A80)
    return replace(state, records={**state.records, (sfi, number): record})


def _pin_change(
    command: Command, state: ApplicationState, card: EmvProfile, session: CardKeys
) -> ApplicationState:
    if command.p1 != 0x00 or command.p2 not in (0x00, 0x01, 0x02):
        raise Refusal(0x6A86)
    unblocked = replace(state, pin_tries_left=card.pin_tries)
    if command.p2 == 0x00:
        if command.data:
            raise Refusal(0x6700)
        return unblocked
    if not command.data or len(command.data) % _DES_BLOCK:
        raise Refusal(0x6700)
    pin = deciphered_pin(card.keys, session, command.data, state.pin if command.p2 == 0x01 else None)
    if pin is None:
        raise Refusal(0x6A80)
    return replace(unblocked, pin=pin)


def _block(command: Command, state: ApplicationState) -> Effect:
    if (command.p1, command.p2) != (0, 0):
        raise Refusal(0x6A86)
    if command.data:
        raise Refusal(0x6700)
    if command.ins == 0x16:
        return Effect(replace(state, blocked=True), blocks_card=True)
    return Effect(replace(state, blocked=command.ins == 0x1E))
