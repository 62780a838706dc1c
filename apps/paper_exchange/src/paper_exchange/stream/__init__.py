"""The V5 topics."""
