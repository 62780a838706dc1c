"""What the daemon is told, and whose accounts it captures."""
