"""Debits of purses that a platform uploads (ONL-8): each TAC is checked, each line answered, what is accepted is settled.

A debit is known by the platform's reference. What was accepted stays accepted, and is answered again as before however
often its day is sent; a line that was refused is looked at anew each time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from cardreader.pboc import crypto
from cardreader.sim.issuers import ISSUERS
from server_stub.foundation import purse_details
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.day_files import Line
from server_stub.foundation.purse_details import ACCEPTED, PURCHASE, Detail, SerialUnreadable
from server_stub.foundation.secret import CardNumber, SecretBytes
from server_stub.foundation.vault import Vault
from server_stub.ppp import books
from server_stub.ppp.tables import changed_days, purse_debits

MALFORMED, AMOUNT, TAC, NO_CARD, KNOWN, OTHER_KIND = "30", "13", "05", "14", "94", "12"
"""Codes of what is refused, named as in bit 39: bad format, amount, proof, no such card or issuer, a debit that came
under another reference or with other contents, no purchase."""
CHUNK = 500
"""Lines in one transaction: a kill costs no more work than that."""
_TAC_KEYS: Mapping[str, bytes] = {
    issuer.issuer_id.hex().upper(): issuer.tac_key for issuer in ISSUERS.values()
}
"""Master keys by issuer: public on purpose, as those of the simulator's cards."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a line.

    Attributes:
        values: of its row.
        new: it is accepted for the first time.
    """

    reference: str
    amount_fen: str
    code: str
    settled_on: str
    values: Mapping[str, Any]
    new: bool

    def record(self) -> tuple[str, str, str, str]:
        """The fields of the answer's line."""
        return self.reference, self.amount_fen, self.code, self.settled_on


class PurseDebits:
    """Judges uploaded debits.

    Args:
        vault: card numbers are kept as its fingerprints.
        tmk: serials come sealed with a key of its.
    """

    def __init__(self, vault: Vault, tmk: SecretBytes, calendar: Calendar) -> None:
        self._vault = vault
        self._tmk = tmk
        self._calendar = calendar

    def take(
        self, conn: Connection, lines: Sequence[Line], day: date, file: str, now: datetime
    ) -> list[tuple[str, str, str, str]]:
        """A chunk of a file of that day: the lines of the answer, in the same order.

        Args:
            file: id of the file in the register.
        """
        known = _known(conn, [line.reference for line in lines])
        answers = []
        accepted, changed = 0, set[str]()
        for line in lines:
            judged = self._judge(conn, line, day, known)
            answers.append(judged.record())
            if not judged.values:
                continue
            values = {**judged.values, "day": day.isoformat(), "file": file, "at": now}
            changed.add(values["day"])
            if judged.reference in known:
                # So has the day that it leaves, where it was refused.
                changed.add(known[judged.reference].day)
                mine = purse_debits.c.reference == judged.reference
                conn.execute(update(purse_debits).where(mine).values(**values))
            else:
                conn.execute(insert(purse_debits).values(reference=judged.reference, **values))
            known |= _known(conn, [judged.reference])
            if judged.new:
                accepted += judged.values["amount_fen"]
        for name in sorted(changed):
            changed_days.note(conn, self._calendar.begin_of(date.fromisoformat(name)))
        if accepted:
            books.settle_purses(conn, f"{file} {lines[0].number}", accepted, now)
        return answers

    def _judge(self, conn: Connection, line: Line, day: date, known: Mapping[str, Any]) -> Judged:
        reference = line.reference if line.reference.isprintable() else ""
        amount = line.fields[1] if len(line.fields) > 1 and line.fields[1].isdecimal() else "0"
        try:
            if line.fault:
                raise ValueError(line.fault)
            detail = Detail.of(line.fields)
        except ValueError:
            return Judged(reference[:64].replace("|", ""), amount, MALFORMED, "", {}, False)
        digest = hashlib.sha256("|".join(line.fields).encode()).hexdigest()
        before = known.get(reference)
        if before is not None and before.code == ACCEPTED:
            same = before.digest == digest
            code = ACCEPTED if same else KNOWN
            return Judged(reference, amount, code, _compact(before.settled_on) if same else "", {}, False)
        serial, code = self._verdict(detail)
        values: dict[str, Any] = {"amount_fen": detail.amount_fen, "digest": digest, "card": None}
        values |= {"masked": None if serial is None else serial.masked, "settled_on": None}
        values |= {"terminal_number": detail.terminal_number, "number": detail.terminal_transaction_number}
        values |= {"date": detail.date, "time": detail.time, "tac": detail.tac}
        if code == ACCEPTED:
            assert serial is not None
            values["card"] = self._vault.fingerprint("purse", serial.reveal())
            if _same_debit(conn, values):
                code, values["card"] = KNOWN, None
            else:
                values["settled_on"] = self._calendar.settles_on(day).isoformat()
        settled = _compact(values["settled_on"])
        return Judged(reference, amount, code, settled, {**values, "code": code}, code == ACCEPTED)

    def _verdict(self, detail: Detail) -> tuple[CardNumber | None, str]:
        """Whose card it is, and what is to be said of its proof."""
        if detail.transaction_type != PURCHASE:
            return None, OTHER_KIND
        try:
            serial = purse_details.reveal(self._tmk, detail.serial, detail.reference)
        except SerialUnreadable:
            return None, NO_CARD
        master = _TAC_KEYS.get(detail.issuer_id)
        if master is None:
            return serial, NO_CARD
        if not 0 < detail.amount_fen < 2**32:
            return serial, AMOUNT
        proof = crypto.purchase_tac(
            crypto.diversify(master, serial.reveal()[2:]),
            detail.amount_fen,
            int(detail.transaction_type, 16),
            *(bytes.fromhex(one) for one in (detail.terminal_number, detail.terminal_transaction_number)),
            *(bytes.fromhex(one) for one in (detail.date, detail.time)),
        )
        right = hmac.compare_digest(proof, bytes.fromhex(detail.tac))
        return serial, ACCEPTED if right else TAC


def _known(conn: Connection, references: Sequence[str]) -> dict[str, Any]:
    query = select(purse_debits).where(purse_debits.c.reference.in_(references))
    return {row.reference: row for row in conn.execute(query)}


def _same_debit(conn: Connection, values: Mapping[str, Any]) -> bool:
    """Whether just this debit was accepted under another reference."""
    names = ("card", "terminal_number", "number", "date", "time")
    query = select(purse_debits.c.reference).filter_by(**{name: values[name] for name in names})
    return conn.execute(query).first() is not None


def _compact(day: str | None) -> str:
    """A day of settlement as the file has it; "" where there is none."""
    return (day or "").replace("-", "")
