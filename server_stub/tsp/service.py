"""The TSP: its services put together over one core, its background work, its start and stop."""

from __future__ import annotations

import json
from datetime import datetime
from importlib import resources
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from server_stub.foundation.calendar import Calendar
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.day_exchange import DayExchange
from server_stub.foundation.idempotency import Idempotency
from server_stub.foundation.ids import Ids, RandomBytes
from server_stub.foundation.jobs import Job, Jobs
from server_stub.foundation.outbox import Handler, Outbox
from server_stub.foundation.vault import Vault
from server_stub.foundation.worker import Worker
from server_stub.settings import Settings
from server_stub.tsp import books, housekeeping, operating, own_books, psam_pool, tables, uploads
from server_stub.tsp.account_inquiry import AccountInquiries
from server_stub.tsp.boss_client import BossClient
from server_stub.tsp.boxes import REPORT_KEY, Boxes
from server_stub.tsp.card import CardPayments
from server_stub.tsp.card_keys import CardKeys
from server_stub.tsp.card_loads import CardLoads
from server_stub.tsp.card_proofs import CardProofs
from server_stub.tsp.core import Core
from server_stub.tsp.electronic_cash import ElectronicCash
from server_stub.tsp.envelopes import Envelopes
from server_stub.tsp.hsm.module import Hsm
from server_stub.tsp.issuer_line import IssuerLine
from server_stub.tsp.moves import (
    ASK_WALLET,
    LOAD_SCRIPT_RESULT,
    OPEN_SERVICE,
    PRESENT,
    REFUND,
    REVERSE,
    REVERSE_LOAD,
    SCRIPT_RESULT,
)
from server_stub.tsp.online_card import OnlineCards
from server_stub.tsp.orders import Orders
from server_stub.tsp.payments import Payments
from server_stub.tsp.pos import Access, Pos
from server_stub.tsp.reconciling import Books, Reconciling, pair_named
from server_stub.tsp.remedies import BOSS, PPP, Remedies
from server_stub.tsp.reopening import REOPEN, Reopening
from server_stub.tsp.server_keys import ServerKeys
from server_stub.tsp.settlement import Settlement
from server_stub.tsp.uploads import Uploads
from server_stub.tsp.wallet import WalletPayments
from server_stub.wallets.provider import Wallet


