"""Tests of the server: boss."""
