"""One account: its streams, its checks, its comparison with the exchange."""
