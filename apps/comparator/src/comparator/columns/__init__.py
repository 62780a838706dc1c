"""Exact numbers, trades and recorded rows as columns."""
