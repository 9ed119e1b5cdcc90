"""Tests of the server: the HSM."""
