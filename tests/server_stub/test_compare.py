"""``stb-server compare``: an integrator's own pair, on files alone."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from server_stub import compare
from server_stub.app import ROLES
from server_stub.cli import parse

PAIR = """
name = "agents"
title = { zh = "代理商", en = "Agents" }
[here]
title = { zh = "我们", en = "We" }
[here.layout]
form = "delimited"
separator = ","
currency = "CNY"
columns = [{ name = "key" }, { name = "amount", kind = "yuan" }, { name = "status" }]
[there]
title = { zh = "他们", en = "They" }
[there.layout]
form = "fixed"
currency = "CNY"
columns = [{ name = "key", width = 4 }, { name = "amount", kind = "fen", width = 6 }, { name = "status", width = 4 }]
"""


def said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], here: str, there: str
) -> tuple[int, list[str], str]:
    for name, text in (("pair.toml", PAIR), ("here.txt", here), ("there.txt", there)):
        (tmp_path / name).write_text(text, "utf-8")
    paths = [str(tmp_path / name) for name in ("pair.toml", "here.txt", "there.txt")]
    options = parse(["compare", *paths, "--day", "2026-06-21", "--to", str(tmp_path / "out.csv")], ROLES)
    code = compare.run(options)
    out = capsys.readouterr()
    return code, [" ".join(line.split()) for line in out.out.splitlines()], out.err


def test_files_of_two_layouts_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = "A001,12.50,ok\nA002,3.00,ok\n", "A002   300ok  \nA001  1250ok  \n"
    assert said(tmp_path, capsys, here, there) == (
        0,
        ["here 2 15.50", "there 2 15.50", "matched 2 15.50"],
        "",
    )


def test_differences_are_counted_and_written_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = said(tmp_path, capsys, "A001,12.50,ok\nA003,1.00,ok\n", "A001  1240ok  \n")
    assert code == 1
    assert {"amount 1 12.50", "missing-there 1 1.00"} <= set(lines)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        found = [(row["class"], row["key"], row["here_amount_fen"]) for row in csv.DictReader(file)]
    assert found == [("amount", "A001", "1250"), ("missing-there", "A003", "100")]


def test_what_cannot_be_compared_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text("nam = 1", "utf-8")
    options = parse(["compare", str(tmp_path / "bad.toml"), "a", "b", "--day", "2026-06-21"], ROLES)
    assert compare.run(options) == 2
    assert "nam: nothing of that name is known" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("gone", "No such file or directory"),
        ("strange", "in no character set that was agreed"),
        ("wrong", "it declares 2 records; there are 1"),
    ],
)
@pytest.mark.parametrize("side", ["here", "there"])
def test_an_error_says_which_of_the_two_files_it_is_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: str, fault: str, why: str
) -> None:
    """Both have the same name: one of them is the other side's."""
    layout = """
    [{side}]
    title = {{ zh = "{side}", en = "{side}" }}
    [{side}.layout]
    form = "delimited"
    separator = ","
    currency = "CNY"
    columns = [{{ name = "key" }}, {{ name = "amount", kind = "fen" }}, {{ name = "status" }}]
    trailer = [{{ name = "count", kind = "count" }}]
    """
    sides = "".join(layout.format(side=one) for one in ("here", "there"))
    (tmp_path / "pair.toml").write_text(f"name = 'x'\ntitle = {{ zh = 'x', en = 'x' }}\n{sides}", "utf-8")
    paths = {one: tmp_path / one / "DAY.TXT" for one in ("here", "there")}
    for one, path in paths.items():
        path.parent.mkdir()
        content = {"strange": b"A,1,\xff\n1\n", "wrong": b"A,1,ok\n2\n"}.get(fault if one == side else "")
        path.write_bytes(content or b"A,1,ok\n1\n")
    if fault == "gone":
        paths[side].unlink()
    places = [str(tmp_path / "pair.toml"), *map(str, paths.values())]
    assert compare.run(parse(["compare", *places, "--day", "2026-06-21"], ROLES)) == 2
    assert capsys.readouterr().err.startswith(f"stb-server: {side.upper()} {paths[side]}: {why}")


def test_neither_a_pipe_is_an_empty_book_nor_is_what_is_read_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(tmp_path, capsys, "A001,12.50,ok\n", "A001  1240ok  \n")
    paths = [str(tmp_path / name) for name in ("pair.toml", "here.txt", "there.txt")]
    for path in paths:
        before = Path(path).read_bytes()
        assert compare.run(parse(["compare", *paths, "--day", "2026-06-21", "--to", path], ROLES)) == 2
        assert Path(path).read_bytes() == before
        assert f"--to {path}: this is one of the files that are read" in capsys.readouterr().err
    for beyond in (tmp_path, tmp_path / "nowhere" / "out.csv"):
        assert compare.run(parse(["compare", *paths, "--day", "2026-06-21", "--to", str(beyond)], ROLES)) == 2
        out = capsys.readouterr()
        assert (out.out, str(beyond) in out.err) == ("", True)  # before anything was compared
    os.mkfifo(tmp_path / "pipe")
    paths[1] = str(tmp_path / "pipe")
    assert compare.run(parse(["compare", *paths, "--day", "2026-06-21"], ROLES)) == 2
    assert f"HERE {tmp_path / 'pipe'}: this is no plain file" in capsys.readouterr().err


def test_a_spreadsheet_finds_no_formula_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(tmp_path, capsys, "=1+1,12.50,ok\n", "A001  1250ok  \n")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == ["'=1+1", "A001"]
