"""Made-up trades for demonstrations, tests and benchmarks; the same seed gives the same ticks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.quality import US_PER_S, DataQuality
from market_data.basics.time_range import to_us
from market_data.columns.ticks import TickColumns

_YEAR_S = 365.25 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomWalk:
    """A geometric random walk on the tick grid.

    Between two trades the logarithm of the price moves by a normal step whose variance adds up to
    `volatility` per year; the price is then rounded to the tick. Times between trades are
    exponential with `trades_per_s` a second on average, sizes are 1 to `max_size` steps, evenly.
    """

    symbol: str = "BTCUSDT"
    start: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    start_price: Decimal = Decimal(100000)  # USDT
    tick_size: Decimal = Decimal("0.1")
    size_step: Decimal = Decimal("0.001")
    volatility: float = 0.6  # of the log price, per year
    trades_per_s: float = 15.0
    max_size: int = 1_000  # size steps

    def generate(self, rows: int, seed: int) -> TickColumns:
        """Return `rows` trades. Raises ValueError for rows < 1."""
        if rows < 1:
            raise ValueError(f"{rows} rows; at least 1")
        random = np.random.default_rng(seed)
        ts_us = random.standard_exponential(rows, dtype=np.float32).astype(np.float64)
        np.cumsum(ts_us, out=ts_us)
        ts_us *= US_PER_S / self.trades_per_s
        times = to_us(self.start) + ts_us.astype(np.int64)
        del ts_us
        walk = random.standard_normal(rows, dtype=np.float32).astype(np.float64)
        walk[0] = 0.0
        np.cumsum(walk, out=walk)
        walk *= self.volatility / np.sqrt(_YEAR_S * self.trades_per_s)
        np.exp(walk, out=walk)
        walk *= float(self.start_price / self.tick_size)
        np.rint(walk, out=walk)
        price_ticks = np.maximum(walk.astype(np.int64), 1)
        del walk
        chance = random.integers(0, 2 * self.max_size, rows, dtype=np.int32)
        side = np.where(chance & 1, TAKER_BUY, TAKER_SELL).astype(np.int8)
        return TickColumns(
            symbol=self.symbol,
            tick_size=self.tick_size,
            size_step=self.size_step,
            ts_us=times,
            price_ticks=price_ticks,
            size=(chance >> 1).astype(np.int64) + 1,
            side=side,
            quality=DataQuality(
                rows_read=rows,
                rows_kept=rows,
                approximation=f"synthetic random walk, seed {seed}: no market ever traded so",
            ),
        )
