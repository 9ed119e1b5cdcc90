"""Settings: what is wrong with one is said in its own terms."""

from __future__ import annotations

import pytest

from server_stub.settings import SettingsError, from_environment


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("CASE_SECOND_FEN", "x", "a whole number is wanted"),
        ("QR_SECONDS", "1.5", "a whole number of seconds is wanted"),
        ("PARTNER_SECONDS", "soon", "a number of seconds is wanted"),
    ],
)
def test_what_is_no_number_is_told_what_is_wanted(name: str, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"STB_SERVER_{name}='{text}': {said}"):
        from_environment({f"STB_SERVER_{name}": text})


def test_a_name_that_is_none_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(
        SettingsError, match="STB_SERVER_PPP_SECONS: there is no such setting; STB_SERVER_PPP_SECONDS"
    ):
        from_environment({"STB_SERVER_PPP_SECONS": "9"})


@pytest.mark.parametrize(("name", "text"), [("PPP_SECONDS", "60"), ("UNKNOWN_PAUSES", "25,300")])
def test_ppp_answers_before_a_sale_is_reversed(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match="less than the first of STB_SERVER_UNKNOWN_PAUSES"):
        from_environment({f"STB_SERVER_{name}": text})
