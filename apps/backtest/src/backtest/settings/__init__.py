"""What a backtest is told."""
