"""All books after a run, and what the cards themselves know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

from server_stub.boss import tables as boss
from server_stub.foundation.purse_details import ACCEPTED
from server_stub.ppp import books as ppp_books
from server_stub.ppp import tables as ppp
from server_stub.sandbox import tables as sandbox
from server_stub.tsp import machines
from server_stub.tsp import tables as tsp
from tests.simulation.cards import Debit
from tests.simulation.databases import opened
from tests.simulation.world import Simulation

SCHEDULED = frozenset(machines.WATCHED.values()) - {"amount-differs", "service-not-opened"}
"""Cases of whatever has waited too long: the net under everything, which must not be what catches it here."""


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that is written down anywhere, and the cards' own truth."""

    orders: dict[str, Any]
    payments: dict[str, Any]
    debits: dict[str, Any]
    """The TSP's rows about cards, by payment."""
    authorisations: dict[str, Any]
    """The TSP's rows about debit and credit cards, by payment."""
    settlements: list[Any]
    issuer: dict[tuple[str, str], Any]
    """PPP's rows of sales, by batch and STAN."""
    certificates: dict[str, Any]
    """The TSP's rows about payments with electronic cash, by payment."""
    collected: dict[tuple[str, str], Any]
    """PPP's rows of those, by batch and STAN."""
    loads: dict[str, Any]
    """The TSP's rows about loads of electronic cash, by load."""
    loaded: dict[tuple[str, str], Any]
    """PPP's rows of those, by batch and STAN."""
    cash_out_fen: int
    """Electronic cash that is out on cards, as the issuer's books have it."""
    cases: dict[str, set[str]]
    """Kinds of open cases by payment, but for those of the net."""
    borne: frozenset[str]
    """Payments that count as paid, by a person's decision, and for which nothing has come."""
    settled: frozenset[str]
    """Payments with a purse that PPP has accepted for settlement."""
    leases: list[Any]
    outboxes: list[tuple[str, Any]]
    moves: list[tuple[str, Any]]
    boss_orders: dict[str, Any]
    subscriptions: list[Any]
    codes: dict[str, Any]
    """The wallet's rows, by payment."""
    charged: dict[str, list[Debit]]
    """What happened on cards, by the payment it belongs to; "" where no payment knows it."""
    remembered: dict[str, Any]
    """The boxes' open records, by payment."""
    loads_remembered: frozenset[str]
    """Loads that boxes have on their disks."""
    journals: list[tuple[str, Any]]
    entries: list[tuple[str, Any]]
    balances: list[tuple[str, Any]]
    keys: dict[str, Any]
    """The TSP's rows about keys of boxes, by key."""

    def wallet_has(self, payment: str) -> bool:
        """Whether the wallet holds money for a payment."""
        return payment in self.codes and self.codes[payment].state == "paid"

    def money_is_gone(self, payment: str) -> bool:
        """Whether the payer's money for a payment is gone at this moment, from a card or an account or to the wallet."""
        return payment in self.charged or self.wallet_has(payment)

    def counts_as_paid(self, payment: str) -> bool:
        """Whether the payer's money is gone, or a person has said that the service is to be had all the same."""
        return self.money_is_gone(payment) or payment in self.borne

    def went_back(self, payment: str) -> bool:
        """Whether the wallet has sent the money for a payment back."""
        return payment in self.codes and self.codes[payment].state == "refunded"


def books(simulation: Simulation) -> Books:
    """Opens all books once."""
    if getattr(books, "of", None) != id(simulation):
        books.of, books.value = id(simulation), _read(simulation)  # type: ignore[attr-defined]
    value: Books = books.value  # type: ignore[attr-defined]
    return value


def _read(simulation: Simulation) -> Books:
    def rows(role: str, table: Table) -> list[Any]:
        if role not in simulation.hosts:
            return []
        with opened(simulation.hosts[role].files) as conn:
            return list(conn.execute(select(table)).all())

    debits = {row.payment_id: row for row in rows("tsp", tsp.debits)}
    certificates = {row.payment_id: row for row in rows("tsp", tsp.certificates)}
    by_random = {row.random: payment for payment, row in debits.items() if row.random is not None}
    by_random |= {f"{row.atc:04X}": payment for payment, row in certificates.items()}
    charged: dict[str, list[Debit]] = {}
    for card in simulation.cards:
        for debit in card.debits:
            charged.setdefault(by_random.get(debit.random, ""), []).append(debit)
    authorisations = {row.payment_id: row for row in rows("tsp", tsp.authorisations)}
    by_slip = {(row.batch, row.stan): payment for payment, row in authorisations.items()}
    at_ppp = rows("ppp", ppp.transactions)

    def booked(*kinds: str) -> dict[tuple[str, str], Any]:
        return {(row.batch, row.stan): row for row in at_ppp if row.kind in kinds}

    issuer = booked(ppp_books.SALE, "unknown")
    for slip, row in issuer.items():
        if row.state == "approved":
            # Whose account was debited the issuer knows, and nobody else.
            debit = Debit(row.account, row.stan, row.amount_fen, 0.0)
            charged.setdefault(by_slip.get(slip, ""), []).append(debit)
    cases: dict[str, set[str]] = {}
    for row in rows("tsp", tsp.cases):
        if row.state != "open" or row.kind in SCHEDULED:
            continue
        cases.setdefault(row.payment_id, set()).add(row.kind)
    ledgers = {"tsp": tsp.ledger, "boss": boss.ledger}
    return Books(
        orders={row.id: row for row in rows("tsp", tsp.orders)},
        payments={row.id: row for row in rows("tsp", tsp.payments)},
        debits=debits,
        authorisations=authorisations,
        settlements=rows("tsp", tsp.settlements),
        issuer=issuer,
        certificates=certificates,
        collected=booked(ppp_books.CASH_SALE),
        loads={row.id: row for row in rows("tsp", tsp.loads)},
        loaded=booked(ppp_books.LOAD),
        cash_out_fen=-sum(
            row.balance_fen
            for row in rows("ppp", ppp.ledger.balances)
            if row.account.startswith(ppp_books.cash(""))
        ),
        cases=cases,
        borne=frozenset(
            row.id for row in rows("tsp", tsp.payments) if row.method == "card" and row.received_fen == 0
        ),
        settled=frozenset(row.payment_id for row in rows("tsp", tsp.uploads) if row.code == ACCEPTED),
        leases=rows("tsp", tsp.leases),
        outboxes=[("tsp", row) for row in rows("tsp", tsp.outbox)]
        + [("sandbox", row) for row in rows("sandbox", sandbox.outbox)],
        moves=[("tsp", row) for row in rows("tsp", tsp.moves)]
        + [("sandbox", row) for row in rows("sandbox", sandbox.moves)],
        boss_orders={row.id: row for row in rows("boss", boss.orders)},
        subscriptions=rows("boss", boss.subscriptions),
        codes={row.reference: row for row in rows("sandbox", sandbox.codes)},
        charged=charged,
        remembered={
            record.payment: record for box in simulation.boxes if box.ready for record in box.memory.all()
        },
        loads_remembered=frozenset(
            path.stem for box in simulation.boxes for path in (box.folder / "payments").glob("*.load")
        ),
        journals=[(role, row) for role, one in ledgers.items() for row in rows(role, one.journals)],
        entries=[(role, row) for role, one in ledgers.items() for row in rows(role, one.entries)],
        balances=[(role, row) for role, one in ledgers.items() for row in rows(role, one.balances)],
        keys={row.key_id: row for row in rows("tsp", tsp.box_keys)},
    )
