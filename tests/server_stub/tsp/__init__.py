"""Tests of the server: tsp."""
