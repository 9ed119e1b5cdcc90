"""Published test vectors: what a function must give for inputs that somebody else computed.

They stand beside the code they prove, in a module's ``VECTORS``; one generic test walks all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vector:
    """One known answer.

    Attributes:
        name: where it comes from and what it is, e.g. ``"V1 MAC1"``.
        function: the function that is proved.
        arguments: its keyword arguments.
        expected: what it returns.
    """

    name: str
    function: Callable[..., bytes]
    arguments: Mapping[str, object]
    expected: bytes
