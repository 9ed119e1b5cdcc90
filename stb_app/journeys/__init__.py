"""What a subscriber does, step by step, without a pixel."""
