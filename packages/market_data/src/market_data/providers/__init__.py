"""Whoever has the ticks of a symbol: files, the store, a recording, a random walk."""
