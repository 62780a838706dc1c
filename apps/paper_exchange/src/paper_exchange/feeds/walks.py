"""How an underlying price moves. Walks add up in the logarithm of the price.

Floats are fine here: a walk is made up, and what leaves the feed is rounded to ticks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Protocol

YEAR_S = 365.25 * 86_400


class Walk(Protocol):
    """A displacement of the log price, 0 or near it at the beginning."""

    def at(self, s: float) -> float:
        """Return the displacement `s` seconds after the beginning; time never goes back."""


class Diffusion:
    """A geometric random walk whose price neither rises nor falls on average.

    `volatility` is the standard deviation of the log price after a year.
    """

    def __init__(self, chance: Random, volatility: float) -> None:
        self._chance = chance
        self._variance_per_s = volatility**2 / YEAR_S
        self._s = self._log = 0.0

    def at(self, s: float) -> float:
        """Return the displacement at `s`; see `Walk.at`."""
        variance = self._variance_per_s * (s - self._s)
        # half the variance less, or the mean of the price would grow with its width
        self._log += self._chance.gauss(0, 1) * math.sqrt(variance) - variance / 2
        self._s = s
        return self._log


class Reversion:
    """An Ornstein-Uhlenbeck walk around the start price that never leaves its band.

    Half of a distance is gone after `half_life_s`; `band_ratio` of the start price is the most
    that it is ever away, above and below.
    """

    def __init__(
        self, chance: Random, volatility: float, half_life_s: float, band_ratio: float
    ) -> None:
        self._chance = chance
        self._pull_per_s = math.log(2) / half_life_s
        self._deviation = volatility / math.sqrt(2 * self._pull_per_s * YEAR_S)  # once settled
        self._low, self._high = math.log1p(-band_ratio), math.log1p(band_ratio)
        self._s = self._log = 0.0

    def at(self, s: float) -> float:
        """Return the displacement at `s`; see `Walk.at`."""
        kept = math.exp(-self._pull_per_s * (s - self._s))
        width = self._deviation * math.sqrt(max(0.0, 1 - kept**2))
        moved = self._log * kept + self._chance.gauss(0, 1) * width
        self._log = min(self._high, max(self._low, moved))
        self._s = s
        return self._log


class Jumps:
    """Sudden moves up or down at random moments, `per_day` of them on average.

    One jump is between half and one and a half times `ratio` of the price.
    """

    def __init__(self, chance: Random, per_day: float, ratio: float) -> None:
        self._chance = chance
        self._per_s = per_day / 86_400
        self._ratio = ratio
        self._log = 0.0
        self._next_s = self._wait()

    def _wait(self) -> float:
        return self._chance.expovariate(self._per_s) if self._per_s else math.inf

    def at(self, s: float) -> float:
        """Return the displacement at `s`; see `Walk.at`."""
        while self._next_s <= s:
            size = math.log1p(self._ratio * self._chance.uniform(0.5, 1.5))
            self._log += size if self._chance.random() < 0.5 else -size
            self._next_s += self._wait()
        return self._log


class Sine:
    """A sine around the start price: `amplitude_ratio` of it up and down in `period_s`."""

    def __init__(self, amplitude_ratio: float, period_s: float) -> None:
        self._amplitude = amplitude_ratio
        self._period_s = period_s

    def at(self, s: float) -> float:
        """Return the displacement at `s`; see `Walk.at`."""
        turn = math.fmod(s, self._period_s) / self._period_s
        return math.log1p(self._amplitude * math.sin(2 * math.pi * turn))


class Underlying:
    """The fair price in ticks (a float): the start price, moved by all walks together.

    Where walks lead below one tick, or above `highest` ticks, it stays there.
    """

    def __init__(self, start_ticks: float, highest: float, walks: Sequence[Walk]) -> None:
        self._start = math.log(start_ticks)
        self._highest = math.log(highest)
        self._walks = walks

    def at(self, s: float) -> float:
        """Return the fair price in ticks at `s` seconds; time never goes back."""
        moved = self._start + sum(walk.at(s) for walk in self._walks)
        return math.exp(min(self._highest, max(0.0, moved)))
