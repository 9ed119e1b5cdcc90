"""Reconciliation of any two books that must agree; it knows no role. See docs/reconciliation.md."""
