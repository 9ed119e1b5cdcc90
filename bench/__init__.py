"""Measurements: `python -m bench.NAME` is one, ending with a line of JSON; `python -m bench` is all."""
