"""Status words become the errors that the errors module promises."""

from __future__ import annotations

import pytest

from cardreader import errors, status


@pytest.mark.parametrize(
    ("sw", "kind"),
    [
        (0x63C1, errors.PinWrong),
        (0x63C0, errors.PinBlocked),
        (0x6983, errors.PinBlocked),
        (0x9303, errors.ApplicationBlocked),
        (0x9301, errors.InsufficientBalance),
        (0x9401, errors.InsufficientBalance),
        (0x9302, errors.MacInvalid),
        (0x9402, errors.CounterExhausted),
        (0x9403, errors.KeyIndexUnsupported),
        (0x9406, errors.ProofUnavailable),
        (0x6A82, errors.StatusError),
        (0x6A81, errors.StatusError),
        (0x6283, errors.StatusError),
        (0x1234, errors.StatusError),
    ],
)
def test_a_status_word_has_its_error(sw: int, kind: type[errors.StatusError]) -> None:
    error = status.error("VERIFY", sw)
    assert type(error) is kind
    assert (error.command, error.sw) == ("VERIFY", sw)
    assert status.meaning(sw) in str(error)


@pytest.mark.parametrize(
    ("sw", "kind"),
    [
        (0x6A82, errors.ApplicationNotFound),
        (0x6A81, errors.ApplicationBlocked),
        (0x6283, errors.ApplicationBlocked),
        (0x9303, errors.ApplicationBlocked),
        (0x6700, errors.StatusError),
    ],
)
def test_select_has_its_own_meanings(sw: int, kind: type[errors.StatusError]) -> None:
    assert type(status.error("SELECT", sw, selecting=True)) is kind


def test_every_meaning_is_a_few_words() -> None:
    assert all(0 < len(words) < 60 for words in status.MEANINGS.values())
    assert status.meaning(0x9000) == "success"
