"""What a layout means to DuckDB: the expressions that make a record of a line, and tell whether it is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time

from server_stub.reconciliation.layout import FEN, FIRST_DAY, LAST_DAY, REPLACED, YUAN, Column, Layout
from server_stub.reconciliation.pair import Book
from server_stub.reconciliation.reading import Prepared


def quoted(text: str) -> str:
    """A literal.

    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What DuckDB makes of the lines of a file.

    Args:
        select: of a column ``line``: key, amount, currency, status, day and ``sound``; ``{source}`` stands for where from,
            ``{more}`` for other expressions over ``f``, the fields of the line.
        well: of those columns: whether the line is a record, true or not or NULL; they are right only where it is.
        first_key: the key of a well-formed line, of the line alone: that is cheaper.
        seen_key: of ``f``: the key of any line, as far as it can be recognised; else NULL.
        note: of ``f``.
    """

    select: str
    well: str
    first_key: str
    seen_key: str
    note: str

    def rows(self, source: str, **more: str) -> str:
        """A table expression with these columns, and others by name."""
        also = "".join(f", {expression} AS {name}" for name, expression in more.items())
        return f"({self.select.format(source=source, more=also)})"


def parsed(prepared: Prepared, book: Book, day: date, currency: str) -> Parsed:
    """The expressions for a file of one book of a pair.

    Args:
        day, currency: of records that name none.
    """
    layout = prepared.layout
    named = {column.name: column for column in layout.columns}
    raw = {name: f"f[{number}]" for number, name in enumerate(named, 1)}
    sound = [f"len(f) = {len(raw)}"]
    if layout.form == "fixed":
        sound = [f"length(line) = {sum(column.width or 0 for column in layout.columns)}"]
    if prepared.dirty:
        sound.append(f"NOT contains(line, {quoted(REPLACED)})")
    sound += [f"{raw[name]} <> ''" for name in layout.key]
    for name, column in named.items():
        if column.kind == "constant":
            sound.append(f"{raw[name]} = {quoted(column.value)}")
        elif column.kind != "text" and name not in ("amount", "day"):
            sound.append(f"{_value(column, raw[name], day, None)} IS NOT NULL")
    status = raw.get("status", "''")
    if book.statuses:
        status = _renamed(status, book.statuses, "NULL")
    money = raw.get("currency", quoted(layout.currency or currency))
    if book.currencies:
        money = _renamed(money, book.currencies, money)
    key = f" || {quoted(layout.joined_by)} || ".join(raw[name] for name in layout.key)
    columns = {
        "key": key,
        "amount": _value(named["amount"], raw["amount"], day, None),
        "currency": money,
        "status": status,
        "day": _value(named["day"], raw["day"], day, layout.cut_off) if "day" in named else _literal(day),
        "sound": " AND ".join(sound),
    }
    select = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    fields = f"(SELECT *, {_fields(layout)} AS f FROM {{source}})"
    seen = " AND ".join(
        f"{raw[name]} <> '' AND NOT contains({raw[name]}, {quoted(REPLACED)})" for name in layout.key
    )
    return Parsed(
        # Braces of what the layout says are not ours.
        select=f"SELECT {_braced(select)}{{more}} FROM {_braced(fields, '{source}')}",
        well="sound AND amount IS NOT NULL AND status IS NOT NULL AND day IS NOT NULL",
        first_key=_first_key(layout),
        seen_key=f"CASE WHEN {seen} THEN {key} END",
        note=_note(layout, raw),
    )


def _braced(text: str, kept: str = "") -> str:
    doubled = text.replace("{", "{{").replace("}", "}}")
    return doubled.replace(kept.replace("{", "{{").replace("}", "}}"), kept) if kept else doubled


def lines(prepared: Prepared, *, numbered: bool = False) -> str:
    """What can be selected from: ``line``, and ``number`` where that is wanted, of all lines but header and trailer."""
    unused = set("\x01\x02\x03\x04\x05\x06") - {*prepared.layout.separator, *prepared.layout.strip}
    options = f"delim={quoted(min(unused))}, header=false, skip={prepared.skip}, auto_detect=false, quote='', escape=''"
    options += ", new_line='\\n', columns={'line': 'VARCHAR'}, nullstr='', max_line_size=4000000, buffer_size=16000000"
    source = f"SELECT line FROM read_csv({quoted(str(prepared.path))}, {options})"
    if numbered:
        source = f"SELECT line, row_number() OVER () + {prepared.skip} AS number FROM ({source})"
    source = f"SELECT * FROM ({source}) WHERE line <> ''"
    if prepared.trailer is not None:
        source += f" AND line <> {quoted(prepared.trailer)}"
    return f"({source})"


def _fields(layout: Layout) -> str:
    if layout.form == "delimited":
        split = f"string_split(line, {quoted(layout.separator)})"
        return (
            f"list_transform({split}, lambda x: trim(x, {quoted(layout.strip)}))" if layout.strip else split
        )
    parts, start = [], 1
    for column in layout.columns:
        parts.append(_stripped(f"substr(line, {start}, {column.width})", layout.strip or " "))
        start += column.width or 0
    return f"[{', '.join(parts)}]"


def _first_key(layout: Layout) -> str:
    parts = []
    for name in layout.key:
        place = [column.name for column in layout.columns].index(name)
        if layout.form == "fixed":
            before = sum(column.width or 0 for column in layout.columns[:place])
            part = f"substr(line, {before + 1}, {layout.columns[place].width})"
            parts.append(_stripped(part, layout.strip or " "))
        elif place:
            parts.append(
                _stripped(f"split_part(line, {quoted(layout.separator)}, {place + 1})", layout.strip)
            )
        else:
            parts.append(_stripped(f"left(line, instr(line, {quoted(layout.separator)}) - 1)", layout.strip))
    return f" || {quoted(layout.joined_by)} || ".join(parts)


def _stripped(expression: str, strip: str) -> str:
    return f"trim({expression}, {quoted(strip)})" if strip else expression


def _value(column: Column, raw: str, day: date, cut_off: time | None) -> str:
    """NULL, where the field is not of its kind."""
    match column.kind:
        case "fen" | "count":
            # Most numbers look just as they would be written, which is cheaper to see.
            number = f"try_cast({raw} AS INTEGER)"
            usual = f"WHEN strlen({raw}) <= 9 AND {number}::VARCHAR = {raw} THEN {number}::BIGINT"
            return f"CASE {usual} WHEN regexp_full_match({raw}, '{FEN}') THEN {raw}::BIGINT END"
        case "yuan":
            return (
                f"CASE WHEN regexp_full_match({raw}, '{YUAN}') THEN ({raw}::DECIMAL(18, 2) * 100)::BIGINT END"
            )
        case "date":
            at = f"try_strptime({raw}, {quoted(column.pattern)})"
            limits = f"BETWEEN {_literal(FIRST_DAY)} AND {_literal(LAST_DAY)}"
            sound = f"strftime({at}, {quoted(column.pattern)}) = {raw} AND {at}::DATE {limits}"
            on = f"{at}::DATE"
            if cut_off is not None:
                on = f"({at}::DATE + ({at}::TIME >= TIME {quoted(cut_off.isoformat())})::INTEGER)"
            slow = f"WHEN {sound} THEN {on}"
            # Nearly all are of the day itself, which costs next to nothing to see.
            if not any(part in column.pattern for part in ("%H", "%M", "%S")):
                usual = f"WHEN {raw} = {quoted(day.strftime(column.pattern))} THEN {_literal(day)}"
                return f"CASE {usual} {slow} END"
            return f"CASE {slow} END"
    return raw


def _renamed(raw: str, names: Mapping[str, str], other: str) -> str:
    whens = " ".join(f"WHEN {quoted(one)} THEN {quoted(name)}" for one, name in names.items())
    return f"CASE {raw} {whens} ELSE {other} END"


def _note(layout: Layout, raw: Mapping[str, str]) -> str:
    if len(layout.notes) > 1:
        pairs = ", ".join(f"{quoted(name)}, {raw[name]}" for name in sorted(layout.notes))
        return f"json_object({pairs})::VARCHAR"
    return raw[layout.notes[0]] if layout.notes else "''"


def _literal(day: date) -> str:
    return f"DATE '{day.isoformat()}'"
