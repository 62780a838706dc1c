"""The two sides of a comparison: what was live, what a backtest says."""
