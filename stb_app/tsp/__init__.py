"""The embedded payment client: what the box says to the TSP over HTTP."""
