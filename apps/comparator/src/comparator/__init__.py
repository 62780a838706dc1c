"""Backtest trades against live trades: deltas, causes, verdict."""
