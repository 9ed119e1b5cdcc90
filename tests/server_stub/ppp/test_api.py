"""PPP's HTTP: faults, and the cards as the issuer has them."""

from __future__ import annotations

import pytest

from tests.server_stub.system import OWN, System

pytestmark = pytest.mark.anyio


async def test_a_tester_orders_faults(system: System) -> None:
    assert system.roles.ppp is not None
    wanted = {"drop_answers": True, "refuse": "51"}
    answer = await system.outside.put(f"{OWN}/ppp/faults", json=wanted)
    assert answer.json() == (await system.outside.get(f"{OWN}/ppp/faults")).json()
    assert (system.roles.ppp.faults.drop_answers, system.roles.ppp.faults.refuses("0200")) == (True, "51")
    refused = await system.outside.put(f"{OWN}/ppp/faults", json={"refuse": "no"})
    assert refused.status_code == 422


async def test_cards_are_shown_masked_and_changed(system: System) -> None:
    accounts = (await system.outside.get(f"{OWN}/ppp/accounts")).json()
    card = next(one for one in accounts if one["card"].endswith("101"))
    assert card["card"] == "6217 00** **** *** 6101"
    assert (card["state"], card["available_fen"]) == ("active", 500_000)
    url = f"{OWN}/ppp/accounts/{card['id']}"
    assert (await system.outside.patch(url, json={"state": "lost"})).json() == {**card, "state": "lost"}
    assert (await system.outside.patch(url, json={})).json()["state"] == "lost"
    assert (await system.outside.patch(url, json={"state": "eaten"})).status_code == 422
    assert (
        await system.outside.patch(f"{OWN}/ppp/accounts/nobody", json={"state": "lost"})
    ).status_code == 404
