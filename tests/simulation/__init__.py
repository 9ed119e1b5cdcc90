"""The whole system in one process on a simulated clock, with faults from one seed (docs/simulation.md)."""
