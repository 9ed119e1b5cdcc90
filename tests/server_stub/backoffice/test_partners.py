"""Partners of the exchange in the browser: let in, changed, given passwords, closed."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from server_stub.exchange import tables as exchange
from tests.server_stub.backoffice.breaks import logged
from tests.server_stub.backoffice.desk import let_in, office_of
from tests.server_stub.system import System

pytestmark = pytest.mark.anyio


async def test_partners_are_let_in_given_passwords_and_closed(system: System) -> None:
    admin = await let_in(system, "adam", "admin")

    async def account(name: str) -> Any:
        query = select(exchange.partners).where(exchange.partners.c.name == name)
        return await office_of(system).books("exchange").read(lambda conn: conn.execute(query).one())

    assert "XFMX" in (await admin.get("/partners")).text
    said = {"name": "bank", "addresses": "192.0.2.0/24, 198.51.100.7", "folders": "BILLS=rw OUT=r"}
    added = await admin.post("/partners", "/partners", **said, connections="3", file="5", room="50")
    first = re.search(r'class="secret long">(\w{40})<', added.text)
    assert first
    row = await account("bank")
    assert json.loads(row.folders) == {"BILLS": "rw", "OUT": "r"}
    assert json.loads(row.addresses) == ["192.0.2.0/24", "198.51.100.7/32"]
    assert (row.connections, row.file_bytes, row.room_bytes) == (3, 5 << 20, 50 << 20)
    (entry,) = await logged(system, "exchange", exchange.audit, "partner-added")
    assert (entry.actor, first[1] in str(entry)) == ("adam", False)
    for wrong in ({"name": "bank"}, {"name": "A b"}, {"name": "two", "folders": "X=q"}, {"name": "two", "addresses": "moon"}, {"name": "two", "file": "0"}):  # fmt: skip
        answer = await admin.post("/partners", "/partners", **wrong)
        assert answer.status_code == 422, wrong
        assert re.search(rf'id="f-{[*wrong][-1]}"[^>]* aria-invalid="true" autofocus', answer.text), wrong
    every = {"name": "bank", "addresses": "moon", "folders": "X=q", "connections": "0", "file": "much", "room": "2000 GB"}  # fmt: skip
    await admin.post("/partners", "/partners", **every)
    assert re.findall(r'<li><a href="#f-(\w+)">', admin.page) == [*every]  # all at once, in the page's order
    assert all(f'id="w-{name}"' in admin.page for name in every)
    assert re.findall(r'id="f-(\w+)"[^>]* autofocus', admin.page) == ["name"]
    await admin.post("/partners", "/partners", name="")
    assert admin.page.count("Type the name it signs in with.") == 2  # at the top, and beside the field
    assert "''" not in unescape(admin.page)
    await admin.post("/language", "/partners", language="zh")
    await admin.post("/partners", "/partners", name="bank")
    assert "已有名为 bank 的合作方" in admin.page
    await admin.post("/language", "/partners", language="en")
    assert "198.51.100.7/32" in (await admin.get("/partners/bank")).text
    page = "/partners/bank"
    told = {"addresses": "", "folders": "BILLS=r NEW=rw", "connections": "4", "file": "5", "room": "60"}
    assert "The account is changed" in (await admin.post(f"{page}/change", page, **told)).text
    changed = await account("bank")
    assert json.loads(changed.folders) == {"BILLS": "r", "NEW": "rw"}
    assert (changed.addresses, changed.connections, changed.room_bytes) == ("[]", 4, 60 << 20)
    (entry,) = await logged(system, "exchange", exchange.audit, "partner-changed")
    assert (entry.actor, entry.subject) == ("adam", "bank")
    for wrong in (
        *({"folders": "IN=r in=rw"}, {"folders": "IN=r IN=rw"}, {"folders": "NUL=r"}, {"folders": ""}),
        *({"addresses": "moon"}, {"room": "0"}, {"file": "61 MB"}),
    ):
        refused = await admin.post(f"{page}/change", page, **{**told, **wrong})
        assert refused.status_code == 422, wrong
        assert all(value in refused.text for value in wrong.values())
        assert re.search(rf'id="f-{next(iter(wrong))}"[^>]* aria-invalid="true" autofocus', refused.text), (
            wrong
        )
    every = {"addresses": "moon", "folders": "IN=r IN=rw", "connections": "many", "file": "0", "room": "-1"}
    await admin.post(f"{page}/change", page, **every)
    assert re.findall(r'<li><a href="#f-(\w+)">', admin.page) == [*every]
    assert await account("bank") == changed
    sizes = {"file": "1 gb", "room": "1,500MB"}
    await admin.post(f"{page}/change", page, **{**told, **sizes})
    stands = await account("bank")
    assert (stands.file_bytes, stands.room_bytes) == (1 << 30, 1500 << 20)
    said = (await admin.get(page)).text
    for size in ("1 GB", "1,500 MB"):
        assert f'<dd class="num">{size}</dd>' in said
        assert f'value="{size}"' in said
    assert re.search(r">Its last files</h2>\s*<div class=\"empty", said)
    await admin.post(f"{page}/change", page, **told)
    assert 'name="folders"' not in (await admin.get("/partners/ppp")).text
    await admin.post("/partners/ppp/change", "/partners/ppp", addresses="192.0.2.1")
    assert (await account("ppp")).addresses == '["192.0.2.1/32"]'
    second = await admin.post("/partners/bank/password", "/partners/bank", confirmed="yes")
    assert "shown only now" in second.text
    assert (await account("bank")).password != row.password
    assert "Close this account?" in (await admin.post("/partners/bank/close", "/partners/bank")).text
    await admin.post("/partners/bank/close", "/partners/bank", confirmed="yes")
    assert (await account("bank")).state == "closed"
    await admin.post("/partners/bank/open", "/partners/bank")
    assert (await account("bank")).state == "open"
    assert (await admin.get("/partners/none")).status_code == 404


async def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(system: System) -> None:
    first, second = await let_in(system, "adam", "admin"), await let_in(system, "eve", "admin")
    page = "/partners/boss"
    await second.get(page)
    system.clock.advance(1)
    await first.post(f"{page}/change", page, addresses="198.51.100.7", connections="32")
    system.clock.advance(1)
    told = {"addresses": "", "connections": "5", "file": "1 GB", "room": "20 GB"}
    refused = await second.post(f"{page}/change", **told)
    assert refused.status_code == 422
    assert "has changed since it was shown" in refused.text
    assert '<dd class="num">198.51.100.7/32</dd>' in refused.text  # as it is now
    assert re.search(r'name="connections"[^>]* value="5"', refused.text)  # as it was typed
    system.clock.advance(1)
    assert "The account is changed" in (await second.post(f"{page}/change", **told)).text
    entries = await logged(system, "exchange", exchange.audit, "partner-changed")
    assert [(one.actor, one.subject) for one in entries] == [("adam", "boss"), ("eve", "boss")]
