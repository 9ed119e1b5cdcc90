"""The far side of systems that are not ours, for demonstrations and tests."""
