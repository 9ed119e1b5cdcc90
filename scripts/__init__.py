"""What `make` runs: assets made at set-up, translations, pictures."""
