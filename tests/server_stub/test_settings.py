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
