"""EMV, the terminal side."""
