"""What the exchange refuses, truncates and cancels: one set for every simulated exchange."""
