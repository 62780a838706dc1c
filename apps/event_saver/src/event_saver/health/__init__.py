"""Whether the daemon is well, and where that is asked."""
