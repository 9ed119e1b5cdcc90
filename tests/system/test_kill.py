"""Servers and boxes that are killed under load lose nothing and do nothing twice; ``scripts.kill_test`` in small."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from scripts import kill_test

KILLS = 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled(kind: str) -> None:
    wrong, told = kill_test.run(kind, KILLS, seed=1)
    assert wrong == []
    assert sum(told["kills"].values()) == KILLS
    assert told["payments"]["card opened"] > 0


def row(name: str, **values: Any) -> Any:
    return namedtuple(name, values)(**values)


def test_what_does_not_fit_is_found(tmp_path: Path) -> None:
    """A card has paid 500 fen for P1, of which nobody has heard, and P2 is open, which nobody has paid."""
    (tmp_path / "a.log").write_text("debited P1 500\nend P1 answered paid\n")
    (tmp_path / "card-a.json").write_text(f'{{"balance_fen": {kill_test.FULL_FEN - 700}}}')
    rows: dict[str, Any] = dict.fromkeys(("orders", "debits", "cases", "subscriptions", "codes"), ())
    rows["payments"] = [row("Payment", id="P2", method="card", state="opened", amount_fen=500)]
    rows["opened"] = [row("Order", payment="P2", state="opened", subscription_id="S1")]
    wrong = "\n".join(kill_test.compare(rows, [], tmp_path, tmp_path / "psams"))
    for words in (
        "a card has paid P1",
        "no card has paid it",
        "1 orders opened, 0 subscriptions",
        "the cards have spent 700 fen, for payments of 500",
        "the PSAMs have accepted 0 purchases, 1 are paid",
    ):
        assert words in wrong
