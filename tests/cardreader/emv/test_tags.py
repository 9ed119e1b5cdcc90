"""The tag table: complete for a transaction, and consistent."""

from __future__ import annotations

import pytest

from cardreader.emv.settings import TerminalSettings
from cardreader.emv.tags import TAGS, Format, Source, describe
from cardreader.tlv import constructed, encode, parse


@pytest.mark.parametrize(
    ("tag", "name", "form", "source", "sizes"),
    [
        (0x9F36, "Application Transaction Counter (ATC)", Format.BINARY, Source.CARD, (2, 2)),
        (0x9F02, "Amount, Authorised (Numeric)", Format.NUMERIC, Source.TERMINAL, (6, 6)),
        (0x5A, "Application Primary Account Number (PAN)", Format.COMPRESSED, Source.CARD, (0, 10)),
        (0x91, "Issuer Authentication Data", Format.BINARY, Source.ISSUER, (8, 16)),
        (0x9F79, "Electronic Cash Balance", Format.NUMERIC, Source.CARD, (6, 6)),
        (0x9F74, "Electronic Cash Issuer Authorisation Code", Format.ALPHANUMERIC, Source.CARD, (6, 6)),
    ],
)
def test_what_the_standard_says(
    tag: int, name: str, form: Format, source: Source, sizes: tuple[int, int]
) -> None:
    found = describe(tag)
    assert (found.name, found.format, found.source, (found.minimum, found.maximum)) == (
        name,
        form,
        source,
        sizes,
    )


def test_every_tag_can_be_written_and_templates_are_templates() -> None:
    for tag, row in TAGS.items():
        assert parse(encode(tag, b""))[0].tag == tag
        assert constructed(tag) == (row.format is Format.TEMPLATE)
        assert row.minimum <= row.maximum


def test_whatever_goes_to_the_issuer_has_a_name() -> None:
    online = TerminalSettings(terminal_id="1", merchant_id="1").online_tags
    assert all(describe(tag).known for tag in online)
    assert describe(0x9F7F).name == "unknown"
