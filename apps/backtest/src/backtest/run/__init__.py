"""From ticks and strategies to a result."""
