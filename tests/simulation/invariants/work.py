"""The servers' work: histories are legal, all comes to its end, and nothing is held by two or by the dead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select

from server_stub.sandbox import tables as sandbox
from server_stub.sandbox.service import MACHINE as CODE
from server_stub.tsp import machines
from server_stub.tsp import tables as tsp
from tests.simulation.books import Books, books
from tests.simulation.databases import opened
from tests.simulation.invariants.loads import cash_cards
from tests.simulation.world import BOXES, Simulation

CLAIMING_S = 11.0
"""So much earlier than the work a lease may begin: the answer to a commit may take so long."""
FORGOTTEN_S = 300.0
"""What is due for so long, and claimed, is in the hands of nobody who lives."""
FIRST = {
    "order": "quoted",
    "card payment": "created",
    "wallet payment": "code-wanted",
    "code": "waiting",
    "load": "created",
}
MACHINES = {
    one.name: one
    for one in (machines.ORDER, machines.CARD_PAYMENT, machines.WALLET_PAYMENT, machines.LOAD, CODE)
}
LEGAL = {name: dict(machine.moves) for name, machine in MACHINES.items()}
"""As they stood before any test bent them."""


def moves_are_legal(simulation: Simulation) -> Iterator[str]:
    """The history of every row is a way through its machine, from its first state to the present one."""
    held = books(simulation)
    now = {
        **{
            ("tsp", row.id): row.state
            for row in (*held.orders.values(), *held.payments.values(), *held.loads.values())
        },
        **{("sandbox", row.id): row.state for row in held.codes.values()},
    }
    at: dict[tuple[str, str], str] = {}
    for role, move in held.moves:
        if not move.legal:
            continue
        row = (role, move.row)
        machine = MACHINES[move.machine]
        if at.get(row, FIRST[move.machine]) != move.origin or move.target not in LEGAL[machine.name].get(
            move.origin, frozenset()
        ):
            yield f"{move.machine} {move.row}: {move.origin} -> {move.target}"
        at[row] = move.target
    for row, state in at.items():
        if now[row] != state:
            yield f"{row[1]} is {now[row]}, its history ends in {state}"


def everything_owed_is_delivered(simulation: Simulation) -> Iterator[str]:
    """Once all is calm nothing waits in an outbox, and what was delivered was acknowledged."""
    held = books(simulation)
    for role, row in held.outboxes:
        if row.delivered_at is None:
            yield f"{role} still owes {row.topic} {row.payload}: {row.last_error}"


def everything_ends(simulation: Simulation) -> Iterator[str]:
    """Once all is calm, and the card was there again, no payment is on its way any more."""
    held = books(simulation)
    with_card = {card.name for person in simulation.people if person.has_card for card in (person.mine,)}
    for row in held.payments.values():
        if row.state in ("opened", "failed", "cancelled", "expired", "refunded", "service-refused"):
            continue
        if held.cases.get(row.id):
            continue
        if row.state in ("mac1-issued", "cash-begun") and not _card_is_back(
            simulation, held, row.id, with_card
        ):
            continue
        yield f"payment {row.id} ({row.method}) is still {row.state}"
    for order in held.orders.values():
        live = [row.state for row in held.payments.values() if row.order_id == order.id and row.live]
        if order.state in ("quoted", "paying") and not live:
            yield f"order {order.id} is still {order.state}"


def _card_is_back(simulation: Simulation, held: Books, payment: str, with_card: set[str]) -> bool:
    """Whether the card that a payment began on was put in at the end."""
    if payment in held.certificates:
        return any(card.name in with_card for card in cash_cards(simulation))
    serial = held.debits[payment].card_masked
    mine = {f"card {number}a" for number in range(len(simulation.boxes)) if serial.endswith("0001")}
    box = held.payments[payment].box_number
    number = next(place for place, one in enumerate(BOXES) if one == box)
    return f"card {number}a" in mine & with_card


def psams_are_lent_whole(simulation: Simulation) -> Iterator[str]:
    """A PSAM belongs to a payment from MAC1 to its proof: none is given away within the lease, none kept after."""
    held = books(simulation)
    if "tsp" not in simulation.stepped:
        issued = {row.row: row.at for _, row in held.moves if row.target == "mac1-issued" and row.legal}
        with opened(simulation.hosts["tsp"].files) as conn:
            for case in conn.execute(select(tsp.cases).where(tsp.cases.c.kind == "psam-number-moved")):
                if (case.at - issued[case.payment_id]).total_seconds() < 180:
                    yield f"payment {case.payment_id} lost its PSAM before its proof"
    for lease in held.leases:
        state = held.payments[lease.payment_id].state
        if state not in ("card-checked", "mac1-issued"):
            yield f"{lease.psam} is still lent to payment {lease.payment_id}, which is {state}"


def work_is_held_by_one(simulation: Simulation) -> Iterator[str]:
    """A job, and a delivery, is one process's at a time, until its lease is over."""
    for what, spans in simulation.held.items():
        if what.partition(" ")[0] in simulation.stepped:
            continue
        for place, first in enumerate(spans):
            for second in spans[place + 1 :]:
                over = first.until is not None and first.until <= second.begun
                if not over and second.begun < first.begun + first.lease_s - CLAIMING_S:
                    yield (
                        f"{what}: begun by {second.process.name} at {second.begun:.3f},"
                        f" in the hands of {first.process.name} since {first.begun:.3f}"
                    )


def leases_run_out(simulation: Simulation) -> Iterator[str]:
    """What a process that died had in hand is taken by another."""
    for role, tables in (("tsp", (tsp.jobs, tsp.outbox)), ("sandbox", (sandbox.outbox,))):
        long_ago = simulation.hosts[role].now() - timedelta(seconds=FORGOTTEN_S)
        for table in tables:
            left = table.c.claimed_by.is_not(None) & (table.c.due_at < long_ago)
            with opened(simulation.hosts[role].files) as conn:
                for row in conn.execute(select(table).where(left)):
                    yield f"{role} {table.name} {row.id} was due at {row.due_at} and is {row.claimed_by}'s until {row.claimed_until}"


def writes_can_be_repeated(simulation: Simulation) -> Iterator[str]:
    """A transaction that collided does the same when it is run again, as long as nobody has written meanwhile."""
    yield from simulation.unrepeatable


def nothing_broke(simulation: Simulation) -> Iterator[str]:
    """No fault that nobody thought of: in a log, in a task, in a flow of a box or a person."""
    yield from simulation.logged
    for actor in simulation.actors:
        if actor.failure is not None:
            yield f"{actor.name}: {actor.failure!r}"
        if "Person" in type(actor.owner).__name__ and not actor.over:
            yield f"{actor.name} never came to an end"
