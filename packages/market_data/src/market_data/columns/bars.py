"""Klines as columns, and the ticks and mark prices made from them.

A bar says where the price was, not in which order. The order is taken from the colour: a green bar
(close at or above open) went open, low, high, close; a red one went open, high, low, close. The
four ticks stand at the start and at one, two and three quarters of the bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.data_errors import DataError
from market_data.basics.decimal_text import steps_in
from market_data.basics.quality import DataQuality, Gap, combine
from market_data.basics.time_range import TimeRange
from market_data.columns.ticks import Int64s, MarkPriceColumns, TickColumns
from market_data.columns.trade_rows import Prices, common_step

PRICE_FIELDS = ("open", "high", "low", "close")
TICKS_PER_BAR = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """Bars of one symbol, oldest first, at most one for each start.

    Prices count `price_step` USDT, volume `volume_step` base coins (0 where the source has none,
    as for mark prices), `start_us` is the beginning of the bar.
    """

    symbol: str
    interval_us: int
    price_step: Decimal
    volume_step: Decimal
    start_us: Int64s
    open: Int64s
    high: Int64s
    low: Int64s
    close: Int64s
    volume: Int64s
    quality: DataQuality

    def __len__(self) -> int:
        return len(self.start_us)

    def take(self, rows: slice | NDArray[np.generic]) -> "Bars":
        """Return the chosen bars with the same report."""
        columns = {name: getattr(self, name)[rows] for name in ("start_us", *PRICE_FIELDS)}
        return replace(self, volume=self.volume[rows], **columns)

    def between(self, wanted: TimeRange) -> "Bars":
        """Return the bars that begin in `wanted`, with its gaps."""
        low, high = np.searchsorted(self.start_us, (wanted.start_us, wanted.end_us)).tolist()
        cut = self.take(slice(low, high))
        return replace(cut, quality=cut.quality.with_gaps(cut.missing()))

    def missing(self) -> list[Gap]:
        """Return the stretches between the first and the last bar that have no bar."""
        after = self.start_us[:-1] + self.interval_us
        return [
            Gap(int(after[row]), int(self.start_us[row + 1]))
            for row in np.flatnonzero(self.start_us[1:] > after)
        ]

    def to_columns(self, tick_size: Decimal | None) -> TickColumns:
        """Return four ticks a bar (see the module), declared as an approximation.

        The volume is split evenly, the remainder on the close. The taker's side is a guess from
        the direction of the price: up Buy, down Sell, unchanged by the colour of the bar.
        Raises PriceOffTickError.
        """
        tick = tick_size or self.fitting_tick()
        price = self._path(tick)
        quarter = self.volume // TICKS_PER_BAR
        size = np.repeat(quarter, TICKS_PER_BAR)
        size[TICKS_PER_BAR - 1 :: TICKS_PER_BAR] += self.volume - quarter * TICKS_PER_BAR
        step_us = self.interval_us // TICKS_PER_BAR
        ts_us = np.repeat(self.start_us, TICKS_PER_BAR)
        ts_us += np.tile(np.arange(TICKS_PER_BAR) * step_us, len(self))
        return TickColumns(
            symbol=self.symbol,
            tick_size=tick,
            size_step=self.volume_step,
            ts_us=ts_us,
            price_ticks=price,
            size=size,
            side=self._sides(price),
            quality=replace(self.quality, approximation=self._approximation()),
        )

    def _path(self, tick: Decimal) -> Int64s:
        fields = [self._ticks_of(name, tick) for name in PRICE_FIELDS]
        opens, highs, lows, closes = fields
        green = closes >= opens
        path = np.empty((len(self), TICKS_PER_BAR), np.int64)
        path[:, 0] = opens
        path[:, 1] = np.where(green, lows, highs)
        path[:, 2] = np.where(green, highs, lows)
        path[:, 3] = closes
        return path.reshape(-1)

    def _ticks_of(self, name: str, tick: Decimal) -> Int64s:
        prices = Prices(getattr(self, name), self.price_step)
        return prices.in_ticks(tick, f"{self.symbol} {name} of bar")

    def _sides(self, price: Int64s) -> NDArray[np.int8]:
        colour = np.repeat(np.where(self.close >= self.open, TAKER_BUY, TAKER_SELL), TICKS_PER_BAR)
        move = np.sign(np.diff(price, prepend=price[:1]))
        return np.where(move == 0, colour, move).astype(np.int8)

    def _approximation(self) -> str:
        minutes = Decimal(self.interval_us) / 60_000_000
        return (
            f"{self.symbol}: ticks made from bars of {minutes:f} minutes (open, low, high, close"
            " of a rising bar; open, high, low, close of a falling one; evenly spaced): order and"
            " number of crossings inside a bar are unknown"
        )

    def fitting_tick(self) -> Decimal:
        """Return the coarsest usual tick (1, 2 or 5 x 10^n) that fits every price."""
        every = np.concatenate([getattr(self, name) for name in PRICE_FIELDS])
        return Prices(every, self.price_step).fitting_tick()

    def to_mark(self) -> MarkPriceColumns:
        """Return the opens as mark prices: that of a bar is the mark at the bar's start."""
        return MarkPriceColumns(ts_us=self.start_us, price=self.open, step=self.price_step)


def join_bars(parts: Sequence[Bars]) -> Bars:
    """Return the bars of several files, oldest first, each start once.

    Of two bars with one start the larger volume wins: the other was still forming when it was
    read. Raises DataError for no bar, or for different symbols or intervals.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        raise DataError("no bars to join")
    kinds = {(part.symbol, part.interval_us) for part in filled}
    if len(kinds) > 1:
        found = ", ".join(f"{symbol} {us // 60_000_000} min" for symbol, us in sorted(kinds))
        raise DataError(f"bars of different symbols or intervals: {found}; use one at a time")
    price_step = common_step([part.price_step for part in filled])
    volume_step = common_step([part.volume_step for part in filled])
    scaled = [
        {
            "start_us": part.start_us,
            **{n: getattr(part, n) * steps_in(part.price_step, price_step) for n in PRICE_FIELDS},
            "volume": part.volume * steps_in(part.volume_step, volume_step),
        }
        for part in filled
    ]
    stacked = {name: np.concatenate([part[name] for part in scaled]) for name in scaled[0]}
    order = np.lexsort((stacked["volume"], stacked["start_us"]))
    starts = stacked["start_us"][order]
    last_of_start = np.append(starts[1:] != starts[:-1], True)
    joined = replace(
        filled[0],
        price_step=price_step,
        volume_step=volume_step,
        **{name: column[order][last_of_start] for name, column in stacked.items()},
    )
    duplicates = len(starts) - len(joined)
    quality = combine(
        [part.quality for part in parts], rows_kept=len(joined), duplicate_rows=duplicates
    )
    return replace(joined, quality=quality.with_gaps(joined.missing()))


def usual_interval(start_us: Int64s) -> int | None:
    """Return the most frequent distance between neighbouring bars in us; None for one bar."""
    steps = np.diff(np.unique(start_us))
    return int(pl.Series(steps).mode().min()) if len(steps) else None  # type: ignore[arg-type]
