"""Tests of the server: the exchange of files."""
