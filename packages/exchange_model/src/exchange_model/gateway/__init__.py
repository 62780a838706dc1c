"""The strategy on the simulated exchange: commands in, events out."""
