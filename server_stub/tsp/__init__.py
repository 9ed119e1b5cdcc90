"""TSP, the payment platform that boxes talk to."""
