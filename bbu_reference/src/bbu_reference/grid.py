"""The grid ("greed"): an ordered list of price levels that follows the market."""

from dataclasses import dataclass, field
from typing import Literal

from bbu_reference.rounding import round_to_tick
from bbu_reference.switches import LegacySwitches

LevelSide = Literal["Buy", "Sell", "wait"]


@dataclass(slots=True)
class Level:
    """One level: the side an order there would have, and its price in USDT."""

    side: LevelSide
    price: float


@dataclass(slots=True, kw_only=True)
class Grid:
    """Levels from the lowest (first) to the highest (last), changed in place."""

    tick_size: float  # USDT
    count: int = 50  # an even count builds one level more: half above, half below, and the middle
    step_pct: float = 0.2  # distance of neighbouring levels, percent of the price
    rebalance_threshold: float = 0.3  # share of Buy minus Sell levels, 0-1
    levels: list[Level] = field(default_factory=list)
    switches: LegacySwitches = field(default_factory=LegacySwitches)

    def __post_init__(self) -> None:
        """Raise ValueError for a count that builds no neighbour of the middle level."""
        if self.count < 2:
            raise ValueError(f"count is {self.count}; a grid needs at least 2")

    def as_pairs(self) -> list[tuple[LevelSide, float]]:
        """Return a copy of the levels as (side, price in USDT), lowest first."""
        return [(level.side, level.price) for level in self.levels]

    def build(self, price: float) -> None:
        """Replace all levels by new ones around `price` (USDT), which becomes a wait level."""
        above: list[Level] = []
        below: list[Level] = []
        # the first step on either side starts from the unrounded price
        up = down = price
        for _ in range(self.count // 2):
            up = self._next_above(up)
            above.append(Level("Sell", up))
            down = self._next_below(down)
            below.append(Level("Buy", down))
        middle = Level("wait", round_to_tick(price, self.tick_size))
        self.levels = [*reversed(below), middle, *above]

    def update(self, last_filled_price: float | None, last_price: float | None) -> None:
        """Set every side from the last fill and the market (USDT), then re-centre.

        Does nothing while either price is missing. A market that is not strictly inside the
        grid rebuilds the grid first. Raises ZeroDivisionError for a level at price 0.
        """
        if last_filled_price is None or last_price is None:
            return
        if not self._strictly_inside(last_price):
            self.build(last_price)
        for level in self.levels:
            if abs(level.price - last_filled_price) / level.price * 100 < self.step_pct / 4:
                level.side = "wait"
            elif last_price < level.price:
                level.side = "Sell"
            elif last_price > level.price:
                level.side = "Buy"
        self.recentre()

    def recentre(self) -> None:
        """Move one level from the heavier end to the other end, at most one per call.

        Moving down starts from the outermost level, whatever its side and also when there is no
        Buy at all. Moving up starts from the highest Sell; where there is none, the level that
        joins has the price 0, and the next update dies of a division by it.
        """
        buys = [level.price for level in self.levels if level.side == "Buy"]
        sells = [level.price for level in self.levels if level.side == "Sell"]
        if not buys and not sells:
            return
        imbalance = (len(buys) - len(sells)) / (len(buys) + len(sells))
        if imbalance > self.rebalance_threshold:
            start = self.levels[-1].price
            if self.switches.recentre_upwards_from_highest_sell:
                start = max(sells, default=0.0)
            self.levels = [*self.levels[1:], Level("Sell", self._next_above(start))]
        elif imbalance < -self.rebalance_threshold:
            start = self.levels[0].price
            self.levels = [Level("Buy", self._next_below(start)), *self.levels[:-1]]

    def _next_above(self, price: float) -> float:
        return round_to_tick(price * (1 + self.step_pct / 100), self.tick_size)

    def _next_below(self, price: float) -> float:
        return round_to_tick(price * (1 - self.step_pct / 100), self.tick_size)

    def _strictly_inside(self, price: float) -> bool:
        prices = [level.price for level in self.levels]
        return bool(prices) and min(prices) < price < max(prices)
