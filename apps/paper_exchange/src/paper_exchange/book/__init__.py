"""One account's orders and positions, and what may be done with them."""
