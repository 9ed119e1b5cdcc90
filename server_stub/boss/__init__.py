"""BOSS, the cable operator's business system."""
