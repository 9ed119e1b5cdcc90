"""The ledgers: journals, balances, what stands on the house's accounts, and what ``stb-server check`` finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from server_stub.check import examine
from server_stub.settings import Settings
from server_stub.tsp import machines
from tests.simulation.books import books
from tests.simulation.databases import opened
from tests.simulation.world import Simulation

UNKNOWN_IN_BOOKS = (*machines.CARD_UNKNOWN, *machines.CASH_UNKNOWN, "presenting")


def journals_balance(simulation: Simulation) -> Iterator[str]:
    """Every journal has at least two entries, which add up to zero; every entry belongs to a journal."""
    held = books(simulation)
    lines: dict[tuple[str, str], list[int]] = {(role, row.id): [] for role, row in held.journals}
    for role, row in held.entries:
        if (role, row.journal) not in lines:
            yield f"{role}: an entry belongs to journal {row.journal}, which is not there"
        lines.setdefault((role, row.journal), []).append(row.amount_fen)
    for (role, journal), amounts in lines.items():
        if len(amounts) < 2 or sum(amounts):
            yield f"{role}: journal {journal} has the entries {amounts}"


def balances_are_sums(simulation: Simulation) -> Iterator[str]:
    """What stands on each part of each account is the sum of its entries."""
    held = books(simulation)
    sums = Counter[tuple[str, str, int]]()
    for role, row in held.entries:
        sums[role, row.account, row.part] += row.amount_fen
    kept = {(role, row.account, row.part): row.balance_fen for role, row in held.balances}
    for place in sorted(sums.keys() | kept.keys()):
        if kept.get(place) != sums[place]:
            yield f"{place} has {kept.get(place)} fen, its entries add up to {sums[place]}"


def house_accounts_are_right(simulation: Simulation) -> Iterator[str]:
    """What stands on the house's accounts is what cards, wallet and BOSS say of the money themselves."""
    held = books(simulation)
    wanted: dict[tuple[str, str], int] = Counter()

    def stand(role: str, account: str, fen: int) -> None:
        wanted[role, account] += fen

    for row in held.payments.values():
        fen = row.amount_fen
        if row.state in UNKNOWN_IN_BOOKS:
            stand("tsp", "unknown:card", fen)
            stand("tsp", "unknown:contra", -fen)
        elif row.id in held.borne:
            stand("tsp", "expense:certificates", fen)
        elif row.id in held.charged:
            # The card's word, not the payment's.
            fen = sum(debit.amount_fen for debit in held.charged[row.id])
            stand("tsp", "cash:settled" if row.id in held.settled else "receivable:card", fen)
        elif held.wallet_has(row.id):
            fen = held.codes[row.id].amount_fen
            stand("tsp", "receivable:wallet:demo", fen)
        else:
            continue
        if row.state in ("paid", "service-refused"):
            stand("tsp", "suspense:orders", -fen)
    for order in held.boss_orders.values():
        if order.state == "opened":
            stand("tsp", "payable:boss", -order.amount_fen)
            stand("boss", "receivable:platform", order.amount_fen)
            stand("boss", f"revenue:{order.service}", -order.amount_fen)
    stands: dict[tuple[str, str], int] = Counter()
    for role, row in held.entries:
        stands[role, row.account] += row.amount_fen
    for role, account in sorted(wanted.keys() | stands.keys()):
        here, there = stands[role, account], wanted[role, account]
        if here != there:
            yield f"{role}: {here} fen stand on {account}, not {there}"


def check_finds_nothing(simulation: Simulation) -> Iterator[str]:
    """What ``stb-server check`` says of these databases: ledgers, histories, what is owed, leases, audit logs."""
    hosts = simulation.hosts
    with ExitStack() as stack:
        readers: list[Any] = [
            _Reader(stack.enter_context(opened(hosts[role].files))) if role in hosts else None
            for role in ("tsp", "boss", "ppp")
        ]
        examined = examine(*readers, hosts["tsp"].now(), Settings())
        try:
            examined.send(None)
        except StopIteration as end:
            findings = end.value
    for finding in findings:
        yield from (f"{finding.name}: {fault}" for fault in finding.faults)


@dataclass(frozen=True, slots=True)
class _Reader:
    """As much of a database as a check needs."""

    conn: Any

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return work(self.conn)
