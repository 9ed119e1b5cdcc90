"""What the library has compiled of statements, kept once a process: every role has two engines, and each of them would
compile whatever it meets anew.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.util import LRUCache

MOST = 2_000
"""So many statements are kept; the TSP's, with those of ``check``, are some four hundred."""


class _ByKind(LRUCache[Any, Any]):
    """The library's own, but for that one engine finds what another one of its kind has put there.

    A key begins with the engine's dialect. What is compiled depends on its name and its compiler alone, which connections
    that only read have one of their own of.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_kind(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_of_kind(key), value)


def _of_kind(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *statement = key
    return dialect.name, dialect.statement_compiler, *statement


SHARED = {"compiled_cache": _ByKind(MOST)}
"""For ``create_engine``, as ``execution_options``."""
