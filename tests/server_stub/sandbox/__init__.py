"""Tests of the server: sandbox."""
