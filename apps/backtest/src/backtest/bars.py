"""Klines as columns, and the ticks and mark prices made from them.

A bar says where the price was, not in which order or how often. The order is taken from its colour:
a bar that closes at or above its open went open-low-high-close (a green bar's low comes before the
high it ends near), one that closes below went open-high-low-close.
"""
