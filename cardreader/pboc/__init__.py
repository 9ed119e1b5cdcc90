"""pboc."""
