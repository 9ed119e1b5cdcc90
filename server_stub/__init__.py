"""Everything behind the television: TSP, BOSS, and the far side of the demo wallet."""
