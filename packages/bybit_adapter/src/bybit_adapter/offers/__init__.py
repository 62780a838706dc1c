"""What offline tools look up by entry point: a live market, the rules of a contract."""
