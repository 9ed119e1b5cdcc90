"""What people were told, on the screen and in the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stb_app.tsp.problem import Problem
from tests.simulation.books import Books, books
from tests.simulation.invariants.boxes import records_of
from tests.simulation.invariants.loads import load_stands
from tests.simulation.world import Simulation


def people_are_told_the_truth(simulation: Simulation) -> Iterator[str]:
    """What the screen said of money, and what the records say now, is what happened to it."""
    held = books(simulation)
    for box in simulation.boxes:
        for end in box.told:
            if end.payment is None:
                continue
            payment = end.payment.payment
            if end.money == "not-taken" and held.money_is_gone(payment):
                yield f"the screen said {end.outcome}, not taken; payment {payment} was charged"
            if end.money == "taken" and not held.money_is_gone(payment) and not held.went_back(payment):
                yield f"the screen said {end.outcome}, taken; payment {payment} was not charged"
            if end.money == "returned" and not held.went_back(payment):
                yield f"the screen said returned; payment {payment} was not"
        yield from _records_tell(simulation, held, box)
        for load, said in box.loads_told.items():
            row = held.loads.get(load)
            if row is None:
                continue  # nobody was asked for it
            booked, there = load_stands(simulation, held, row)
            if "loaded" in said and not (booked and there):
                yield f"the screen said loaded; load {load} is booked {booked}, on the card {there}"
            may_differ = row.state == "disputed" or load in held.loads_remembered
            if "failed" in said and (booked or (there and not may_differ)):
                yield f"the screen said not loaded; load {load} is booked {booked}, on the card {there}"
            if said[-1] == "unknown" and not may_differ:
                yield f"the screen said not known yet, and never more; load {load} is {row.state}"


def _records_tell(simulation: Simulation, held: Books, box: Any) -> Iterator[str]:
    told = records_of(simulation, box)
    for record in () if isinstance(told, Problem) else told.payments:
        payment, money = record.payment, record.money
        if money == "not-taken" and held.money_is_gone(payment):
            yield f"the records say not taken; payment {payment} was charged"
        if money == "taken" and not held.money_is_gone(payment):
            yield f"the records say taken; payment {payment} was not charged"
        if money == "returned" and not held.went_back(payment):
            yield f"the records say returned; payment {payment} was not"
