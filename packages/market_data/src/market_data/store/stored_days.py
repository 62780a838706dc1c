"""Days from the store, put side by side into the contiguous columns of one range."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_data.basics.decimal_text import steps_in
from market_data.basics.quality import DEFAULT_GAP_US, DataQuality, Gap, combine
from market_data.basics.time_range import TimeRange
from market_data.columns.ticks import Int64s, TickColumns
from market_data.columns.trade_rows import Prices, common_step

_COPY_THREADS = 2


@dataclass(frozen=True, slots=True)
class StoredDay:
    """The manifest of one UTC day of trades."""

    day: str
    rows: int
    first_ts_us: int
    last_ts_us: int
    price_step: Decimal
    size_step: Decimal
    quality: DataQuality


@dataclass(frozen=True, slots=True, eq=False)
class DayPart:
    """The wanted rows of one day, as memory maps in the steps of that day."""

    day: StoredDay
    columns: dict[str, NDArray[Any]]

    @property
    def rows(self) -> int:
        """Return how many rows are wanted."""
        return len(self.columns["ts_us"])

    def release(self) -> None:
        """Forget the maps: pages that were copied no longer count as memory in use."""
        self.columns.clear()

    def between(self, wanted: TimeRange) -> "DayPart":
        """Return the rows in `wanted`."""
        if wanted.start_us <= self.day.first_ts_us and self.day.last_ts_us < wanted.end_us:
            return self
        bounds = (wanted.start_us, wanted.end_us)
        low, high = np.searchsorted(self.columns["ts_us"], bounds).tolist()
        cut = {name: column[low:high] for name, column in self.columns.items()}
        gaps = [
            gap
            for gap in self.day.quality.gaps
            if gap.to_us > wanted.start_us and gap.from_us < wanted.end_us
        ]
        return DayPart(replace(self.day, quality=self.day.quality.with_gaps(gaps)), cut)


def side_by_side(symbol: str, parts: Sequence[DayPart], tick_size: Decimal | None) -> TickColumns:
    """Return the parts, in time order, as columns in ticks. Raises PriceOffTickError.

    Without `tick_size` the tick is the largest step that fits all days. One day whose steps fit
    stays mapped; otherwise each column is one new array that the days are copied into.
    """
    size_step = common_step([part.day.size_step for part in parts])
    tick = tick_size or common_step([part.day.price_step for part in parts])
    quality = combine(
        [part.day.quality for part in parts],
        rows_kept=sum(part.rows for part in parts),
        duplicate_rows=0,
    ).with_gaps(_gaps(parts))
    scaled = [_Scaled(symbol, part, tick, size_step) for part in parts]
    if len(scaled) == 1:
        ts_us, price, size, side = scaled[0].columns()
    else:
        ts_us, price, size, side = _copied(scaled)
    return TickColumns(
        symbol=symbol,
        tick_size=tick,
        size_step=size_step,
        ts_us=ts_us,
        price_ticks=price,
        size=size,
        side=side,
        quality=quality,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scaled:
    symbol: str
    part: DayPart
    tick_size: Decimal
    size_step: Decimal

    def columns(self) -> tuple[Int64s, Int64s, Int64s, NDArray[np.int8]]:
        """Return times, prices in ticks, sizes in steps, sides; maps where nothing changes."""
        day, columns = self.part.day, self.part.columns
        prices = Prices(columns["price"], day.price_step)
        times = steps_in(day.size_step, self.size_step)
        size = columns["size"] * times if times > 1 else columns["size"]
        where = f"{self.symbol} {day.day}"
        return (
            columns["ts_us"],
            prices.in_ticks(self.tick_size, where),
            size,
            columns["side"],
        )


def _copied(days: Sequence[_Scaled]) -> tuple[Int64s, Int64s, Int64s, NDArray[np.int8]]:
    counts = [day.part.rows for day in days]
    ends = np.cumsum(counts).tolist()
    out = (
        np.empty(ends[-1], np.int64),
        np.empty(ends[-1], np.int64),
        np.empty(ends[-1], np.int64),
        np.empty(ends[-1], np.int8),
    )

    def copy(day: _Scaled, end: int) -> None:
        start = end - day.part.rows
        for target, column in zip(out, day.columns(), strict=True):
            target[start:end] = column
        day.part.release()

    with ThreadPoolExecutor(_COPY_THREADS) as pool:
        list(pool.map(copy, days, ends))
    return out


def _gaps(parts: Sequence[DayPart]) -> list[Gap]:
    """Return the gaps inside the days and those between one day and the next."""
    found: list[Gap] = []
    last_us: int | None = None
    for part in parts:
        first_us = int(part.columns["ts_us"][0])
        if last_us is not None and first_us - last_us > DEFAULT_GAP_US:
            found.append(Gap(last_us, first_us))
        found += part.day.quality.gaps
        last_us = int(part.columns["ts_us"][-1])
    return found
