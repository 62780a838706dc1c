"""Shared test code: builders, a small exchange world, comparison with the oracle."""
