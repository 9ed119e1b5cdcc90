"""The TSP's answers as the box takes them."""

from __future__ import annotations

import pytest

from stb_app.tsp.model import Fields, PaidCard


@pytest.mark.parametrize("told", ["6217 00** **** ***6 101", "621700*********6101", "6217001834057216101"])
def test_a_card_s_last_four_digits_stay_together_however_the_tsp_groups_them(told: str) -> None:
    card = PaidCard.read(Fields({"number": told, "balance_before_fen": 1, "balance_after_fen": None}, "card"))
    assert card == PaidCard("6217 00** **** *** 6101", 1, None)
