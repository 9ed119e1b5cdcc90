"""Terminal action analysis: which cryptogram to ask for (EMV Book 3, 10.7)."""

from __future__ import annotations

from collections.abc import Mapping

from cardreader.emv.bits import Ac, Tvr
from cardreader.emv.settings import TerminalSettings

_IAC_DEFAULT, _IAC_DENIAL, _IAC_ONLINE = 0x9F0D, 0x9F0E, 0x9F0F
_ALL, _NONE = b"\xff" * 5, bytes(5)


def first(tvr: Tvr, objects: Mapping[int, bytes], settings: TerminalSettings) -> Ac:
    """What to ask for in the first GENERATE AC: AAC, ARQC or TC."""
    if _hit(tvr, objects.get(_IAC_DENIAL, _NONE), settings.tac_denial):
        return Ac.AAC
    if settings.offline_only:
        return _without_online(tvr, objects, settings)
    if settings.online_only or _hit(tvr, objects.get(_IAC_ONLINE, _ALL), settings.tac_online):
        return Ac.ARQC
    return Ac.TC


def unable_to_go_online(tvr: Tvr, objects: Mapping[int, bytes], settings: TerminalSettings) -> Ac:
    """What to ask for in the second GENERATE AC when the issuer could not be reached: AAC or TC."""
    if settings.online_only:
        return Ac.AAC
    return _without_online(tvr, objects, settings)


def _without_online(tvr: Tvr, objects: Mapping[int, bytes], settings: TerminalSettings) -> Ac:
    return Ac.AAC if _hit(tvr, objects.get(_IAC_DEFAULT, _ALL), settings.tac_default) else Ac.TC


def _hit(tvr: Tvr, issuer: bytes, terminal: bytes) -> bool:
    return bool(tvr & (int.from_bytes(issuer) | int.from_bytes(terminal)))
