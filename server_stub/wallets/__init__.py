"""wallets."""
