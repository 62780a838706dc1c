"""Trades, tickers, bars and rates as columns."""
