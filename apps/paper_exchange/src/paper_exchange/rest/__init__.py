"""The V5 calls."""
