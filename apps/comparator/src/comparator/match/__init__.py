"""Which trade is which."""
