"""Tests of files, records and cryptography."""
