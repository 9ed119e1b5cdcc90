"""The classes of differences, as statements over the records that two books have of the parts that differ.

Tables ``here`` and ``there`` (key, amount, currency, status, day, note, old), ``malformed_here`` and ``malformed_there``
(number, line, key) and ``carried`` are there; ``found`` is made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_stub.reconciliation.records import SIDES, Cls, Side
from server_stub.reconciliation.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server_stub.reconciliation.pair import Pair

ORDER = tuple(Cls)
"""In which several findings of one key are told."""
_RECORD = "{{'amount': {0}.amount, 'currency': {0}.currency, 'status': {0}.status, 'day': {0}.day, 'note': {0}.note}}"


def statements(pair: Pair, slices: int) -> Iterator[str]:
    """What makes ``found``: cls, key, here, there, many, side, number, line, fen.

    Args:
        slices: the keys are taken in so many turns; each must fit into memory.
    """
    for side in SIDES:
        # What has come today is of today; only where nothing has, what was left over from another day is tried.
        come = f"SELECT key FROM {side} WHERE key IN (SELECT key FROM carried WHERE side = '{side}')"
        yield (
            f"INSERT INTO {side} SELECT key, amount, currency, status, day, note, true FROM carried"
            f" WHERE side = '{side}' AND key NOT IN ({come})"
            " QUALIFY row_number() OVER (PARTITION BY key ORDER BY day DESC, number DESC) = 1"
        )
    for turn in range(slices):
        some = f"WHERE hash(key) % {slices} = {turn}" if slices > 1 else ""
        for side in SIDES:
            yield f"CREATE OR REPLACE VIEW {side}_now AS SELECT * FROM {side} {some}"
            yield (
                f"CREATE OR REPLACE TABLE twice_{side} AS SELECT key, count(*) AS n, sum(amount) AS fen"
                f" FROM {side}_now GROUP BY key HAVING count(*) > 1"
            )
        found = _single(pair)
        yield f"INSERT INTO found {found}" if turn else f"CREATE TABLE found AS {found}"
        yield _twice("here", Cls.DUPLICATE_HERE)
        yield _twice("there", Cls.DUPLICATE_THERE)
    for side in SIDES:
        yield (
            f"INSERT INTO found SELECT {quoted(Cls.MALFORMED)}, coalesce(key, 'line ' || number || ' {side}'),"
            f" NULL, NULL, NULL, '{side}', number, line, 0 FROM malformed_{side}"
        )


def _single(pair: Pair) -> str:
    """Keys that neither book has twice."""
    both = "SELECT key FROM twice_here UNION SELECT key FROM twice_there"
    single = f"SELECT * FROM {{}}_now WHERE key NOT IN ({both})"
    joined = f"({single.format('here')}) h FULL JOIN ({single.format('there')}) t ON h.key = t.key"
    # A record whose partner stands in a line that is spoilt is not missing there.
    spoilt = "SELECT key FROM malformed_{} WHERE key IS NOT NULL"
    known = "SELECT key FROM carried WHERE known"
    select = (
        f"SELECT {_cls(pair)} AS cls, coalesce(h.key, t.key) AS key,"
        f" CASE WHEN h.key IS NOT NULL THEN {_RECORD.format('h')} END AS here,"
        f" CASE WHEN t.key IS NOT NULL THEN {_RECORD.format('t')} END AS there,"
        " NULL::BIGINT AS many, NULL::VARCHAR AS side, NULL::BIGINT AS number, NULL::VARCHAR AS line,"
        f" coalesce(h.amount, t.amount)::HUGEINT AS fen FROM {joined}"
        # One that was left over, and finds nobody today either, was told of on its day; not so one whose partner has gone.
        f" WHERE NOT (t.key IS NULL AND h.old AND h.key NOT IN ({known})) AND NOT (h.key IS NULL AND t.old)"
        f" AND NOT (t.key IS NULL AND h.key IN ({spoilt.format('there')}))"
        f" AND NOT (h.key IS NULL AND t.key IN ({spoilt.format('here')}))"
    )
    # Of what is matched only the amounts are wanted.
    agree = f"cls = {quoted(Cls.MATCHED)}"
    narrow = f"CASE WHEN {agree} THEN NULL ELSE key END AS key"
    narrow += "".join(f", CASE WHEN {agree} THEN NULL ELSE {side} END AS {side}" for side in SIDES)
    return f"SELECT * REPLACE ({narrow}) FROM ({select})"


def _twice(side: Side, cls: Cls) -> str:
    """Keys that a book has more than once, with one of the rows of each book."""
    ones = {
        name: f"(SELECT key, min({_RECORD.format(name + '_now')}) AS one FROM {name}_now"
        f" WHERE key IN (SELECT key FROM twice_{side}) GROUP BY key)"
        for name in SIDES
    }
    return (
        f"INSERT INTO found SELECT {quoted(cls)}, d.key, h.one, t.one, d.n, NULL, NULL, NULL,"
        f" d.fen - {'h' if side == 'here' else 't'}.one.amount FROM twice_{side} d"
        f" LEFT JOIN {ones['here']} h ON d.key = h.key LEFT JOIN {ones['there']} t ON d.key = t.key"
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
