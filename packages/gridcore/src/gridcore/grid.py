"""The grid: an ascending list of price levels, each to buy at, to sell at or to wait at."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import TypedDict

from gridcore.config import GridConfig
from gridcore.errors import GridError
from gridcore.exact import ceil_div, round_half_even
from gridcore.instrument import TickBounds, check_positive_decimal, floor_ceil_ticks

log = logging.getLogger(__name__)

UNBOUNDED = 1 << 62  # ticks; stands for "no price is high enough"


class GridSideType(StrEnum):
    """What a level is for."""

    BUY = "Buy"
    SELL = "Sell"
    WAIT = "Wait"


BUY, SELL, WAIT = GridSideType.BUY, GridSideType.SELL, GridSideType.WAIT


class GridLevel(TypedDict):
    """One level as users see it: its price in USDT and its side."""

    price: Decimal
    side: GridSideType


class Grid:
    """Levels in whole ticks with their sides, and the rules that move them.

    `version` grows whenever a level or a side changes, so that others may cache what they derive.
    """

    def __init__(
        self,
        tick_size: Decimal,
        grid_count: int = 50,
        grid_step: Decimal | float = 0.2,
        rebalance_threshold: Decimal | float = 0.3,
    ) -> None:
        """Raises ConfigError or InvalidInstrumentError for a parameter outside its range."""
        check_positive_decimal(tick_size, "grid", "tick_size")
        self.tick_size = tick_size
        self.tick_bounds = TickBounds(tick_size)
        self.config = GridConfig(grid_count, grid_step, rebalance_threshold)
        step = self.config.step_fraction
        self._step_num, self._step_den = step.numerator, step.denominator
        threshold = self.config.threshold_fraction
        self._threshold_num, self._threshold_den = threshold.numerator, threshold.denominator
        self._tick_num, self._tick_den = tick_size.as_integer_ratio()
        self.ticks: list[int] = []
        self.sides: list[GridSideType] = []
        self.version = 0
        self._anchor_price: Decimal | None = None
        self._wait: tuple[Decimal, list[int], tuple[int, int]] | None = None
        self._settled_fill: Decimal | None = None
        self._settled_low = 1
        self._settled_high = 0

    # what it holds

    @property
    def grid(self) -> list[GridLevel]:
        """The levels, lowest price first; a copy."""
        return [
            GridLevel(price=self.tick_size * ticks, side=side)
            for ticks, side in zip(self.ticks, self.sides, strict=True)
        ]

    @property
    def anchor_price(self) -> Decimal | None:
        """Price (USDT) of the centre at the last build or restore; None before that."""
        return self._anchor_price

    @property
    def bounds(self) -> tuple[Decimal, Decimal]:
        """Lowest and highest level in USDT. Raises GridError when nothing is built yet."""
        if not self.ticks:
            raise GridError("the grid has no levels yet; build it around a price first")
        return self.tick_size * self.ticks[0], self.tick_size * self.ticks[-1]

    def __len__(self) -> int:
        return len(self.ticks)

    def is_price_sorted(self) -> bool:
        """Tell whether the levels ascend strictly."""
        return all(a < b for a, b in pairwise(self.ticks))

    def is_grid_correct(self) -> bool:
        """Tell whether the sides read Buy..., then optionally Wait..., then Sell....

        At least one Buy and one Sell. A grid in use may leave this form for a while: after a
        fill far from the market the waiting levels lie among the buys or the sells.
        """
        buys = self.sides.count(BUY)
        sells = self.sides.count(SELL)
        waits = len(self.sides) - buys - sells
        in_order = self.sides == [BUY] * buys + [WAIT] * waits + [SELL] * sells
        return buys > 0 and sells > 0 and in_order and self.is_price_sorted()

    # build

    def build_grid(self, last_close: Decimal) -> None:
        """Replace all levels by fresh ones around `last_close` (USDT).

        The centre waits, `grid_count // 2` levels on each side sell above and buy below; each is
        the previous one times (1 ± step), rounded half-even to the tick. The first previous one
        is `last_close` itself, unrounded. Raises GridError, with the present levels kept, when
        two levels coincide or a level is not positive.
        """
        if not isinstance(last_close, Decimal) or not last_close.is_finite() or last_close <= 0:
            raise GridError(f"cannot build a grid around {last_close!r}; give a price above zero")
        ticks = _fresh_ticks(self.config, self.tick_size, last_close)
        half = self.config.grid_count // 2
        self.ticks = ticks
        self.sides = [BUY] * half + [WAIT] + [SELL] * half
        self._anchor_price = self.tick_size * ticks[half]
        self._touch()
        log.info(
            "grid built around %s: %s levels, step %s %%",
            last_close,
            len(ticks),
            self.config.grid_step,
        )

    def would_contain(self, centre: Decimal, price: Decimal) -> bool:
        """Tell whether a grid built around `centre` would have `price` inside its bounds (USDT).

        False when no grid fits the centre. Changes nothing.
        """
        try:
            ticks = _fresh_ticks(self.config, self.tick_size, centre)
        except GridError:
            return False
        return self.tick_size * ticks[0] < price < self.tick_size * ticks[-1]

    # update

    def update_grid(self, last_filled_price: Decimal | None, last_close: Decimal | None) -> None:
        """Assign the sides anew from the last fill and the market (both USDT), then re-centre.

        Nothing happens while either is unknown. With the market on or outside the bounds the grid
        is rebuilt around it first (GridError as in `build_grid`).
        """
        if last_filled_price is None or last_close is None or not self.ticks:
            return
        low, high = self.tick_bounds.of(last_close)
        if (
            self._settled_low <= low
            and high <= self._settled_high
            and last_filled_price == self._settled_fill
        ):
            return
        ticks = self.ticks
        if high <= ticks[0] or low >= ticks[-1]:
            log.info("market %s left the grid %s; rebuilding", last_close, self.bounds)
            self.build_grid(last_close)
        self._assign_sides(last_filled_price, low, high)
        self._recentre()
        if self.ticks is ticks:  # sides that were assigned once are assigned again
            self._remember_settled(last_filled_price)

    def _assign_sides(self, last_filled_price: Decimal, low: int, high: int) -> None:
        sides = self._sides_for(last_filled_price, low, high)
        if sides != self.sides:
            self.sides = sides
            self._touch()

    def _sides_for(self, last_filled_price: Decimal, low: int, high: int) -> list[GridSideType]:
        """Return the sides for a market between the ticks `low` and `high` (equal on a tick)."""
        ticks = self.ticks
        first_wait, end_wait = self._wait_slice(last_filled_price)
        buys = bisect_left(ticks, high)
        first_sell = bisect_right(ticks, low)
        sides = [BUY] * buys + self.sides[buys:first_sell] + [SELL] * (len(ticks) - first_sell)
        sides[first_wait:end_wait] = [WAIT] * (end_wait - first_wait)
        return sides

    def _wait_slice(self, last_filled_price: Decimal) -> tuple[int, int]:
        """Return the index range of levels with |level - fill| / level < step / 4, exactly."""
        known = self._wait
        if known is not None and known[0] == last_filled_price and known[1] is self.ticks:
            return known[2]
        num, den = last_filled_price.as_integer_ratio()
        num, den = num * self._tick_den, den * self._tick_num
        quarter_den = 4 * self._step_den
        lowest = num * quarter_den // (den * (quarter_den + self._step_num)) + 1
        highest = ceil_div(num * quarter_den, den * (quarter_den - self._step_num)) - 1
        first = bisect_left(self.ticks, lowest)
        found = first, max(first, bisect_right(self.ticks, highest))
        self._wait = last_filled_price, self.ticks, found
        return found

    def _recentre(self) -> None:
        """Move on by one level when one side outnumbers the other beyond the threshold."""
        shifted = self._shifted()
        if shifted is not None:
            self.ticks, self.sides = shifted
            self._touch()

    def _shifted(self) -> tuple[list[int], list[GridSideType]] | None:
        """Return the levels moved on by one, None when they stay.

        The new level starts from the outermost level whatever its side, so that none is ever
        doubled and a grid that lost all its buys or sells moves on. It stays where one step from
        there rounds to no other tick, or to zero.
        """
        buys, sells = self.sides.count(BUY), self.sides.count(SELL)
        surplus = (buys - sells) * self._threshold_den
        allowed = (buys + sells) * self._threshold_num
        if surplus > allowed:
            up = self._step_den + self._step_num
            level = round_half_even(self.ticks[-1] * up, self._step_den)
            if level > self.ticks[-1]:
                return [*self.ticks[1:], level], [*self.sides[1:], SELL]
        elif -surplus > allowed:
            down = self._step_den - self._step_num
            level = round_half_even(self.ticks[0] * down, self._step_den)
            if 0 < level < self.ticks[0]:
                return [level, *self.ticks[:-1]], [BUY, *self.sides[:-1]]
        return None

    # where nothing changes

    def settled_range(self, last_filled_price: Decimal | None, close_ticks: int) -> tuple[int, int]:
        """Return the closed range of market prices, in ticks, at which an update changes nothing.

        The range around the market `close_ticks`; (1, 0), an empty range, when an update there
        would change something; without bounds while the last fill is unknown.
        """
        if last_filled_price is None:
            return -UNBOUNDED, UNBOUNDED
        if last_filled_price != self._settled_fill:
            inside = self.ticks[0] < close_ticks < self.ticks[-1]
            sides = self._sides_for(last_filled_price, close_ticks, close_ticks)
            if not inside or sides != self.sides or self._shifted() is not None:
                return 1, 0
            self._remember_settled(last_filled_price)
        return self._settled_low, self._settled_high

    def _remember_settled(self, last_filled_price: Decimal) -> None:
        """Keep the range of market prices around which the last update was without effect."""
        first_wait, end_wait = self._wait_slice(last_filled_price)
        ticks, sides = self.ticks, self.sides
        low, high = ticks[0] + 1, ticks[-1] - 1
        if sides.count(WAIT) > end_wait - first_wait:
            # a waiting level that the last fill no longer explains holds only at its own price
            for index in range(len(sides)):
                if sides[index] is WAIT and not first_wait <= index < end_wait:
                    low, high = max(low, ticks[index]), min(high, ticks[index])
        if BUY in sides:
            low = max(low, ticks[len(sides) - 1 - sides[::-1].index(BUY)])
        if SELL in sides:
            high = min(high, ticks[sides.index(SELL)])
        self._settled_fill, self._settled_low, self._settled_high = last_filled_price, low, high

    def _touch(self) -> None:
        self.version += 1
        self._settled_fill, self._settled_low, self._settled_high = None, 1, 0

    # state

    def snapshot(self) -> list[dict[str, str]]:
        """Return every level with its side, prices as text, ready for JSON."""
        return [
            {"price": str(self.tick_size * ticks), "side": side.value}
            for ticks, side in zip(self.ticks, self.sides, strict=True)
        ]

    def restore(
        self,
        levels: Sequence[Mapping[str, object]],
        anchor_price: Decimal | None = None,
    ) -> None:
        """Take over levels as `snapshot` or `grid` gave them; prices are Decimals or text.

        Refused with GridError, present levels kept: a price off the tick, not positive or not
        ascending; an unknown side; a sell below a buy; a lowest level that sells or a highest
        that buys. Those are the forms that no update can produce.
        """
        ticks, sides = [], []
        for number, level in enumerate(levels):
            price, side = _parse_level(number, level)
            low, high = floor_ceil_ticks(price, self.tick_size)
            if low != high:
                raise GridError(f"level {number}: {price} is off the {self.tick_size} tick")
            ticks.append(low)
            sides.append(side)
        if len(ticks) < 2:
            raise GridError(f"a grid of {len(ticks)} levels cannot be restored; at least 2")
        if any(a >= b for a, b in pairwise(ticks)):
            raise GridError("the levels do not ascend strictly")
        directed = [side for side in sides if side is not WAIT]
        if not directed or sides[0] is SELL or sides[-1] is BUY or directed != sorted(directed):
            raise GridError(
                "the sides are in no order that a grid can have: buys lie below sells,"
                f" found {' '.join(sides)}"
            )
        self.ticks, self.sides = ticks, sides
        centre = self.tick_size * ticks[len(ticks) // 2]
        self._anchor_price = centre if anchor_price is None else anchor_price
        self._touch()


def _fresh_ticks(config: GridConfig, tick_size: Decimal, last_close: Decimal) -> list[int]:
    """Return the levels of a grid around a price (USDT), in ticks. Raises GridError."""
    tick_num, tick_den = tick_size.as_integer_ratio()
    price_num, price_den = last_close.as_integer_ratio()
    num, den = price_num * tick_den, price_den * tick_num  # last_close in ticks
    half = config.grid_count // 2
    step_num, step_den = config.step_fraction.as_integer_ratio()
    above, below = [], []
    previous_num, previous_den = num, den
    for _ in range(half):
        level = round_half_even(previous_num * (step_den + step_num), previous_den * step_den)
        above.append(level)
        previous_num, previous_den = level, 1
    previous_num, previous_den = num, den
    for _ in range(half):
        level = round_half_even(previous_num * (step_den - step_num), previous_den * step_den)
        below.append(level)
        previous_num, previous_den = level, 1
    ticks = [*reversed(below), round_half_even(num, den), *above]
    if ticks[0] <= 0:
        raise GridError(
            f"a grid of {config.grid_count} levels with step {config.grid_step} % around"
            f" {last_close} reaches zero at tick size {tick_size};"
            " fewer levels or a smaller step are needed"
        )
    if any(a >= b for a, b in pairwise(ticks)):
        raise GridError(
            f"step {config.grid_step} % is too small for tick size {tick_size} at price"
            f" {last_close}: two levels coincide; a step of at least"
            f" {float(2 * tick_size / last_close * 100):.4g} % keeps them apart"
        )
    return ticks


def _parse_level(number: int, level: Mapping[str, object]) -> tuple[Decimal, GridSideType]:
    price = level.get("price")
    if isinstance(price, str):
        try:
            price = Decimal(price)
        except ArithmeticError as error:
            raise GridError(f"level {number}: {price!r} is not a price") from error
    if not isinstance(price, Decimal) or not price.is_finite() or price <= 0:
        raise GridError(
            f"level {number}: the price is {price!r}; it is a Decimal or text, above zero"
        )
    try:
        return price, GridSideType(str(level.get("side")))
    except ValueError as error:
        raise GridError(
            f"level {number}: {level.get('side')!r} is not Buy, Sell or Wait"
        ) from error
