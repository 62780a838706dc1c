"""What the recorded market did around a trade, and where the recording has holes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gridcore import SideType
from market_data.basics.quality import utc_text

US_PER_S: Final = 1_000_000
HOLE_S: Final = 60  # shorter silences are normal in any market
HOLE_FACTOR: Final = 30  # times the usual distance of two ticks
AROUND_US: Final = 1_000_000  # of the two sides of a fill

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """A stretch without records, us UTC. `noted` is False where no capture gap says so."""

    from_us: int
    to_us: int
    stream: str
    noted: bool
    reason: str = ""

    def covers(self, ts_us: int) -> bool:
        """Tell whether a moment lies in it, its ends included."""
        return self.from_us <= ts_us <= self.to_us

    def __str__(self) -> str:
        text = f"no {self.stream} from {utc_text(self.from_us)} to {utc_text(self.to_us)}"
        return f"{text} ({self.reason})" if self.noted else f"{text}, which no capture gap notes"


class Reach(StrEnum):
    """How far the market went with respect to a limit price."""

    THROUGH = "through"  # beyond it
    TOUCHED = "touched"  # at it, not beyond
    AWAY = "away"  # not as far
    UNKNOWN = "unknown"  # nothing recorded


@dataclass(frozen=True, slots=True, eq=False)
class RecordedMarket:
    """Ticks of one symbol: times in us UTC, ascending, and prices in units of 10**-places.

    `fills` are the ticks that fill orders (trades where they are recorded, else tickers), `holes`
    stretches without trades or tickers, oldest first.
    """

    ts_us: Ints
    price_units: NDArray[np.generic]
    places: int
    holes: tuple[Hole, ...]

    def reach(self, side: SideType, price: Decimal, ts_us: int) -> Reach:
        """Return how far the market went towards a limit within a second of a moment."""
        first = int(np.searchsorted(self.ts_us, ts_us - AROUND_US, side="left"))
        last = int(np.searchsorted(self.ts_us, ts_us + AROUND_US, side="right"))
        if first == last:
            return Reach.UNKNOWN
        near = self.price_units[first:last]
        limit = price.scaleb(self.places)
        if side is SideType.BUY:
            best, edge = int(near.min()), int(limit.to_integral_value(ROUND_CEILING))
            through, at = best < edge, best == limit
        else:
            best, edge = int(near.max()), int(limit.to_integral_value(ROUND_FLOOR))
            through, at = best > edge, best == limit
        return Reach.THROUGH if through else Reach.TOUCHED if at else Reach.AWAY

    def hole_at(self, ts_us: int) -> Hole | None:
        """Return the hole that a moment lies in; one that was noted comes first."""
        found = [hole for hole in self.holes if hole.covers(ts_us)]
        return min(found, key=lambda hole: not hole.noted) if found else None

    def hole_before(self, ts_us: int) -> Hole | None:
        """Return the last hole that ended before a moment."""
        found = [hole for hole in self.holes if hole.to_us < ts_us]
        return max(found, key=lambda hole: hole.to_us) if found else None


def silent_holes(
    ts_us: Ints, stream: str, start_us: int, end_us: int, noted: Iterable[Hole]
) -> list[Hole]:
    """Return stretches of the range with no tick for far longer than usual, noted ones left out.

    Longer than a minute and than 30 times the median distance of two ticks. The stretches before
    the first and after the last tick count too.
    """
    if len(ts_us) < 2:
        return []
    usual = int(np.median(np.diff(ts_us)))
    longest = max(HOLE_S * US_PER_S, HOLE_FACTOR * usual)
    times = np.concatenate(([start_us], ts_us, [end_us]))
    starts = np.flatnonzero(np.diff(times) > longest)
    known = list(noted)
    found = []
    for at in starts.tolist():
        low, high = int(times[at]), int(times[at + 1])
        if not any(hole.from_us <= high and hole.to_us >= low for hole in known):
            found.append(Hole(low, high, stream, noted=False))
    return found