class TspService:
    """One TSP.

    Args:
        database: made with ``tables.metadata``.
        random: for the keys that answers are signed with.
        psam_state: folder in which simulated PSAMs keep their counters.
        ppp: the way to PPP; None: debit and credit cards are not offered.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        vault: Vault,
        settings: Settings,
        boss: BossClient,
        wallets: dict[str, Wallet],
        random: RandomBytes,
        psam_state: Path,
        ppp: Access | None,
    ) -> None:
        database.load(_load_issuers)
        database.load(lambda conn: books.open_accounts(conn, (f"wallet:{name}" for name in wallets)))
        database.load(lambda conn: operating.note(conn, settings))
        urls, counters = settings.psam_urls, str(psam_state)
        database.load(lambda conn: psam_pool.expect_counters(conn, urls, counters))
        opener = psam_pool.Opener(urls, counters, clock)
        opener.look()
        handlers: dict[str, Handler] = {
            OPEN_SERVICE: lambda payload: self.payments.open_service(payload),
            REFUND: lambda payload: self.wallets.refund(payload),
            ASK_WALLET: lambda payload: self.wallets.ask_again(payload),
            REVERSE: lambda payload: self.online_cards.reverse(payload),
            SCRIPT_RESULT: lambda payload: self.online_cards.tell_script_result(payload),
            REVERSE_LOAD: lambda payload: self.card_loads.reverse(payload),
            LOAD_SCRIPT_RESULT: lambda payload: self.card_loads.tell_script_result(payload),
            PRESENT: lambda payload: self.electronic_cash.present(payload),
            REPORT_KEY: lambda payload: self.boxes.report(payload),
            REOPEN: lambda payload: self.reopening.reopen(payload),
        }
        self._psam_seeker = Worker("psam-seeker", clock, opener.look_again)
        who = ids.row()
        self.core = Core(
            database=database,
            clock=clock,
            ids=ids,
            vault=vault,
            settings=settings,
            boss=boss,
            wallets=wallets,
            psams=opener.units,
            idempotency=Idempotency(database, tables.keys, clock),
            outbox=Outbox(database, tables.outbox, clock, who, handlers),
            sweep_by=lambda instant: self.jobs.due(housekeeping.SWEEP, instant),
            who=who,
        )
        self.hsm = Hsm(vault.derive("hsm"))
        self.card_keys = CardKeys(database, self.hsm, clock)
        self.boxes: Boxes = Boxes(self.core, ServerKeys(database, vault, clock, random))
        self.orders: Orders = Orders(self.core)
        self.cards: CardPayments = CardPayments(self.core)
        self.proofs: CardProofs = CardProofs(self.core)
        self.wallets: WalletPayments = WalletPayments(self.core)
        self.remedies: Remedies = Remedies(self.core)
        self.reopening: Reopening = Reopening(self.core)
        pos = None if ppp is None else Pos(database, clock, self.hsm, ppp)
        envelopes = Envelopes(self.hsm, self.card_keys)
        line = IssuerLine(self.hsm, pos)
        self.online_cards: OnlineCards = OnlineCards(self.core, envelopes, line)
        self.account_inquiries: AccountInquiries = AccountInquiries(self.core, envelopes, line)
        self.card_loads: CardLoads = CardLoads(self.core, envelopes, line)
        self.electronic_cash: ElectronicCash = ElectronicCash(self.core, self.hsm, envelopes, pos)
        self.payments: Payments = Payments(
            self.core, self.orders, self.wallets, self.proofs, self.online_cards
        )
        self.settlement = None if pos is None else Settlement(self.core, pos)
        work = housekeeping.jobs(self.core, self.payments, self.card_loads, self.settlement)
        self.jobs: Jobs = Jobs(database, tables.jobs, clock, who, work)
        database.load(self.jobs.load)
        self._pos = pos
        self._day_jobs: Jobs | None = None
        self.uploads: Uploads | None = None
        self.reconciling: Reconciling | None = None

    def exchange_days(self, boss: DayExchange | None, ppp: DayExchange | None, *, calendar: Calendar) -> None:
        """Its days are told to PPP, and compared with PPP's and BOSS's; to be said before the start."""
        work: dict[str, Job] = {}
        books: dict[str, Books] = {}
        if boss is not None:
            with_boss = own_books.WithBoss(calendar)
            books[BOSS] = Books(pair_named(BOSS), "DZMX", boss, calendar.end_of, with_boss)
        if ppp is not None and self._pos is not None:
            self.uploads = Uploads(self.core, self._pos, ppp, calendar)
            work |= self.uploads.jobs()
            with_ppp = own_books.WithPpp(calendar, self._pos.terminal)
            books[PPP] = Books(
                pair_named(PPP), "QSMX", ppp, calendar.resumes_after, with_ppp, uploads.is_answered
            )
        if not books:
            return
        self.reconciling = Reconciling(self.core, self.remedies, calendar, books)
        work |= self.reconciling.jobs()
        self._day_jobs = Jobs(self.database, tables.jobs, self.core.clock, self.core.who, work)
        self.database.load(self._day_jobs.load)

    @property
    def database(self) -> Database:
        """The role's database."""
        return self.core.database

    @property
    def test_mode(self) -> bool:
        """Whether money here is play money: a simulated PSAM or the demo wallet is in use."""
        return "demo" in self.core.wallets or any(name.startswith("sim:") for name in self.core.psams)

    def due(self, job: str, instant: datetime) -> None:
        """There is something to do for one of its jobs at an instant; nothing where it has no such job."""
        for jobs in (self.jobs, self._day_jobs):
            if jobs is not None and job in jobs:
                jobs.due(job, instant)

    def start(self) -> None:
        """Begins the background work; called in the event loop. Raises CannotStart."""
        tables.audit.note_start(self.database, self.core.clock, "tsp", by=self.core.who)
        self.core.outbox.start()
        self.jobs.start()
        if self._day_jobs is not None:
            self._day_jobs.start()
        self._psam_seeker.start()

    async def stop(self) -> None:
        """Ends it, and lets go of PSAMs and database."""
        await self.core.outbox.stop()
        await self.jobs.stop()
        if self._day_jobs is not None:
            await self._day_jobs.stop()
        await self._psam_seeker.stop()
        for unit in self.core.psams.values():
            unit.close()
        try:
            tables.audit.note_stop(self.database, self.core.clock, "tsp", by=self.core.who)
        finally:
            self.core.database.close()


def _load_issuers(conn: Connection) -> None:
    """The issuers known at the first start."""
    if conn.execute(select(func.count()).select_from(tables.issuers)).scalar_one():
        return
    text = resources.files("server_stub.tsp").joinpath("issuers.json").read_text(encoding="utf-8")
    for entry in json.loads(text):
        zh, en = entry["name"]
        conn.execute(insert(tables.issuers).values(issuer_id=entry["issuer_id"], name_zh=zh, name_en=en))
