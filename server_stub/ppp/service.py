"""PPP: terminals sign in, their messages are checked, answered once, and booked.

Each message is worked on in one transaction of the database, whose first act is to insert its row under terminal, batch and
STAN. So a message that comes twice is answered out of its row, and whatever refuses it leaves the books as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy import Connection

from server_stub.foundation import statements
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.day_exchange import DayExchange
from server_stub.foundation.ids import Ids, RandomBytes
from server_stub.foundation.iso8583 import (
    FieldMissing,
    Iso8583Error,
    Message,
    Network,
    Value,
    answering,
    decode,
    encode,
    pos_mac,
)
from server_stub.foundation.jobs import Jobs
from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.vault import Vault
from server_stub.foundation.working_keys import DOUBLE, WITH_TRACK_KEY, WorkingKeys, under
from server_stub.ppp import batches, books, chip, tables, transactions
from server_stub.ppp.accounts import Accounts
from server_stub.ppp.day_work import DayWork
from server_stub.ppp.faults import Faults
from server_stub.ppp.issuer import APPROVED, CURRENCY, Issuer, Refused, Verdict
from server_stub.ppp.purse_debits import PurseDebits
from server_stub.ppp.tables import audit, terminals
from server_stub.ppp.terminals import (
    DEMO_MERCHANT,
    DEMO_TERMINAL,
    Answer,
    Request,
    Terminal,
    Work,
    genuine,
)

ACQUIRER = "48021000"
"""Bit 32 of answers: this platform."""
SIGN_IN, SIGN_OUT, ECHO = (DOUBLE, WITH_TRACK_KEY), "002", "301"
KINDS: Mapping[str, str] = {"000000": books.SALE, "310000": "balance", "600000": books.LOAD}
"""What an 0200 is, by its processing code."""
REPEATED = (3, 4, 11, 25, 41, 42, 49, 60)
"""What an answer repeats of its request. Never a card's number."""
log = structlog.get_logger(__name__)


