"""The comparison of two books, beside one with dictionaries, and on a day of a million payments."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_stub.reconciliation import engine
from server_stub.reconciliation.engine import compare
from server_stub.reconciliation.layout import Layout, write
from server_stub.reconciliation.pair import Pair
from server_stub.reconciliation.reading import FileRefused
from server_stub.reconciliation.records import Carried, Cls, Difference, Record, Side
from server_stub.reconciliation.sources import FileSource, RecordSource
from tests.server_stub.reconciliation.pairs import DAY, ENDED, FIXED, PLAIN, STATUSES, pair

Found = set[tuple[Cls, str, Record | None, Record | None]]
RECORDS = st.builds(
    Record,
    key=st.sampled_from([f"K{number}" for number in range(8)]),
    amount_fen=st.sampled_from([100, 101, 105, -100]),
    currency=st.sampled_from(["CNY", "CNY", "HKD"]),
    status=st.sampled_from(["S", "S", "R", "F"]),
    day=st.sampled_from([DAY, DAY, DAY, *(DAY + timedelta(days=away) for away in (-2, -1, 1))]),
)
BOOKS = st.lists(RECORDS, max_size=8)


def common(record: Record) -> Record:
    return replace(record, status=STATUSES[record.status])


def naive(both: Pair, here: Sequence[Record], there: Sequence[Record], carried: Sequence[Carried]) -> Found:
    """The classes as the rule says them, record by record."""
    books: dict[Side, dict[str, list[Record]]] = {"here": defaultdict(list), "there": defaultdict(list)}
    for side, records in (("here", here), ("there", there)):
        for record in records:
            books[side][record.key].append(common(record))  # type: ignore[index]
    old: dict[Side, dict[str, Record]] = {"here": {}, "there": {}}
    for side, record, _ in carried:
        newer = record.key not in old[side] or old[side][record.key].day <= record.day
        if record.day != DAY and record.key not in books[side] and newer:
            old[side][record.key] = record
    found: Found = set()
    # What was left over on both sides has found each other, too; and what had a partner of this day may have lost it.
    known = {one.record.key for one in carried if one.known and one.record.day != DAY} & old["here"].keys()
    for key in {*books["here"], *books["there"], *(old["here"].keys() & old["there"].keys()), *known}:
        ours, theirs = books["here"].get(key, []), books["there"].get(key, [])
        if len(ours) > 1 or len(theirs) > 1:
            for cls, many in ((Cls.DUPLICATE_HERE, ours), (Cls.DUPLICATE_THERE, theirs)):
                if len(many) > 1:
                    found.add((cls, key, None, None))
            continue
        late = not ours or not theirs
        one = ours[0] if ours else old["here"].get(key)
        other = theirs[0] if theirs else old["there"].get(key)
        found.add((of_two(both, one, other, late), key, one, other))
    return {one for one in found if one[0] is not Cls.MATCHED}


def of_two(both: Pair, one: Record | None, other: Record | None, late: bool) -> Cls:
    if one is None:
        return Cls.MISSING_HERE
    if other is None:
        return Cls.MISSING_THERE
    if not late and abs((one.day - other.day).days) > both.window_days:
        return Cls.MISSING_THERE
    if one.currency != other.currency:
        return Cls.CURRENCY
    if abs(one.amount_fen - other.amount_fen) > both.tolerance_fen:
        return Cls.AMOUNT
    if one.status != other.status:
        return Cls.REVERSED if "reversed" in (one.status, other.status) else Cls.STATUS
    if late or one.day != other.day:
        return Cls.OTHER_DAY
    return Cls.MATCHED if one.amount_fen == other.amount_fen else Cls.TOLERATED


def told(differences: Sequence[Difference]) -> Found:
    twice = (Cls.DUPLICATE_HERE, Cls.DUPLICATE_THERE)
    return {
        (one.cls, one.key, None, None) if one.cls in twice else (one.cls, one.key, one.here, one.there)
        for one in differences
    }


def test_what_was_left_over_on_both_sides_has_found_each_other(tmp_path: Path) -> None:
    left = Record("K2", 100, "CNY", "settled", DAY - timedelta(days=2))
    carried = [Carried("here", left), Carried("there", left)]
    with compare(
        pair(window_days=2), RecordSource([]), RecordSource([]), day=DAY, carried=carried, work=tmp_path
    ) as result:
        assert [(one.cls, one.key) for one in result.differences()] == [(Cls.OTHER_DAY, "K2")]


def test_of_several_that_were_left_over_the_newest_counts_and_of_one_day_the_last(tmp_path: Path) -> None:
    old, left = (Record("K1", 100, "HKD", "settled", DAY - timedelta(days=away)) for away in (3, 2))
    carried = [Carried("here", one) for one in (left, replace(left, currency="CNY"), old)]
    there = [Record("K1", 100, "CNY", "S", DAY)]
    with compare(
        pair(), RecordSource([]), RecordSource(there), day=DAY, carried=carried, work=tmp_path
    ) as result:
        assert [(one.cls, one.here) for one in result.differences()] == [(Cls.OTHER_DAY, carried[1].record)]


def test_one_whose_partner_of_this_day_has_gone_is_missing_there(tmp_path: Path) -> None:
    left, kept, gone = (
        Record(key, 100, "CNY", "settled", DAY - timedelta(days=9)) for key in ("K1", "K2", "K3")
    )
    carried = [Carried("here", left), Carried("here", kept, known=True), Carried("here", gone, known=True)]
    there = [Record("K2", 100, "CNY", "S", DAY)]
    with compare(
        pair(), RecordSource([]), RecordSource(there), day=DAY, carried=carried, work=tmp_path
    ) as result:
        found = {(one.cls, one.key, one.here) for one in result.differences()}
    assert found == {(Cls.OTHER_DAY, "K2", kept), (Cls.MISSING_THERE, "K3", gone)}


@settings(max_examples=60, deadline=None)
@given(
    here=BOOKS,
    there=BOOKS,
    same=BOOKS,
    old=st.lists(st.tuples(st.sampled_from(["here", "there"]), RECORDS, st.booleans()), max_size=4),
    tolerance=st.sampled_from([0, 1, 5]),
    window=st.sampled_from([0, 1, 2]),
    layouts=st.tuples(
        st.sampled_from([None, PLAIN, ENDED, FIXED]), st.sampled_from([None, PLAIN, ENDED, FIXED])
    ),
    seed=st.integers(0, 99),
    turn=st.sampled_from([engine.IN_A_TURN, 2]),
)
def test_the_same_is_found_as_with_dictionaries(
    here: list[Record],
    there: list[Record],
    same: list[Record],
    old: list[tuple[Side, Record, bool]],
    tolerance: int,
    window: int,
    layouts: tuple[Layout | None, Layout | None],
    seed: int,
    turn: int,
) -> None:
    both = pair(
        here=layouts[0] or PLAIN, there=layouts[1] or PLAIN, tolerance_fen=tolerance, window_days=window
    )
    carried = [Carried(side, common(record), known and side == "here") for side, record, known in old]
    books = [here + same, there + same]
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "IN_A_TURN", turn)
        sources = []
        for number, (book, layout) in enumerate(zip(books, layouts, strict=True)):
            random.Random(seed + number).shuffle(book)
            if layout is None:
                sources.append(RecordSource(book))
            else:
                path = Path(name) / f"{number}.txt"
                write(layout, book, path, DAY)
                sources.append(FileSource(path, layout))
        with compare(both, *sources, day=DAY, carried=carried, work=Path(name)) as result:
            found = list(result.differences())
            assert told(found) == naive(both, *books, carried)
            assert len(found) == len(told(found))
            assert (result.here.count, result.there.count) == (len(books[0]), len(books[1]))
            assert result.here.fen == sum(one.amount_fen for one in books[0])
            counted = {cls: count for cls, (count, _) in result.counts.items() if cls is not Cls.MATCHED}
            assert counted == {
                cls: [one.cls for one in found].count(cls) for cls in {one.cls for one in found}
            }
            matched = [one for one in books[0] if one.key not in {other.key for other in found}]
            amounts = len(matched), sum(one.amount_fen for one in matched)
            assert result.counts.get(Cls.MATCHED, (0, 0)) == amounts
        assert not list(Path(name).glob("compare-*"))


def test_two_files_of_one_name_are_two(tmp_path: Path) -> None:
    """Also where neither can be read as it is, so that both are copied."""
    sources = []
    for side, fen in (("here", 5), ("there", 6)):
        (tmp_path / side).mkdir()
        path = tmp_path / side / "day.txt"
        path.write_bytes(f"K1|{fen}|CNY|S|2026-06-21|\r\n".encode())
        sources.append(FileSource(path, PLAIN))
    with compare(pair(), *sources, day=DAY, work=tmp_path / "work") as result:
        assert [(one.cls, one.key) for one in result.differences()] == [(Cls.AMOUNT, "K1")]


def test_a_row_that_both_have_twice_is_twice_on_both_sides(tmp_path: Path) -> None:
    """Equal totals do not hide it."""
    rows = [Record(f"K{number}", 5, "CNY", "S", DAY) for number in (1, 2, 2, 3)]
    with compare(pair(), RecordSource(rows), RecordSource(rows[::-1]), day=DAY, work=tmp_path) as result:
        assert [(one.cls, one.key, str(one.text)) for one in result.differences()] == [
            (Cls.DUPLICATE_HERE, "K2", "2 times"),
            (Cls.DUPLICATE_THERE, "K2", "2 times"),
        ]
        assert result.counts == {
            Cls.MATCHED: (2, 10),
            Cls.DUPLICATE_HERE: (1, 5),
            Cls.DUPLICATE_THERE: (1, 5),
        }


def test_where_a_book_promises_unique_keys_the_other_may_still_have_one_twice(tmp_path: Path) -> None:
    both = pair()
    both = both.model_copy(update={"here": both.here.model_copy(update={"unique": True})})
    rows = [Record(f"K{number}", 5, "CNY", "S", DAY) for number in (1, 2, 3)]
    with compare(both, RecordSource(rows), RecordSource([*rows, rows[1]]), day=DAY, work=tmp_path) as result:
        assert [(one.cls, one.key) for one in result.differences()] == [(Cls.DUPLICATE_THERE, "K2")]
        assert result.counts[Cls.MATCHED] == (2, 10)


def test_a_record_in_a_line_that_is_spoilt_is_not_missing_too(tmp_path: Path) -> None:
    file = tmp_path / "there.txt"
    file.write_text(
        "K1|5|CNY|S|2026-06-21|\nK2|five|CNY|S|2026-06-21|6210220110002707355\n|7|CNY|S|2026-06-21|\n"
    )
    rows = [Record(f"K{number}", 5, "CNY", "S", DAY) for number in (1, 2, 3)]
    both = pair(there=PLAIN)
    with compare(both, RecordSource(rows), FileSource(file, PLAIN), day=DAY, work=tmp_path) as result:
        found = list(result.differences())
    assert [(one.cls, one.key, one.line) for one in found] == [
        (Cls.MALFORMED, "K2", 2),
        (Cls.MISSING_THERE, "K3", None),
        (Cls.MALFORMED, "line 3 there", 3),
    ]
    assert "amount is 'five'" in str(found[0].text)
    assert "621022*********7355" in str(found[0].text)
    assert "2707355" not in str(found[0].text)


# A day of a million payments

PAYMENTS = 1_000_000
PLANTED = {
    Cls.MISSING_THERE: 11,
    Cls.MISSING_HERE: 12,
    Cls.AMOUNT: 13,
    Cls.CURRENCY: 14,
    Cls.STATUS: 15,
    Cls.REVERSED: 16,
    Cls.OTHER_DAY: 17,
    Cls.TOLERATED: 18,
    Cls.DUPLICATE_HERE: 19,
    Cls.DUPLICATE_THERE: 21,
    Cls.MALFORMED: 22,
}
"""How many differences of each class are in the day."""
CLASSES = list(PLANTED)
LATE = 9
"""Of those of another day so many had been left over."""


def numbers(cls: Cls) -> range:
    """The payments that have a difference, by number; they lie all over the day."""
    return range(CLASSES.index(cls) + 1, PAYMENTS, 40_000)[: PLANTED[cls]]


def key(number: int) -> str:
    return f"P{number:09d}"


def lines(side: Side, *, spoilt: bool) -> str:
    """A query for all lines of one book."""

    def of(cls: Cls) -> str:
        return f"n IN ({', '.join(map(str, numbers(cls)))})"

    here = side == "here"
    changed = {
        "amount": f"CASE WHEN {of(Cls.AMOUNT)} THEN fen + 2 WHEN {of(Cls.TOLERATED)} THEN fen + 1 ELSE fen END",
        "currency": f"CASE WHEN {of(Cls.CURRENCY)} THEN 'HKD' ELSE 'CNY' END",
        "status": f"CASE WHEN {of(Cls.STATUS)} THEN 'F' WHEN {of(Cls.REVERSED)} THEN 'R' ELSE 'S' END",
        "day": f"CASE WHEN {of(Cls.OTHER_DAY)} THEN '2026-06-22' ELSE '2026-06-21' END",
    }
    if here:
        changed = {"amount": "fen", "currency": "'CNY'", "status": "'S'", "day": "'2026-06-21'"}
    late = ", ".join(map(str, numbers(Cls.OTHER_DAY)[:LATE]))
    gone = f"{of(Cls.MISSING_HERE)} OR n IN ({late})" if here else of(Cls.MISSING_THERE)
    twice = of(Cls.DUPLICATE_HERE if here else Cls.DUPLICATE_THERE)
    amount = f"({changed['amount']})::VARCHAR"
    if spoilt and not here:
        # Too few fields, no number, no date, a control character: in turn.
        turn = (
            f"n // 40000 % 4 WHEN 0 THEN {amount} || '|S' WHEN 1 THEN 'x' || {amount} || '|CNY|S|2026-06-21|'"
        )
        turn += f" WHEN 2 THEN {amount} || '|CNY|S|2026-02-30|' ELSE {amount} || '|CNY|S|2026-06-21|' || chr(7) END"
        rest = f"CASE WHEN {of(Cls.MALFORMED)} THEN CASE {turn} ELSE"
    else:
        rest = "CASE WHEN false THEN '' ELSE"
    rest += f" {amount} || '|' || {changed['currency']} || '|' || {changed['status']} || '|' || {changed['day']} || '|' END"
    rows = f"(SELECT range AS n, 100 + hash(range) % 20000 AS fen FROM range({PAYMENTS}))"
    many = f"SELECT *, unnest(CASE WHEN {twice} THEN [1, 2] ELSE [1] END) FROM {rows} WHERE NOT ({gone})"
    order = "hash(n)" if here else "-hash(n + 1)::HUGEINT"
    return f"SELECT format('P{{:09d}}', n) || '|' || {rest} AS line FROM ({many}) ORDER BY {order}"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Side, bool], bytes]:
    """The lines of both books, without header and trailer."""
    folder = tmp_path_factory.mktemp("day")
    made: dict[tuple[Side, bool], bytes] = {}

    def content(side: Side, spoilt: bool) -> bytes:
        if (side, spoilt) not in made:
            path = folder / f"{side}.{spoilt}"
            options = "(HEADER false, DELIMITER '\x01', QUOTE '')"
            duckdb.connect().execute(f"COPY ({lines(side, spoilt=spoilt)}) TO '{path}' {options}")
            made[side, spoilt] = path.read_bytes()
        return made[side, spoilt]

    return content


def sum_of(content: bytes) -> tuple[int, int]:
    """How many lines, and the sum of their amounts: of those that are no numbers, of their digits."""
    count = content.count(b"\n")
    query = "SELECT sum(regexp_replace(f[2], 'x', '')::BIGINT) FROM (SELECT string_split(line, '|') AS f FROM"
    with TemporaryDirectory() as name:
        path = Path(name) / "lines"
        path.write_bytes(content)
        read = f"read_csv('{path}', header=false, auto_detect=false, columns={{'line': 'VARCHAR'}}, delim='\x01', quote='')"
        row = duckdb.connect().execute(f"{query} {read})").fetchone()
    assert row is not None
    return count, int(row[0])


class Day:
    """The two files of the day."""

    def __init__(self, content: Callable[[Side, bool], bytes], folder: Path, *, spoilt: bool = False) -> None:
        self.folder = folder
        self.spoilt = spoilt
        self.paths: dict[Side, Path] = {}
        for side in ("here", "there"):
            lines = content(side, spoilt and side == "there")  # type: ignore[arg-type]
            count, fen = sum_of(lines)
            whole = b"H|20260621\n" + lines + f"T|{count}|{fen}\n".encode()
            self.paths[side] = folder / f"{side}.txt"  # type: ignore[index]
            self.paths[side].write_bytes(whole)  # type: ignore[index]

    def compare(self) -> tuple[dict[Cls, tuple[int, int]], list[Difference]]:
        both = pair(here=ENDED, there=ENDED, tolerance_fen=1, window_days=1)
        fens = dict(
            duckdb.connect().execute(
                f"SELECT range, (100 + hash(range) % 20000)::BIGINT FROM range({PAYMENTS}) WHERE range IN"
                f" ({', '.join(map(str, numbers(Cls.OTHER_DAY)[:LATE]))})"
            ).fetchall()
        )  # fmt: skip
        carried = [
            Carried("here", Record(key(number), fen, "CNY", "settled", date(2026, 6, 20)))
            for number, fen in fens.items()
        ]
        # One that nobody has today either.
        carried.append(Carried("here", Record("P-old", 1, "CNY", "settled", date(2026, 6, 20))))
        sources = (FileSource(self.paths[side], ENDED) for side in ("here", "there"))
        with compare(both, *sources, day=DAY, carried=carried, work=self.folder) as result:
            return result.counts, list(result.differences())

    def check(self) -> list[Difference]:
        """Every planted difference is found and classed, and no other."""
        counts, found = self.compare()
        expected = {(cls, key(number)) for cls in CLASSES for number in numbers(cls)}
        if not self.spoilt:
            expected = {one for one in expected if one[0] is not Cls.MALFORMED}
        assert {(one.cls, one.key) for one in found} == expected
        assert len(found) == len(expected)
        planted = {number for cls in CLASSES for number in numbers(cls)}
        matched = PAYMENTS - len(planted) + (0 if self.spoilt else PLANTED[Cls.MALFORMED])
        assert counts[Cls.MATCHED][0] == matched
        return found


def test_a_million_payments_with_differences_of_all_classes(
    day: Callable[[Side, bool], bytes], tmp_path: Path
) -> None:
    """In whatever order, and with lines that are spoilt: each with its number."""
    one = Day(day, tmp_path, spoilt=True)
    found = one.check()
    spoilt = {key(number) for number in numbers(Cls.MALFORMED)}
    text = one.paths["there"].read_bytes().split(b"\n")
    for difference in found:
        if difference.cls is Cls.MALFORMED:
            assert difference.line is not None
            assert text[difference.line - 1].startswith(difference.key.encode())
            spoilt.remove(difference.key)
    assert not spoilt


def test_a_million_payments_in_another_character_set(
    day: Callable[[Side, bool], bytes], tmp_path: Path
) -> None:
    one = Day(day, tmp_path)
    there = one.paths["there"].read_text("ascii")
    name = there.index("\nP")
    noted = there[: there.index("|\n", name) + 1] + "张" + there[there.index("|\n", name) + 1 :]
    for charset in ("gb18030", "utf-16"):
        one.paths["there"].write_text(noted.replace("\n", "\r\n"), charset, newline="")
        one.check()
    one.paths["there"].write_text(noted, "utf-32")
    with pytest.raises(FileRefused, match="in no character set that was agreed"):
        one.compare()


def test_a_million_payments_cut_short_or_with_a_wrong_total(
    day: Callable[[Side, bool], bytes], tmp_path: Path
) -> None:
    one = Day(day, tmp_path)
    whole = one.paths["there"].read_bytes()
    head, _, trailer = whole.rstrip(b"\n").rpartition(b"\n")
    _, count, fen = trailer.decode().split("|")
    half = whole[: len(whole) // 2]
    after = "the last line is not the trailer"
    wrong = {
        half: f"line {len(half.splitlines())}: {after}",
        head: f"line {int(count) + 1}: {after}",
        head + f"\nT|{int(count) - 1}|{fen}\n".encode(): f"declares {int(count) - 1} records; there are {count}",
        head + f"\nT|{count}|{int(fen) + 1}\n".encode(): f"declares {int(fen) + 1} fen in all; its records have {fen}",
        head + b"\n" + head.partition(b"\n")[2] + b"\n" + trailer: f"declares {count} records; there are {2 * int(count)}",
        head.replace(b"H|20260621", b"H|20260622") + b"\n" + trailer: "of 2026-06-22, not of 2026-06-21",
        b"": "the last line is not the trailer|header",
    }  # fmt: skip
    for content, said in wrong.items():
        one.paths["there"].write_bytes(content)
        with pytest.raises(FileRefused, match=said):
            one.compare()
    assert not list(tmp_path.glob("compare-*"))


def test_a_million_payments_sent_twice(day: Callable[[Side, bool], bytes], tmp_path: Path) -> None:
    """The same file again says the same again."""
    one = Day(day, tmp_path)
    assert one.check() == one.check()
