"""The tester's bench: traces, what they mean, cards made of them, and faults on demand."""
