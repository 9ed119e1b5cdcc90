"""Terminal risk management: floor limit, random selection, velocity (EMV Book 3, 10.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cardreader.emv.bits import Tvr
from cardreader.emv.settings import TerminalSettings

GetData = Callable[[int], bytes | None]
"""GET DATA of a tag: the value, or None when the card does not tell it."""


def check(
    amount_fen: int,
    settings: TerminalSettings,
    objects: Mapping[int, bytes],
    get_data: GetData,
    random_percent: Callable[[], int],
) -> Tvr:
    """What speaks for going online.

    Args:
        amount_fen: of the transaction.
        settings: limits and targets.
        objects: the card's, by tag.
        get_data: asked for the counters, only when the card has limits for them and the terminal could do without
            going online.
        random_percent: gives 1 to 99.

    Returns:
        Bits of the TVR's bytes 2 and 4.
    """
    tvr = Tvr(0)
    if amount_fen >= settings.floor_limit_fen:
        tvr |= Tvr.FLOOR_LIMIT_EXCEEDED
    elif not settings.offline_only and random_percent() <= _target(amount_fen, settings):
        tvr |= Tvr.SELECTED_RANDOMLY
    lower, upper = objects.get(0x9F14), objects.get(0x9F23)
    if lower is not None and upper is not None and not settings.online_only:
        tvr |= _velocity(lower, upper, get_data)
    return tvr


def _target(amount_fen: int, settings: TerminalSettings) -> int:
    """Percentage of transactions of this amount that go online; rises from the threshold to the floor limit."""
    threshold, target = settings.random_threshold_fen, settings.random_target
    if amount_fen < threshold:
        return target
    share = (amount_fen - threshold) / (settings.floor_limit_fen - threshold)
    return round((settings.random_maximum - target) * share) + target


def _velocity(lower: bytes, upper: bytes, get_data: GetData) -> Tvr:
    atc, last_online = get_data(0x9F36), get_data(0x9F13)
    tvr = Tvr.NEW_CARD if last_online is not None and not int.from_bytes(last_online) else Tvr(0)
    if atc is None or last_online is None or int.from_bytes(atc) <= int.from_bytes(last_online):
        return tvr | Tvr.LOWER_LIMIT_EXCEEDED | Tvr.UPPER_LIMIT_EXCEEDED
    since = int.from_bytes(atc) - int.from_bytes(last_online)
    if since > int.from_bytes(lower):
        tvr |= Tvr.LOWER_LIMIT_EXCEEDED
    if since > int.from_bytes(upper):
        tvr |= Tvr.UPPER_LIMIT_EXCEEDED
    return tvr
