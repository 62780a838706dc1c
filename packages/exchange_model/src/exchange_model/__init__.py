"""A simulated exchange: account, orders, fills, funding, and the rules of Bybit."""
