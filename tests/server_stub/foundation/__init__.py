"""Tests of the server: foundation."""
