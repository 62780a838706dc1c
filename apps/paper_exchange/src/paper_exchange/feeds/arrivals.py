"""When taker orders reach a made-up market, and into how many trades each of them breaks."""

from __future__ import annotations

import math
from random import Random

MEAN_PRINTS = 2.0  # trades of one order
MOST_PRINTS = 12
FOLLOWERS = 0.5  # orders that one order draws after it, on average
HASTE = 5.0  # how much faster than the average order they come


class Arrivals:
    """Times of taker orders: a Hawkes process, in which orders draw others after them.

    On average `trades_per_s` trades come out of it. Ogata's thinning, one exponential kernel.
    """

    def __init__(self, chance: Random, trades_per_s: float) -> None:
        self._chance = chance
        rate = trades_per_s / MEAN_PRINTS
        self._base_rate = rate * (1 - FOLLOWERS)
        self._decay = rate * HASTE
        self._excited = 0.0
        self._s = 0.0

    def next_s(self) -> float:
        """Return the time of the next order in seconds after the beginning."""
        while True:
            bound = self._base_rate + self._excited  # the rate only falls until the next order
            wait = self._chance.expovariate(bound)
            self._s += wait
            self._excited *= math.exp(-self._decay * wait)
            if self._chance.random() * bound <= self._base_rate + self._excited:
                self._excited += FOLLOWERS * self._decay
                return self._s

    def prints(self) -> int:
        """Return how many trades an order breaks into: geometric, at least one."""
        count = 1
        while count < MOST_PRINTS and self._chance.random() >= 1 / MEAN_PRINTS:
            count += 1
        return count
