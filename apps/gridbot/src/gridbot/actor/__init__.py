"""One strategy at work: its runner, and the way of its orders."""
