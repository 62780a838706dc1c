"""The grid rules in exact fractions: what tells float noise from a real difference.

Stated a third time, slowly, with nothing shared: every place where floats may decide either way is
a choice here, open only when the exact value lies within `NOISE` of the boundary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import pairwise, product

from gridcore import GridConfig

# relative; each value is the outcome of at most five float operations of 1.1e-16 each
NOISE = Fraction(1, 10**15)

Level = tuple[str, int]  # side, price in ticks
Levels = tuple[Level, ...]
Guide = Mapping[int, int]  # index of a level -> its price in ticks


class Recentre(Enum):
    """From where the level that joins at an end is counted."""

    OLDER = "below the outermost level; above the highest Sell, and at zero without one"
    OURS = "from the outermost level whatever its side, and never onto it or to zero"


def exact(value: Decimal | float | str) -> Fraction:
    """Return the number that the decimal notation states."""
    return Fraction(repr(value) if isinstance(value, float) else str(value))


def in_ticks(price: Decimal | float, tick_size: Decimal) -> Fraction:
    """Return a price (USDT) in ticks; of a float, the number that 8 decimals show.

    So many decimals make two prices the same in the older bot.
    """
    usdt = Fraction(f"{price:.8f}") if isinstance(price, float) else exact(price)
    return usdt / exact(tick_size)


def is_noise(value: Fraction, boundary: Fraction, scale: Fraction) -> bool:
    """Tell whether floats of the size `scale` cannot tell `value` from `boundary`."""
    return abs(value - boundary) <= NOISE * abs(scale)


def nearest(value: Fraction, *, noisy: bool) -> tuple[int, ...]:
    """Return `value` rounded half-even; both neighbours where floats may see either."""
    low = value.numerator // value.denominator
    if noisy and is_noise(value - low, Fraction(1, 2), value):
        return low, low + 1
    return (round(value),)


def guide_from(levels: Levels, moved_by: int = 0) -> Guide:
    """Return levels as a guide, from before they moved on by so many levels."""
    return {index + moved_by: ticks for index, (_, ticks) in enumerate(levels)}


def _guides(seen: Levels | None) -> list[Guide | None]:
    return [None] if seen is None else [guide_from(seen, moved_by) for moved_by in (0, 1, -1)]


@dataclass(frozen=True, slots=True)
class ExactGrid:
    """The rules for one configuration; prices in ticks."""

    config: GridConfig

    @property
    def _step(self) -> Fraction:
        return exact(self.config.grid_step) / 100

    def build(self, price: Fraction, *, guide: Guide | None = None) -> Levels:
        """Return fresh levels.

        With a guide (ticks by index), each rounding that floats may see either way goes its way.
        """
        half = self.config.grid_count // 2

        def pick(value: Fraction, index: int) -> int:
            wanted = guide.get(index) if guide else None
            return wanted if wanted in nearest(value, noisy=guide is not None) else round(value)

        above, below = [], []
        up = down = price
        for away in range(1, half + 1):
            up = Fraction(pick(up * (1 + self._step), half + away))
            above.append(("Sell", int(up)))
            down = Fraction(pick(down * (1 - self._step), half - away))
            below.append(("Buy", int(down)))
        return (*reversed(below), ("Wait", pick(price, half)), *above)

    def is_possible(self, levels: Levels) -> bool:
        """Tell whether levels ascend strictly and are above zero."""
        ticks = [ticks for _, ticks in levels]
        return ticks[0] > 0 and all(a < b for a, b in pairwise(ticks))

    def updates(
        self,
        levels: Levels,
        filled: Fraction,
        close: Fraction,
        rule: Recentre,
        *,
        seen: Levels | None = None,
    ) -> Iterator[Levels]:
        """Yield the one outcome of an update; with `seen`, all that floats may make of it.

        `seen` is what the floats brought, a guide through ties of a rebuilt grid.
        """
        noisy = seen is not None
        lowest, highest = levels[0][1], levels[-1][1]
        starts = []
        if not lowest < close < highest:
            starts = [self.build(close, guide=guide) for guide in _guides(seen)]
        if not starts or (noisy and close in (lowest, highest)):
            # a float level may lie one unit in the last place off its tick, and so off the market
            starts.append(levels)
        for start in starts:
            choices = [self._sides(level, filled, close, noisy=noisy) for level in start]
            for sides in product(*choices):
                assigned = tuple(
                    (side, ticks) for side, (_, ticks) in zip(sides, start, strict=True)
                )
                yield from self._recentred(assigned, rule, noisy=noisy)

    def _sides(
        self, level: Level, filled: Fraction, close: Fraction, *, noisy: bool
    ) -> tuple[str, ...]:
        side, ticks = level
        distance = abs(ticks - filled) / ticks
        # a float level may lie one unit in the last place off its tick, and so off the market
        market = (side, "Sell", "Buy") if noisy else (side,)
        if close != ticks:
            market = ("Sell",) if close < ticks else ("Buy",)
        if noisy and is_noise(distance, self._step / 4, Fraction(1)):
            return "Wait", *market
        return ("Wait",) if distance < self._step / 4 else market

    def _recentred(self, levels: Levels, rule: Recentre, *, noisy: bool) -> Iterator[Levels]:
        buys = [ticks for side, ticks in levels if side == "Buy"]
        sells = [ticks for side, ticks in levels if side == "Sell"]
        if not buys and not sells:
            yield levels
            return
        imbalance = Fraction(len(buys) - len(sells), len(buys) + len(sells))
        threshold = exact(self.config.rebalance_threshold)
        ours = rule is Recentre.OURS
        if imbalance > threshold:
            start = levels[-1][1] if ours else max(sells, default=0)
            for ticks in nearest(start * (1 + self._step), noisy=noisy):
                free = not ours or ticks > start
                yield (*levels[1:], ("Sell", ticks)) if free else levels
        elif imbalance < -threshold:
            start = levels[0][1]
            for ticks in nearest(start * (1 - self._step), noisy=noisy):
                free = not ours or 0 < ticks < start
                yield (("Buy", ticks), *levels[:-1]) if free else levels
        else:
            yield levels

    def is_half_step_noise(self, ticks: int, close: Fraction) -> bool:
        """Tell whether a level lies so exactly half a step off the market that floats waver."""
        return is_noise(abs(close - ticks) / close, self._step / 2, Fraction(1))

    def is_far_enough(self, side: str, ticks: int, close: Fraction) -> bool:
        """Tell whether an order there lies on its side of the market, over half a step away."""
        away = close - ticks if side == "Buy" else ticks - close
        return away / close > self._step / 2
