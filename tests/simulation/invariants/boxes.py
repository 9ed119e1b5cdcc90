"""What a box remembers, what it has sent and signed, and whether it is let in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from stb_app.tsp.problem import Problem
from tests.simulation.books import Books, books
from tests.simulation.cards import CashCard
from tests.simulation.invariants.money import OPEN_AT_TSP
from tests.simulation.world import Simulation, attend

KEY_LOOK = timedelta(seconds=2)
"""So long one process lets a read in by a key that another one has ended."""


def boxes_remember_what_is_open(simulation: Simulation) -> Iterator[str]:
    """A box remembers a payment only as long as nobody knows how it ended, and never loses a record."""
    held = books(simulation)
    for box in simulation.boxes:
        if not box.ready:
            yield f"{box.name} did not start"
        elif box.memory.broken:
            yield f"{box.name} has lost {box.memory.broken}"
    for payment in held.remembered:
        row = held.payments.get(payment)
        if row is None:
            yield f"payment {payment} is remembered, and nobody knows it"
        elif row.state not in OPEN_AT_TSP and not _never_began(held, row):
            yield f"payment {payment} is remembered, and is {row.state}"
    if any(person.has_card and isinstance(person.mine, CashCard) for person in simulation.people):
        for load in held.loads_remembered:
            yield f"load {load} is remembered though its card was there"


def _never_began(held: Books, row: Any) -> bool:
    """The TSP never let MAC1 out; the box remembers until its card is back to say so."""
    if row.id in held.certificates:
        return False
    return row.state in ("cancelled", "expired") and (
        row.id not in held.debits or held.debits[row.id].random is None
    )


def same_key_same_answer(simulation: Simulation) -> Iterator[str]:
    """A request that comes again is answered as it was the first time, as long as answers are kept."""
    for (role, who, key, path, _), (_, answers) in simulation.network.answers.items():
        if len(answers) > 1:
            yield f"{role} answered {path} of {who} with key {key} in {len(answers)} ways: {sorted(answers)}"


def keys_are_used_once(simulation: Simulation) -> Iterator[str]:
    """Nobody sends another request with an old key, except a box whose disk had no room for what it had sent."""
    full = {box.name for box in simulation.boxes if box.plan.full_disk}
    for who, path in simulation.network.reused:
        if who not in full:
            yield f"{who} used the key of another request for {path}"


def signatures_are_used_once(simulation: Simulation) -> Iterator[str]:
    """What a box has signed is carried out once, however often it comes."""
    for (path, _), times in simulation.network.effects.items():
        if times > 1:
            yield f"{path} was carried out {times} times for one signature"


def boxes_are_let_in(simulation: Simulation) -> Iterator[str]:
    """No box that has done nothing but what boxes do has lost its key, whatever it was interrupted in."""
    held = books(simulation)
    for key in held.keys.values():
        if key.ended is not None:
            yield f"the key of box {key.box_number} has ended: {key.ended}"
    for box in simulation.network.enrolled:
        yield f"{box} had to be enrolled anew"
    for box in simulation.boxes:
        told = records_of(simulation, box)
        if isinstance(told, Problem):
            yield f"{box.name} is not let in: {told.code}"


def ended_keys_open_nothing(simulation: Simulation) -> Iterator[str]:
    """No signature of a key is accepted once its time is over, neither on the way nor at the end."""
    held = books(simulation)
    now = simulation.hosts["tsp"].now()
    ended = {
        key.key_id: key.valid_until
        for key in held.keys.values()
        if key.valid_until is not None and key.valid_until < now
    }
    for key, at in simulation.network.let_in.items():
        # A server's clock that was set back lives through some hours twice.
        if key in ended and at > ended[key] + KEY_LOOK and "tsp" not in simulation.stepped:
            yield f"key {key} has ended at {ended[key]} and was let in at {at}"
    for box in simulation.boxes:
        thief = box.thief()
        if thief is not None and thief.identity.key_id in ended:
            told = _asked(simulation, box, thief)
            code = told.code if isinstance(told, Problem) else "let in"
            if code != "key-replaced":
                yield f"whoever has an old key of {box.name} is told: {code}"


def answers_are_trusted(simulation: Simulation) -> Iterator[str]:
    """No box is told anything by its TSP that it does not believe, whatever key that has gone over to."""
    yield from simulation.distrusted


def records_of(simulation: Simulation, box: Any) -> Any:
    """What the records of a box say, or why they cannot be seen; asked once."""
    if box.seen is None:
        box.seen = _asked(simulation, box, box.verbs.client)
    return box.seen


def _asked(simulation: Simulation, box: Any, client: Any) -> Any:
    told: list[Any] = []

    def ask() -> None:
        try:
            told.append(client.records())
        except Problem as problem:
            told.append(problem)

    attend(simulation, box, ask)
    return told[0]
