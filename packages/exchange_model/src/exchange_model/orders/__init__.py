"""Orders that rest in the simulated exchange."""
