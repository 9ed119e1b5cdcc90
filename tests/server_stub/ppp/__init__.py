"""Tests of the server: PPP and issuer."""