class PppService:
    """The platform and the issuer behind it.

    Args:
        vault: what is kept is sealed with it.
        tmk: the master key of all its terminals.
        master: the issuer's.

    Attributes:
        faults: what is done wrong on demand.

    Raises:
        CannotStart: from the database, or what is in it was sealed with another key.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        random: RandomBytes,
        vault: Vault,
        tmk: SecretBytes,
        master: chip.MasterKeys,
    ) -> None:
        self.database = database
        self.clock = clock
        self.faults = Faults()
        self.accounts = Accounts(vault)
        self._ids = ids
        self._random = random
        self._vault = vault
        self._tmk = tmk
        self._issuer = Issuer(self.accounts, master)
        self._upload = batches.Upload(self._issuer, self.accounts, vault, ids)
        self._jobs: Jobs | None = None
        self.days: DayWork | None = None
        now = clock.now()
        database.load(lambda conn: self._load_demo(conn, now))

    def exchange_days(self, exchange: DayExchange, calendar: Calendar) -> None:
        """It answers the platform's days, in a folder that both have agreed on; to be said before the start."""
        debits = PurseDebits(self._vault, self._tmk, calendar)
        self.days = DayWork(exchange, debits, calendar, self.clock)
        self._jobs = Jobs(self.database, tables.jobs, self.clock, self._ids.row(), self.days.jobs())
        self.database.load(self._jobs.load)

    def start(self) -> None:
        """It begins to answer. Raises CannotStart."""
        audit.note_start(self.database, self.clock, "ppp")
        if self._jobs is not None:
            self._jobs.start()

    async def stop(self) -> None:
        """Ends its work, and lets go of the database."""
        try:
            if self._jobs is not None:
                await self._jobs.stop()
            audit.note_stop(self.database, self.clock, "ppp")
        finally:
            self.database.close()

    async def answer(self, data: bytes) -> bytes:
        """The answer to a message; both are without their length.

        Raises:
            Iso8583Error: what came is no message, or names no terminal.
        """
        message = decode(data)
        terminal = await self._terminal(message)
        try:
            said = await self._said(message, terminal)
        except (FieldMissing, Iso8583Error, chip.ChipError) as error:
            log.warning("ppp-malformed", terminal=terminal.id, mti=message.mti, error=str(error))
            said = {39: "30"}
        log.info(
            "ppp-answered", terminal=terminal.id, mti=message.mti, stan=message.fields.get(11), code=said[39]
        )
        return self._reply(message, terminal, said)

    async def _terminal(self, message: Message) -> Terminal:
        number, merchant = message.text(41), message.text(42)
        row = await self.database.look(lambda conn: statements.one(conn, terminals, id=number))
        if row is None:
            return Terminal("", merchant, "", None)
        sealed = row.working_keys
        keys = None if sealed is None else WorkingKeys.from_bytes(self._vault.unseal(sealed))
        return Terminal(row.id, row.merchant, f"{row.batch:06d}", keys)

    async def _said(self, message: Message, terminal: Terminal) -> Answer:
        if not terminal.id:
            return {39: "97"}
        if message.text(42) != terminal.merchant:
            return {39: "03"}
        refusal = self.faults.refuses(message.mti)
        if refusal is not None:
            return {39: refusal}
        if message.mti == "0800":
            code = message.network.code
            if code not in SIGN_IN:
                return {39: "12"}
            return await self.database.write(lambda conn: self._sign_in(conn, terminal, code))
        if terminal.keys is None or not genuine(message, terminal.keys):
            return {39: "A0"}
        work = self._work_for(message)
        if work is None:
            return {39: "12"}
        request = Request(message, terminal, terminal.keys, self.clock.now())
        return await self.database.write(lambda conn: work(conn, request))

    def _work_for(self, message: Message) -> Work | None:
        """What is done about a message; None: there is no such transaction here."""
        if message.mti == "0820":
            return {SIGN_OUT: _sign_out, ECHO: _echo}.get(message.network.code)
        if message.mti == "0200" and message.text(3) not in KINDS:
            return None
        return {
            "0200": self._financial,
            "0400": lambda conn, request: transactions.reverse(conn, self._ids, request),
            "0620": transactions.script_result,
            "0500": batches.settle,
            "0320": self._upload.take,
        }.get(message.mti)

    def _sign_in(self, conn: Connection, terminal: Terminal, code: str) -> Answer:
        keys = WorkingKeys.fresh(self._random, code)
        row = statements.one(conn, terminals, lock=True, id=terminal.id)
        assert row is not None
        sealed = self._vault.seal(keys.to_bytes())
        statements.change(conn, terminals, {"working_keys": sealed}, id=terminal.id)
        network = Network("00", f"{row.batch:06d}", code)
        return {39: APPROVED, 32: ACQUIRER, 60: str(network), 62: under(self._tmk, keys)}

    def _financial(self, conn: Connection, request: Request) -> Answer:
        message, terminal, now = request.message, request.terminal, request.now
        kind = KINDS[message.text(3)]
        fen = 0 if kind == "balance" else int(message.text(4))
        # Locked before anything is inserted that refers to it: no batch is closed while something comes into it.
        row = statements.one(conn, terminals, lock=True, id=terminal.id)
        assert row is not None
        started = transactions.begin(conn, self._ids, request, kind, fen)
        if started.again is not None:
            return started.again
        if message.network.batch != f"{row.batch:06d}":
            return started.refused(conn, Refused("77", "batch"))
        if kind != "balance" and message.text(49) != CURRENCY:
            return started.refused(conn, Refused("12", "currency"))
        script = bytes.fromhex(self.faults.script or "")
        verdict = self._issuer.decide(conn, kind, request, fen, script)
        said: dict[int, Value] = {39: verdict.code, 12: f"{now:%H%M%S}", 13: f"{now:%m%d}", 15: f"{now:%m%d}"}
        said |= {32: ACQUIRER, 37: started.id[-12:]}
        if verdict.chip:
            said[55] = verdict.chip
        state = "declined"
        if verdict.code == APPROVED:
            assert verdict.account is not None
            state, said[38] = "approved", started.id[-6:]
            if kind == "balance":
                said[54] = _balance(conn, verdict.account)
            else:
                debit, credit = books.sides(kind, verdict.account, terminal.merchant)
                books.book(conn, kind, started.id, debit, credit, fen, now)
        _keep(conn, started, said, state, verdict)
        return said

    def _reply(self, message: Message, terminal: Terminal, said: Answer) -> bytes:
        fields = {number: message.fields[number] for number in REPEATED if number in message}
        mti = f"{int(message.mti) + 10:04d}"
        answer = Message(mti, {**fields, **said}, answering(message.tpdu), message.header)
        if terminal.keys is None or message.mti == "0800":
            return encode(answer)
        mak, wrong = terminal.keys.mak.reveal(), self.faults.wrong_mac
        return encode(answer, lambda covered: b"00000000" if wrong else pos_mac(mak, covered))

    def _load_demo(self, conn: Connection, now: datetime) -> None:
        self.accounts.expect_ours(conn)
        first = {"id": DEMO_TERMINAL, "merchant": DEMO_MERCHANT, "batch": 1}
        if statements.insert_once(conn, terminals, first):
            books.open_merchant(conn, DEMO_MERCHANT)
        self.accounts.load_demo(conn, now)


def _keep(
    conn: Connection, started: transactions.Started, said: Answer, state: str, verdict: Verdict
) -> None:
    started.ended(conn, said, state, reason=verdict.reason, account=verdict.account, atc=verdict.atc)


def _sign_out(conn: Connection, request: Request) -> Answer:
    statements.change(conn, terminals, {"working_keys": None}, id=request.terminal.id)
    return {39: APPROVED}


def _echo(conn: Connection, request: Request) -> Answer:
    return {39: APPROVED}


def _balance(conn: Connection, account: str) -> str:
    """Bit 54: account type 10 (debit) or 30 (credit), amount type 02 (available), currency, sign, 12 digits."""
    row = statements.one(conn, tables.accounts, id=account)
    assert row is not None
    fen = books.available(conn, account, row.credit_fen)
    kind = "30" if row.scheme == "credit" else "10"
    return f"{kind}02{CURRENCY}{'D' if fen < 0 else 'C'}{abs(fen):012d}"
