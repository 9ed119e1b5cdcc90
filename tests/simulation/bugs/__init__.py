"""Deliberate bugs: each breaks the real code in one place, and some seed has to notice."""

from tests.simulation.bugs import boxes, cards, cash, foundation, nights, payments
from tests.simulation.bugs.harness import BUGS, Bug, caught

__all__ = ["BUGS", "Bug", "boxes", "cards", "cash", "caught", "foundation", "nights", "payments"]
