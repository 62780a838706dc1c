"""At which market an order may be placed: more than half a step away from it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal

from gridcore.config import GridConfig
from gridcore.exact import ceil_div
from gridcore.grid import UNBOUNDED
from gridcore.instrument import TickBounds


class PlacingDistance:
    """Half a step, as an exact ratio: no order is placed closer to the market."""

    def __init__(self, config: GridConfig, tick_bounds: TickBounds) -> None:
        step = config.step_fraction
        self._half_num, self._half_den = step.numerator, 2 * step.denominator
        self._tick_bounds = tick_bounds
        self._close: Decimal | None = None  # the market that `_found` was computed for
        self._found = 0, 0

    def bounds(self, last_close: Decimal) -> tuple[int, int]:
        """Return the highest Buy and the lowest Sell tick that may be placed at this market.

        More than half a step away from it: |close - level| / close > step / 2.
        """
        if last_close is self._close:
            return self._found
        self._found = self._bounds_at(last_close)
        self._close = last_close
        return self._found

    def _bounds_at(self, last_close: Decimal) -> tuple[int, int]:
        num, den = self._half_num, self._half_den
        low, high = self._tick_bounds.of(last_close)
        if low == high:
            return ceil_div(low * (den - num), den) - 1, low * (den + num) // den + 1
        price_num, price_den = last_close.as_integer_ratio()
        tick_num, tick_den = self._tick_bounds.tick_size.as_integer_ratio()
        price_num, price_den = price_num * tick_den, price_den * tick_num * den
        below, above = price_num * (den - num), price_num * (den + num)
        return ceil_div(below, price_den) - 1, above // price_den + 1

    def same_range(self, last_close: Decimal, buys: list[int], sells: list[int]) -> tuple[int, int]:
        """Return the closed range of markets, in ticks, at which the same of these may be placed.

        `buys` and `sells` are prices of levels in ticks. Levels come into reach in the order of
        their prices, so that the nearest ones decide.
        """
        buys.sort()
        sells.sort()
        highest_buy, lowest_sell = self.bounds(last_close)
        low, high = 1, UNBOUNDED
        at = bisect_right(buys, highest_buy)
        if at:
            low = self._buy_wanted_from(buys[at - 1])
        if at < len(buys):
            high = self._buy_wanted_from(buys[at]) - 1
        at = bisect_left(sells, lowest_sell)
        if at:
            low = max(low, self._sell_wanted_to(sells[at - 1]) + 1)
        if at < len(sells):
            high = min(high, self._sell_wanted_to(sells[at]))
        return low, high

    def _buy_wanted_from(self, level: int) -> int:
        """Return the lowest market, in ticks, that lies more than half a step above a level."""
        return level * self._half_den // (self._half_den - self._half_num) + 1

    def _sell_wanted_to(self, level: int) -> int:
        """Return the highest market, in ticks, that lies more than half a step below a level."""
        return ceil_div(level * self._half_den, self._half_den + self._half_num) - 1
