"""Where the names lead that clients send."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.exchange.partners import Partner, hashed, matches
from server_stub.exchange.paths import OddName, day_of, resolve
from server_stub.exchange.service import NOBODY
from server_stub.foundation.folders import NAME
from server_stub.foundation.secret import SecretText

PARTS = st.sampled_from(
    ["..", ".", "", "XFMX", "A.TXT", "...", ". .", "..\\", "%2e%2e", "~", "-a", "a\0b", "\u2025", "C:"]
)
PATHS = st.text(max_size=40) | st.lists(PARTS, max_size=8).map("/".join)
NOW = datetime(2026, 6, 21, tzinfo=UTC)


@given(PATHS, st.lists(st.sampled_from(["XFMX", "XFJG", "A"]), max_size=3))
def test_whatever_is_sent_stays_below_the_root(path: str, present: list[str]) -> None:
    try:
        parts = resolve("/" + "/".join(present), path)
    except OddName:
        return
    assert all(NAME.fullmatch(part) for part in parts)
    place = os.path.join("/root/of/partner", *parts)
    assert os.path.normpath(place) == place
    assert place == "/root/of/partner" or place.startswith("/root/of/partner/")
    # As every system below reads it.
    assert resolve("/", "/" + "/".join(parts)) == parts
    if not path.startswith("/") and ".." not in path.split("/"):
        assert list(parts[: len(present)]) == present


@given(PATHS, st.booleans())
def test_no_path_has_rights_beyond_the_agreed_folders(path: str, house: bool) -> None:
    folders = {"XFMX": "r", "XFJG": "rw"}
    partner = Partner("ppp", None, "open", house, (), folders, 1, 1, 1, NOW, NOW)
    try:
        parts = resolve("/", path)
    except OddName:
        return
    rights = partner.rights(parts)
    if {*rights} & {*"wadf"}:
        assert len(parts) == (3 if house else 2)
        assert house or parts[0] == "XFJG"
    if not house and parts and parts[0] not in folders:
        assert rights == ""


def test_rights_are_of_files_in_agreed_folders() -> None:
    partner = Partner("ppp", None, "open", False, (), {"XFMX": "r", "XFJG": "rw"}, 1, 1, 1, NOW, NOW)
    assert [
        partner.rights(parts)
        for parts in ((), ("XFMX",), ("QSMX",), ("XFMX", "A"), ("XFJG", "A"), ("XFJG", "A", "B"))
    ] == [*("el", "el", "", "lr", "lrwadf", "")]


@pytest.mark.parametrize(
    ("networks", "address", "may"),
    [
        ((), "198.51.100.7", True),
        (("192.0.2.0/24",), "192.0.2.200", True),
        (("192.0.2.0/24",), "192.0.3.1", False),
        (("192.0.2.7/32", "2001:db8::/32"), "2001:db8::1", True),
        (("192.0.2.7/32",), "::1", False),
    ],
)
def test_addresses(networks: tuple[str, ...], address: str, may: bool) -> None:
    partner = Partner("ppp", None, "open", False, networks, {}, 1, 1, 1, NOW, NOW)
    assert partner.may_come_from(address) is may


def test_what_is_kept_of_a_password_tells_it_from_others_and_nothing_else() -> None:
    password = SecretText("a-password-of-this-test")
    kept = hashed(password)
    assert kept.startswith("$argon2id$")
    assert "a-password" not in kept
    assert matches(password, kept)
    assert not matches(SecretText("another"), kept)
    assert not matches(password, "no hash")
    # Checked where there is no account: as dear as any other.
    assert NOBODY.split("$")[:4] == kept.split("$")[:4]
    assert not matches(password, NOBODY)


@given(st.text(max_size=30))
def test_any_name_has_a_day_or_none(name: str) -> None:
    day = day_of(name)
    assert day is None or f"{day:%Y%m%d}" in name
