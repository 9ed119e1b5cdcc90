"""Draws the state machines into docs/states.md, and what their moves book into docs/ledger.md, from the code.

Run as ``python -m scripts.draw_states``; a test holds both pages against the code.
"""

from __future__ import annotations

from pathlib import Path

from server_stub.foundation.states import Machine
from server_stub.sandbox.service import MACHINE as CODE
from server_stub.tsp import books, machines
from server_stub.tsp.invariants import FIRST

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- drawn by scripts.draw_states -->", "<!-- end -->"
DRAWN = (
    (machines.ORDER, "An order at the TSP", FIRST["order"]),
    (machines.CARD_PAYMENT, "A payment by purse card", FIRST["card payment"]),
    (machines.LOAD, "A load of electronic cash", FIRST["load"]),
    (machines.WALLET_PAYMENT, "A payment by wallet", FIRST["wallet payment"]),
    (CODE, "A code of the demo wallet", "waiting"),
)
METHODS = {machines.CARD_PAYMENT.name: "card", machines.WALLET_PAYMENT.name: "wallet:NAME"}


def states_page() -> str:
    """The whole of docs/states.md."""
    parts = [
        "# State machines",
        "",
        "Drawn from the code by `python -m scripts.draw_states`; a move that is not drawn is refused and recorded. What a",
        "television is told of these states stands in [tsp-api.md](tsp-api.md), what they book in [ledger.md](ledger.md).",
    ]
    for machine, title, first in DRAWN:
        parts += ["", f"## {title}", "", "```mermaid", "stateDiagram-v2", *_arrows(machine, first), "```"]
        if machine.name in METHODS:
            parts += ["", "| state | the box sees | money | lives |", "|---|---|---|---|"]
            for state in sorted(_states(machine)):
                shown = machines.PAYMENT_SHOWN[state]
                lives = "yes" if state in machines.LIVE else ""
                parts.append(f"| {state} | {shown.state} | {shown.money} | {lives} |")
    return "\n".join(parts) + "\n"


def journals() -> str:
    """The table of what each move of a payment books."""
    parts = ["| payment | from | to | debit | credit |", "|---|---|---|---|---|"]
    for machine in (machines.CARD_PAYMENT, machines.WALLET_PAYMENT):
        for origin, targets in machine.moves.items():
            for target in sorted(targets):
                # Without PPP's word only a person has it count as paid.
                borne = target == "paid" and origin in machines.CASH_UNKNOWN
                money = books.Money(METHODS[machine.name], 1, 0 if borne else 1)
                lines = books.difference(books.standing(origin, money), books.standing(target, money))
                if lines:
                    debits = ", ".join(f"`{line.account}`" for line in lines if line.amount_fen > 0)
                    credits = ", ".join(f"`{line.account}`" for line in lines if line.amount_fen < 0)
                    parts.append(f"| {money.method} | {origin} | {target} | {debits} | {credits} |")
    return "\n".join(parts)


def ledger_page(page: str) -> str:
    """docs/ledger.md with its table drawn anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{journals()}\n\n{END}{after}"


def main() -> None:
    """Writes both pages."""
    (DOCS / "states.md").write_text(states_page(), encoding="utf-8")
    ledger = DOCS / "ledger.md"
    ledger.write_text(ledger_page(ledger.read_text(encoding="utf-8")), encoding="utf-8")


def _states(machine: Machine) -> set[str]:
    return set(machine.moves) | {target for targets in machine.moves.values() for target in targets}


def _arrows(machine: Machine, first: str) -> list[str]:
    """Mermaid's lines; its names have no hyphens."""
    names = {state: state.replace("-", "_") for state in sorted(_states(machine))}
    lines = [f'    state "{state}" as {name}' for state, name in names.items() if state != name]
    lines.append(f"    [*] --> {names[first]}")
    for origin, targets in machine.moves.items():
        lines += [f"    {names[origin]} --> {names[target]}" for target in sorted(targets)]
    lines += [f"    {names[state]} --> [*]" for state in names if not machine.moves.get(state)]
    return lines


if __name__ == "__main__":
    main()
