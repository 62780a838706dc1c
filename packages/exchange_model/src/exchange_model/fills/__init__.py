"""When a resting order fills."""
