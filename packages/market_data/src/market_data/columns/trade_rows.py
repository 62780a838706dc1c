"""Trades of one file (or several) before they have the tick size of an instrument.

Prices and sizes are whole multiples of decimal steps found in the data; `to_columns` turns them
into ticks. `join` puts files together in time order and drops trades that two of them hold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import gcd
from typing import Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from market_data.basics.data_errors import DataError, PriceOffTickError
from market_data.basics.decimal_text import coarsest_step, common_divisor, plain, steps_in
from market_data.basics.quality import DEFAULT_GAP_US, DataQuality, Gap, combine
from market_data.basics.time_range import TimeRange
from market_data.columns.ticks import Int64s, Sides, TickColumns

Scalar = TypeVar("Scalar", bound=np.generic)

FINEST_STEP = Decimal("1E-12")
_SCAN_ROWS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TradeRows:
    """Trades in time order. `key` identifies a trade: a 64-bit digest of its id, 0 for none.

    Joined rows of files that share no time have no keys: `key` is empty.
    """

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
            key=self.key[rows] if len(self.key) else self.key,
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
        common = common_divisor(self.units) * steps_in(self.step, FINEST_STEP)
        return coarsest_step(np.array([common], dtype=np.int64), FINEST_STEP)

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
    each part is copied into the result as it comes, and let go. Raises DataError for no part or
    different symbols.
    """
    joined = _Joined()
    for part in parts:
        joined.add(part)
    return joined.finish()


class _Column(Generic[Scalar]):
    """A column that grows. Room that is reserved and not used costs no memory."""

    def __init__(self, dtype: type[Scalar]) -> None:
        self._room: NDArray[Scalar] = np.empty(0, dtype)
        self._used = 0

    def add(self, part: NDArray[Scalar]) -> None:
        used = self._used + len(part)
        if used > len(self._room):
            room = np.empty(max(used, 2 * len(self._room)), self._room.dtype)
            room[: self._used] = self._room[: self._used]
            self._room = room
        self._room[self._used : used] = part
        self._used = used

    @property
    def values(self) -> NDArray[Scalar]:
        return self._room[: self._used]


class _Steps:
    """A growing column of whole steps; a part with a finer step makes all of them finer."""

    def __init__(self) -> None:
        self.column = _Column(np.int64)
        self.step: Decimal | None = None

    def add(self, units: Int64s, step: Decimal) -> None:
        if self.step is not None and self.step != step:
            finer = common_step([self.step, step])
            factor = steps_in(self.step, finer)
            if factor > 1:
                values = self.column.values
                np.multiply(values, factor, out=values)
            units, step = units * steps_in(step, finer), finer
        self.step = step
        self.column.add(units)


class _Joined:
    """Parts put one behind the other, and put in time order at the end if they were not."""

    def __init__(self) -> None:
        self._ts_us, self._side = _Column(np.int64), _Column(np.int8)
        self._price, self._size = _Steps(), _Steps()
        self._keys: list[NDArray[np.uint64]] = []
        self._reports: list[DataQuality] = []
        self._parts: list[tuple[int, int]] = []  # first time, rows
        self._symbol = ""
        self._in_order = True

    def add(self, part: TradeRows) -> None:
        self._reports.append(part.quality)
        if not len(part):
            return
        if self._symbol not in ("", part.symbol):
            raise DataError(f"files of different symbols: {sorted({self._symbol, part.symbol})}")
        self._symbol = part.symbol
        known = self._ts_us.values
        if len(known) and part.ts_us[0] <= known[-1]:
            self._in_order = False
        self._parts.append((int(part.ts_us[0]), len(part)))
        self._ts_us.add(part.ts_us)
        self._side.add(part.side)
        self._price.add(part.price, part.price_step)
        self._size.add(part.size, part.size_step)
        self._keys.append(part.key)

    def finish(self) -> TradeRows:
        price_step, size_step = self._price.step, self._size.step
        if price_step is None or size_step is None:
            raise DataError("no trades to join")
        # ids serve to find trades that two files share
        keys = [np.empty(0, np.uint64)] if self._in_order else self._keys
        joined = TradeRows(
            symbol=self._symbol,
            price_step=price_step,
            size_step=size_step,
            ts_us=self._ts_us.values,
            price=self._price.column.values,
            size=self._size.column.values,
            side=self._side.values,
            key=np.concatenate(keys),
            quality=self._reports[0],
        )
        duplicates = 0
        if not self._in_order:
            joined = joined.take(self._time_order())
            joined, duplicates = without_duplicates(joined)
        quality = combine(self._reports, rows_kept=len(joined), duplicate_rows=duplicates)
        return replace(joined, quality=quality.with_gaps(find_pauses(joined.ts_us)))

    def _time_order(self) -> NDArray[np.int64]:
        """Return the rows in time order; at one time the file that begins earlier comes first."""
        ranges, start = [], 0
        for first_us, count in self._parts:
            ranges.append((first_us, np.arange(start, start + count)))
            start += count
        rows = np.concatenate([part for _, part in sorted(ranges, key=lambda pair: pair[0])])
        return rows[np.argsort(self._ts_us.values[rows], kind="stable")]


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
