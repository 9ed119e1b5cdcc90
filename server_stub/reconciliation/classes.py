"""The classes of differences, as statements over the records that two books have of the parts that differ.

Tables ``here`` and ``there`` (key, amount, currency, status, day, note, old), ``malformed_here`` and ``malformed_there``
(number, line, key) and ``carried`` are there; ``found`` is made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_stub.reconciliation.records import SIDES, Cls
from server_stub.reconciliation.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server_stub.reconciliation.pair import Pair

ORDER = tuple(Cls)
"""In which several findings of one key are told."""
_RECORD = "{{'amount': {0}.amount, 'currency': {0}.currency, 'status': {0}.status, 'day': {0}.day, 'note': {0}.note}}"


def statements(pair: Pair) -> Iterator[str]:
    """What makes ``found``: cls, key, here, there, many, side, number, line, fen."""
    for side in SIDES:
        packed = _RECORD.format(side)
        yield (
            f"CREATE TABLE twice_{side} AS SELECT key, count(*) AS n, sum(amount) AS fen, min({packed}) AS one"
            f" FROM {side} GROUP BY key HAVING count(*) > 1"
        )
        # What has come today is of today; only where nothing has, what was left over from another day is tried.
        yield (
            f"INSERT INTO {side} SELECT key, amount, currency, status, day, note, true FROM carried"
            f" WHERE side = '{side}' AND key NOT IN (SELECT key FROM {side})"
            " QUALIFY row_number() OVER (PARTITION BY key ORDER BY day DESC) = 1"
        )
    both = "SELECT key FROM twice_here UNION SELECT key FROM twice_there"
    single = f"SELECT * FROM {{}} WHERE key NOT IN ({both})"
    joined = f"({single.format('here')}) h FULL JOIN ({single.format('there')}) t ON h.key = t.key"
    # A record whose partner stands in a line that is spoilt is not missing there.
    spoilt = "SELECT key FROM malformed_{} WHERE key IS NOT NULL"
    select = (
        f"SELECT {_cls(pair)} AS cls, coalesce(h.key, t.key) AS key,"
        f" CASE WHEN h.key IS NOT NULL THEN {_RECORD.format('h')} END AS here,"
        f" CASE WHEN t.key IS NOT NULL THEN {_RECORD.format('t')} END AS there,"
        " NULL::BIGINT AS many, NULL::VARCHAR AS side, NULL::BIGINT AS number, NULL::VARCHAR AS line,"
        f" coalesce(h.amount, t.amount)::HUGEINT AS fen FROM {joined}"
        # One that was left over, and finds nobody today either, was told of on its day.
        " WHERE NOT (t.key IS NULL AND h.old) AND NOT (h.key IS NULL AND t.old)"
        f" AND NOT (t.key IS NULL AND h.key IN ({spoilt.format('there')}))"
        f" AND NOT (h.key IS NULL AND t.key IN ({spoilt.format('here')}))"
    )
    # Of what is matched only the amounts are wanted.
    agree = f"cls = {quoted(Cls.MATCHED)}"
    narrow = f"CASE WHEN {agree} THEN NULL ELSE key END AS key"
    narrow += "".join(f", CASE WHEN {agree} THEN NULL ELSE {side} END AS {side}" for side in SIDES)
    yield f"CREATE TABLE found AS SELECT * REPLACE ({narrow}) FROM ({select})"
    for side, other, cls in (
        ("here", "there", Cls.DUPLICATE_HERE),
        ("there", "here", Cls.DUPLICATE_THERE),
    ):
        partner = f"(SELECT key, min({_RECORD.format(other)}) AS one FROM {other} GROUP BY key)"
        ours, theirs = ("d.one", "o.one") if side == "here" else ("o.one", "d.one")
        yield (
            f"INSERT INTO found SELECT {quoted(cls)}, d.key, {ours}, {theirs}, d.n, NULL, NULL, NULL,"
            f" d.fen - d.one.amount FROM twice_{side} d LEFT JOIN {partner} o ON d.key = o.key"
        )
        yield (
            f"INSERT INTO found SELECT {quoted(Cls.MALFORMED)}, coalesce(key, 'line ' || number || ' {side}'),"
            f" NULL, NULL, NULL, '{side}', number, line, 0 FROM malformed_{side}"
        )


def _cls(pair: Pair) -> str:
    """The class of a row of the join; the first that holds."""
    back = ", ".join(quoted(status) for status in sorted(pair.reversed)) or "NULL"
    cases = (
        ("t.key IS NULL", Cls.MISSING_THERE),
        ("h.key IS NULL", Cls.MISSING_HERE),
        # Too far apart to be the same: ours has nobody there, and what is there is shown beside it.
        (f"NOT h.old AND NOT t.old AND abs(h.day - t.day) > {pair.window_days}", Cls.MISSING_THERE),
        ("h.currency <> t.currency", Cls.CURRENCY),
        (f"abs(h.amount - t.amount) > {pair.tolerance_fen}", Cls.AMOUNT),
        (f"coalesce(h.status IN ({back}), false) <> coalesce(t.status IN ({back}), false)", Cls.REVERSED),
        ("h.status <> t.status", Cls.STATUS),
        ("h.old OR t.old OR h.day <> t.day", Cls.OTHER_DAY),
        ("h.amount <> t.amount", Cls.TOLERATED),
    )
    whens = " ".join(f"WHEN {holds} THEN {quoted(cls)}" for holds, cls in cases)
    return f"CASE {whens} ELSE {quoted(Cls.MATCHED)} END"
