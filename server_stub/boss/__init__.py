"""boss."""
