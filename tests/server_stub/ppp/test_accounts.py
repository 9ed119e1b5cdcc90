"""The issuer's accounts: one for every card of the simulator, none readable without the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from cardreader.sim.emv.profile import EmvProfile
from cardreader.sim.profiles import EMV_PROFILES, find_profile
from server_stub.foundation.secret import SecretText
from server_stub.foundation.startup import CannotStart
from server_stub.ppp import books, tables
from server_stub.ppp.accounts import pan_of_track
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.conftest import service_over

pytestmark = pytest.mark.anyio


async def test_every_simulated_card_has_its_account(ppp: PppService) -> None:
    for name in EMV_PROFILES:
        profile = find_profile(name)
        assert isinstance(profile, EmvProfile)
        row = await ppp.database.write(lambda conn, pan=profile.pan: ppp.accounts.find(conn, pan))
        assert row is not None, name
        assert (row.sequence_number, row.expiry) == (profile.sequence_number, f"{profile.expiry:%y%m}")
        objects = {tag: value for one in profile.applications for tag, value in one.objects.items()}
        on_card = int(objects.get(0x9F79, b"\0").hex())
        cash_fen = await ppp.database.read(lambda conn, row=row: books.unspent(conn, row.id))
        assert cash_fen == on_card


async def test_a_second_start_opens_nothing_twice(ppp: PppService) -> None:
    count = select(tables.accounts.c.id)
    before = await ppp.database.read(lambda conn: conn.execute(count).all())
    await ppp.database.write(lambda conn: ppp.accounts.load_demo(conn, ppp.clock.now()))
    assert await ppp.database.read(lambda conn: conn.execute(count).all()) == before


async def test_another_key_does_not_open_them(ppp: PppService, tmp_path: Path) -> None:
    (tmp_path / "ppp.key").write_bytes(Fernet.generate_key())
    with pytest.raises(CannotStart, match=r"ppp\.key"):
        service_over(tmp_path, seed=2)


@pytest.mark.parametrize(
    "track", ["", "6217001834057286101", "6217D4402", "6217001834057286101D44", "A" * 16 + "D4402"]
)
def test_what_is_no_track(track: str) -> None:
    with pytest.raises(ValueError, match="no track 2"):
        pan_of_track(SecretText(track))
