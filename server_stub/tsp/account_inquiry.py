"""Asking a card's issuer what is in its account (ONL-10): with PIN, over PPP; recorded, moves no money."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from server_stub.foundation import statements
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.iso8583 import Message
from server_stub.foundation.problems import Problem
from server_stub.tsp import chip_data, models
from server_stub.tsp.card import refuse_box
from server_stub.tsp.chip_data import ARQC
from server_stub.tsp.core import Core
from server_stub.tsp.envelopes import Envelopes
from server_stub.tsp.issuer_line import IssuerLine, why
from server_stub.tsp.pos import APPROVED, BALANCE, Slip
from server_stub.tsp.tables import inquiries

ACCOUNT = "account"
AVAILABLE = re.compile(r"\d{2}02156([CD])(\d{12})")
"""Bit 54: account type, what is available, yuan, sign, amount."""


class AccountInquiries:
    """Questions about accounts. An envelope is sealed for the question's idempotency key."""

    def __init__(self, parts: Core, envelopes: Envelopes, line: IssuerLine) -> None:
        self._core = parts
        self._envelopes = envelopes
        self._line = line

    async def ask(self, box_number: str, body: models.AuthorisationRequest, use: KeyUse) -> Answer:
        """Raises Problem ``bad-request``, ``method-not-offered``, ``ppp-unreachable``."""
        pos = self._line.pos
        opened = await self._envelopes.opened(body.envelope, use.key)
        keys = await self._line.keys()

        def begin(conn: Connection) -> Slip:
            use.recall(conn)
            chip_data.expect(body.chip, 0, ARQC)
            refuse_box(conn, self._core, box_number)
            return pos.slip(conn)

        slip = await self._core.database.write(begin)
        said = await self._line.ask(slip, keys, 0, opened, use.key, body.chip, BALANCE)
        if said is None:
            raise Problem("ppp-unreachable")
        code, balance_fen = said.text(39), _balance(said)
        reason = None if code == APPROVED else why(code)

        def end(conn: Connection) -> Answer:
            use.claim(conn)
            card, now = opened.card, self._core.clock.now()
            values = {"id": self._core.ids.row(), "box_number": box_number, "kind": ACCOUNT, "issuer_id": ""}
            values |= {"card_masked": card.masked, "card_fingerprint": card.fingerprint}
            statements.insert(
                conn, inquiries, {**values, "balance_fen": balance_fen or 0, "refusal": reason, "at": now}
            )
            chip = said.fields.get(55, b"")
            return use.answer(
                conn,
                answer_of(
                    models.AccountBalance(
                        response_code=code,
                        balance_fen=balance_fen,
                        refusal=reason,
                        chip=chip.hex().upper() if isinstance(chip, bytes) and chip else None,
                    ),
                    201,
                ),
            )

        return await self._core.database.write(end)


def _balance(said: Message) -> int | None:
    """What can be spent, in fen; None: not told, or in another currency."""
    found = AVAILABLE.fullmatch(str(said.fields.get(54, "")))
    if found is None:
        return None
    return int(found[2]) if found[1] == "C" else -int(found[2])
