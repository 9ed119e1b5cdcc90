"""Loads of electronic cash: what the account has paid is on the card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from server_stub.tsp import chip_data
from tests.simulation.books import Books, books
from tests.simulation.cards import CashCard
from tests.simulation.world import Simulation


def loads_agree(simulation: Simulation) -> Iterator[str]:
    """What was loaded the account has paid and the card holds; what was not, neither. Where one says so and the other does
    not, the load is in dispute, or its card has still to tell.
    """
    held = books(simulation)
    known, slips = set(), set()
    for row in held.loads.values():
        booked, there = load_stands(simulation, held, row)
        slips.add((row.batch, row.stan))
        known.add(_atc(row))
        told = row.id not in held.loads_remembered
        right = {
            "created": not booked and not there,
            "loaded": booked and there,
            "failed": not booked and not (there and told),
            "disputed": not booked and there,
        }
        if not right.get(row.state, False):
            yield f"load {row.id} of {row.amount_fen} fen is {row.state}; booked {booked}, on the card {there}, told {told}"
    for card in cash_cards(simulation):
        for load in card.loads:
            if load.random not in known:
                yield f"{load.amount_fen} fen came onto {card.name}, and no load knows of it"
    for slip, row in held.loaded.items():
        if slip not in slips:
            yield f"the issuer has booked a load of {row.amount_fen} fen, and no load knows of it"


def electronic_cash_is_whole(simulation: Simulation) -> Iterator[str]:
    """What the issuer has put out is on the card, but for what was paid and has not reached it, and loads in dispute."""
    held = books(simulation)
    cards = tuple(cash_cards(simulation))
    if not cards:
        return
    out_fen = sum(card.balance_fen for card in cards)
    for payment, kept in held.certificates.items():
        sold = held.collected.get((kept.batch, kept.stan))
        if payment in held.charged and (sold is None or sold.state != "approved"):
            out_fen += held.payments[payment].amount_fen
    for row in held.loads.values():
        booked, there = load_stands(simulation, held, row)
        out_fen += row.amount_fen * (booked - there)
    if held.cash_out_fen != out_fen:
        yield f"the issuer has {held.cash_out_fen} fen of electronic cash out, and not {out_fen}"


def cash_cards(simulation: Simulation) -> Iterator[CashCard]:
    return (card for card in simulation.cards if isinstance(card, CashCard))


def load_stands(simulation: Simulation, held: Books, load: Any) -> tuple[bool, bool]:
    """Whether a load is booked at the issuer, and whether the card has it."""
    at_issuer = held.loaded.get((load.batch, load.stan))
    there = {one.random for card in cash_cards(simulation) for one in card.loads}
    return at_issuer is not None and at_issuer.state == "approved", _atc(load) in there


def _atc(load: Any) -> str:
    """Of the transaction that a load asked its issuer in; empty: it has asked for nothing."""
    return "" if load.chip is None else f"{chip_data.atc_of(load.chip):04X}"
