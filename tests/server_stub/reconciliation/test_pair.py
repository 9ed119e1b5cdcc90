"""Pairs as integrators write them: what stands in one, and what is said of one that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server_stub.reconciliation import pair as pairs
from server_stub.reconciliation.healing import Rule
from server_stub.reconciliation.records import Cls
from tests.server_stub.reconciliation.pairs import TOML, from_toml

DOCUMENT = Path(__file__).parents[3] / "docs" / "reconciliation.md"


def test_a_pair_is_one_file(tmp_path: Path) -> None:
    one = from_toml()
    assert one.there.statuses == {"00": "settled", "25": "reversed"}
    assert one.here.layout is None
    assert one.rules == (Rule("paid-but-not-opened", Cls.STATUS, "open", None, "settled", 100, 1_000_000),)
    (tmp_path / "p.toml").write_text(TOML, "utf-8")
    assert pairs.load(tmp_path / "p.toml") == one


def test_the_pair_of_the_documentation_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert pairs.parse(text).there.layout is not None


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("window_days = 1", "window_day = 1", "p.toml: window_day: nothing of that name is known"),
        ("window_days = 1", "window_days = -1", "p.toml: window_days: .*greater than or equal to 0"),
        ('name = "tsp-ppp"', "", "p.toml: name: is missing; docs/reconciliation.md says"),
        ('name = "tsp-ppp"', 'name = "tsp-ppp', "p.toml: this is not TOML .*line 2"),
        ('{name = "amount", kind = "fen"}', '{name = "amount"}', "p.toml: there.layout: column amount is of kind"),
        ('kind = "fen"', 'kind = "gold"', r"p.toml: there.layout.columns.1.kind: .*'gold'"),
        ('class = "status"', 'class = "odd"', "p.toml: heal.0.class: .*'matched'"),
        ('there = "settled"', 'there = "setled"', "waits for status 'setled' there.*there are reversed, settled"),
        ('rule = "paid', 'limits = 1\nrule = "paid', "p.toml: heal.0.limits: nothing of that name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(was: str, becomes: str, said: str) -> None:
    assert was in TOML
    with pytest.raises(pairs.PairError, match=said):
        pairs.parse(TOML.replace(was, becomes), "p.toml")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(pairs.PairError, match="cannot be read"):
        pairs.load(tmp_path / "none.toml")
