"""Trades of one file (or several) before they have the tick size of an instrument.

Prices and sizes are whole multiples of decimal steps found in the data; `to_columns` turns them
into ticks. `join` puts files together in time order and drops trades that two of them hold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from math import gcd
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.data_errors import DataError, PriceOffTickError
from backtest.decimal_text import coarsest_step, plain, steps_in
from backtest.quality import DEFAULT_GAP_US, DataQuality, Gap, combine
from backtest.ticks import Int64s, Sides, TickColumns
from backtest.time_range import TimeRange

Scalar = TypeVar("Scalar", bound=np.generic)

FINEST_STEP = Decimal("1E-12")
_SCAN_ROWS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TradeRows:
    """Trades in time order. `key` identifies a trade: a 64-bit digest of its id, 0 for none."""

    symbol: str
    price_step: Decimal
    size_step: Decimal
    ts_us: Int64s
    price: Int64s
    size: Int64s
    side: Sides
    key: NDArray[np.uint64]
    quality: DataQuality

    def __len__(self) -> int:
        return len(self.ts_us)

    def take(self, rows: slice | NDArray[np.generic]) -> "TradeRows":
        """Return the chosen rows with the same report."""
        return replace(
            self,
            ts_us=self.ts_us[rows],
            price=self.price[rows],
            size=self.size[rows],
            side=self.side[rows],
            key=self.key[rows],
        )

    def between(self, wanted: TimeRange) -> "TradeRows":
        """Return the rows in `wanted` as views."""
        low, high = np.searchsorted(self.ts_us, (wanted.start_us, wanted.end_us))
        return self.take(slice(int(low), int(high)))

    def to_columns(self, tick_size: Decimal | None) -> TickColumns:
        """Return ticks of `tick_size`, or of the coarsest usual tick that fits every price.

        Raises PriceOffTickError where a price falls between two ticks.
        """
        prices = Prices(self.price, self.price_step)
        tick = tick_size or prices.fitting_tick()
        return TickColumns(
            symbol=self.symbol,
            tick_size=tick,
            size_step=self.size_step,
            ts_us=self.ts_us,
            price_ticks=prices.in_ticks(tick, self.symbol),
            size=self.size,
            side=self.side,
            quality=self.quality,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """A column of prices in units of a decimal step, of USDT say."""

    units: Int64s
    step: Decimal

    def in_ticks(self, tick_size: Decimal, where: str) -> Int64s:
        """Return the prices as counts of `tick_size`. Raises PriceOffTickError."""
        if self.step == tick_size:
            return self.units
        unit = common_step([self.step, tick_size])
        per_price, per_tick = steps_in(self.step, unit), steps_in(tick_size, unit)
        units = self.units * per_price if per_price > 1 else self.units
        ticks: Int64s = units // per_tick
        off = ticks * per_tick != units
        if off.any():
            row = int(np.argmax(off))
            value = plain(int(self.units[row]) * self.step)
            raise self.off_tick(f"{where} row {row + 1}", value, tick_size)
        return ticks

    def fitting_tick(self) -> Decimal:
        """Return the coarsest usual tick (1, 2 or 5 x 10^n) that fits every price."""
        return coarsest_step(self.units * steps_in(self.step, FINEST_STEP), FINEST_STEP)

    def off_tick(self, where: str, price: Decimal, tick_size: Decimal) -> PriceOffTickError:
        """Return the error for one of these prices."""
        fitting = self.fitting_tick()
        return PriceOffTickError(
            f"{where}: price {price:f} is off the tick of {tick_size:f}; a tick of {fitting:f}"
            " fits the prices around it: use that as tick size, or check that the data belongs to"
            " this instrument",
            price,
            tick_size,
            fitting,
        )


def common_step(steps: Sequence[Decimal]) -> Decimal:
    """Return the largest step of which all `steps` are multiples."""
    return plain(gcd(*(steps_in(step, FINEST_STEP) for step in steps)) * FINEST_STEP)


def join(parts: Iterable[TradeRows]) -> TradeRows:
    """Return all trades of files of one symbol in time order, each trade once.

    Rows of one file keep their order; at equal times the file that begins earlier comes first.
    A month needs little more memory than its result if `parts` is an iterator that keeps nothing:
    columns are joined one by one and let go. Raises DataError for no part or different symbols.
    """
    everything = list(parts)
    filled = sorted((p for p in everything if len(p)), key=lambda p: int(p.ts_us[0]))
    if not filled:
        raise DataError("no trades to join")
    if len({part.symbol for part in filled}) > 1:
        raise DataError(f"files of different symbols: {sorted({p.symbol for p in filled})}")
    reports = [part.quality for part in everything]
    overlapping = any(b.ts_us[0] <= a.ts_us[-1] for a, b in pairwise(filled))
    price_step = common_step([p.price_step for p in filled])
    size_step = common_step([p.size_step for p in filled])
    symbol = filled[0].symbol
    keys = [part.key for part in filled]
    prices = [_times(part.price, steps_in(part.price_step, price_step)) for part in filled]
    sizes = [_times(part.size, steps_in(part.size_step, size_step)) for part in filled]
    sides = [part.side for part in filled]
    times = [part.ts_us for part in filled]
    everything.clear()
    filled.clear()
    joined = TradeRows(
        symbol=symbol,
        price_step=price_step,
        size_step=size_step,
        key=_stack(keys),
        price=_stack(prices),
        size=_stack(sizes),
        side=_stack(sides),
        ts_us=_stack(times),
        quality=reports[0],
    )
    duplicates = 0
    if overlapping:
        joined = joined.take(np.argsort(joined.ts_us, kind="stable"))
        joined, duplicates = without_duplicates(joined)
    quality = combine(reports, rows_kept=len(joined), duplicate_rows=duplicates)
    return replace(joined, quality=quality.with_gaps(find_pauses(joined.ts_us)))


def _times(column: Int64s, factor: int) -> Int64s:
    return column if factor == 1 else column * factor


def _stack(columns: list[NDArray[Scalar]]) -> NDArray[Scalar]:
    """Return one column of all, and let go of the parts."""
    stacked = columns[0] if len(columns) == 1 else np.concatenate(columns)
    columns.clear()
    return stacked


def without_duplicates(rows: TradeRows) -> tuple[TradeRows, int]:
    """Return each trade once, the first of equal ones, and how many were dropped.

    Equal means the same id, time, price, size and side; trades without an id are never equal.
    """
    if pl.Series(rows.key).n_unique() == len(rows):
        return rows, 0
    frame = pl.DataFrame(
        {
            "ts": rows.ts_us,
            "price": rows.price,
            "size": rows.size,
            "side": rows.side,
            "key": rows.key,
        }
    )
    first = frame.select(pl.struct(pl.all()).is_first_distinct() | (pl.col("key") == 0))
    keep = first.to_series().to_numpy()
    return rows.take(keep), int(len(rows) - keep.sum())


def find_pauses(ts_us: Int64s, longer_than_us: int = DEFAULT_GAP_US) -> list[Gap]:
    """Return the stretches between neighbouring times that are longer than `longer_than_us`."""
    found = []
    for start in range(0, len(ts_us) - 1, _SCAN_ROWS):  # no second column of the whole month
        part = ts_us[start : start + _SCAN_ROWS + 1]
        rows = np.flatnonzero(np.diff(part) > longer_than_us)
        found += [Gap(int(part[row]), int(part[row + 1])) for row in rows]
    return found
