"""docs/states.md and docs/ledger.md say what the code does."""

from __future__ import annotations

from scripts import draw_states
from server_stub.tsp import cases, housekeeping, invariants, machines


def test_the_drawn_state_machines_are_those_of_the_code() -> None:
    drawn = (draw_states.DOCS / "states.md").read_text(encoding="utf-8")
    assert drawn == draw_states.states_page(), "run python -m scripts.draw_states"


def test_the_journals_told_are_those_that_are_booked() -> None:
    page = (draw_states.DOCS / "ledger.md").read_text(encoding="utf-8")
    assert page == draw_states.ledger_page(page), "run python -m scripts.draw_states"
    assert "| card | created | card-checked |" not in page
    assert "| card | paid | opened | `suspense:orders` | `payable:boss` |" in page


def test_actions_kinds_of_cases_and_jobs_are_told() -> None:
    page = (draw_states.DOCS / "ledger.md").read_text(encoding="utf-8")
    for action, states in cases.ACTIONS.items():
        wanted = "any that waits for nothing" if action == "close" else ", ".join(states)
        assert f"| `{action}` | {wanted} |" in page
    for action, states in cases.LOAD_ACTIONS.items():
        wanted = "any that waits for nothing" if action == "close" else ", ".join(states)
        assert f"| `{action}` of a load | {wanted} |" in page
    for kind in machines.WATCHED.values():
        assert f"`{kind}`" in page
    settling = (housekeeping.SETTLE, housekeeping.SETTLEMENTS)
    for job in (
        housekeeping.SWEEP,
        housekeeping.BOOKS,
        housekeeping.CASES,
        housekeeping.FORGET_ANSWERS,
        *settling,
    ):
        assert f"| `{job}` |" in page
    assert invariants.CHECKS
