"""What the daemon is made of: connections kept alive, what they missed, and the upkeep of both."""
