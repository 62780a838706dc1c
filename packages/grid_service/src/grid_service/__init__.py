"""What every command needs, and every daemon: an end, logs without secrets, metrics and health."""
