"""Third-party wallets, as plug-ins of one contract."""
