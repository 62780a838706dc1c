"""How far pairs lie apart, with figures that tell a spike from a drift."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import polars as pl

from comparator.columns.exact import Exact, shifted

ZERO = Decimal(0)
SPIKE_FACTOR = 3


class Shape(StrEnum):
    """How differences are spread over the pairs."""

    NONE = "none"  # no pair differs
    SPIKES = "spikes"  # a few pairs differ far more than nearly all others
    DRIFT = "drift"  # differences of one size, or most pairs differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Absolute differences of pairs, in the unit of what is compared.

    `p95` is the smallest difference that at least 95 % of the pairs do not exceed (nearest rank).
    A spike exceeds three times the p95; `differing` counts pairs that differ at all.
    """

    pairs: int
    differing: int
    mean: Decimal
    median: Decimal
    p95: Decimal
    maximum: Decimal
    spikes: int

    @property
    def shape(self) -> Shape:
        """Return whether the differences are none, spikes, or a drift."""
        if not self.differing:
            return Shape.NONE
        return Shape.SPIKES if self.spikes else Shape.DRIFT


def spread_of(deltas: Exact) -> Spread | None:
    """Return the spread of signed differences; None without any. Unknown ones are left out."""
    known = Exact(deltas.units.drop_nulls(), deltas.places).abs()
    count = len(known)
    if not count:
        return None
    ordered = known.units.sort()
    places = known.places
    p95 = int(ordered[-(-95 * count // 100) - 1])
    middle = int(ordered[(count - 1) // 2]) + int(ordered[count // 2])
    return Spread(
        pairs=count,
        differing=int((ordered != 0).sum()),
        mean=known.total() / count,
        median=shifted(middle, places) / 2,
        p95=shifted(p95, places),
        maximum=shifted(int(ordered[-1]), places),
        spikes=int((ordered > pl.Series([SPIKE_FACTOR * p95], dtype=pl.Int128)).sum()),
    )
