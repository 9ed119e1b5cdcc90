"""The URLs that readers come from."""

from __future__ import annotations

from cardreader.errors import ReaderUnavailable
from cardreader.reader import Reader


def open_reader(url: str, state_dir: str | None = None) -> Reader:
    """Opens the reader that a URL names.

    Args:
        url: ``pcsc:`` (the first reader that has a card, else the first; another can be chosen), ``pcsc:NAME`` (part of a reader's
            name), ``sim:`` (an empty simulated slot) or ``sim:PROFILE`` (with that card in it).
        state_dir: folder in which simulated cards keep their state; None keeps it in memory.

    Raises:
        ReaderUnavailable: unknown scheme or profile, with what would be right. A ``pcsc:`` reader that is not
            there *now* is no error here: its methods raise it, so that a reader plugged in later works.
        ProtocolError: the stored state of the simulated card is damaged.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sim":
        from cardreader.sim.reader import SimReader

        return SimReader(rest or None, state_dir)
    if scheme == "pcsc":
        from cardreader.choosing import ChoosingReader  # pyscard takes its time
        from cardreader.pcsc import PcscReader

        return PcscReader(rest) if rest else ChoosingReader()
    raise ReaderUnavailable(f"{url!r}: a reader URL begins with 'pcsc:' or 'sim:'")
