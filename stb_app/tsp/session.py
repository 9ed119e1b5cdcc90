"""How requests travel to the TSP: over kept connections, and never for longer than somebody waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

PART_BYTES = 16_384
LONGEST_ANSWER_BYTES = 1_000_000
"""Ten times the longest that a TSP has to say; whoever says more is none."""


def new_session(authority: Path | None) -> requests.Session:
    """A session for one TSP.

    Args:
        authority: file of the certificate authority that its certificate is from; None: those of the system.
    """
    session = requests.Session()
    session.trust_env = False
    if authority is not None:
        session.verify = str(authority)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


class _Adapter(HTTPAdapter):
    """Gives up on an answer that does not come to its end: the library's time-out begins anew with every byte."""

    def send(self, request: requests.PreparedRequest, *args: Any, **named: Any) -> requests.Response:
        """``timeout`` is (seconds to connect, seconds to the end of the answer)."""
        until = time.monotonic() + sum(named["timeout"])
        answer = super().send(request, *args, **{**named, "stream": True})
        answer.raw = _Bounded(answer.raw, until)
        return answer


class _Bounded:
    """An answer's body as it comes in (urllib3), until an instant and up to a size."""

    def __init__(self, raw: Any, until: float) -> None:
        self._raw = raw
        self._until = until

    def stream(self, amount: int, decode_content: bool = True) -> Iterator[bytes]:
        """Raises requests.ReadTimeout, requests.exceptions.ContentDecodingError."""
        size = 0
        while part := self._raw.read1(PART_BYTES, decode_content=decode_content):
            size += len(part)
            if size > LONGEST_ANSWER_BYTES:
                self._raw.close()
                raise requests.exceptions.ContentDecodingError("the answer has no end")
            yield part
            if time.monotonic() > self._until:
                self._raw.close()
                raise requests.ReadTimeout("the answer does not come to its end")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)
