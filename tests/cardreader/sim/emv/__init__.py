"""Tests of the simulated debit and credit cards."""
