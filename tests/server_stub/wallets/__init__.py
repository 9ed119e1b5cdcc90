"""Tests of the server: wallets."""
