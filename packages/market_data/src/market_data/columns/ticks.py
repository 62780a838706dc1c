"""Market data of one symbol as columns. Everything downstream reads these and nothing else.

All numbers are integers. A price is a whole number of ticks (`price_ticks` x `tick_size` USDT), a
size a whole number of `size_step` base coins, a time whole microseconds since 1970 UTC.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from market_data.basics.data_errors import DataError, PriceOffTickError
from market_data.basics.quality import DataQuality

Int64s = NDArray[np.int64]
Sides = NDArray[np.int8]


def _check_column(name: str, column: NDArray[np.generic], dtype: type, length: int) -> None:
    if column.ndim != 1 or column.dtype != np.dtype(dtype):
        raise DataError(
            f"{name} is {column.ndim}-dimensional {column.dtype}; it must be a column of"
            f" {np.dtype(dtype)}"
        )
    if len(column) != length:
        raise DataError(f"{name} has {len(column):,} rows, the time column has {length:,}")
    column.flags.writeable = False


def _check_times(ts_us: Int64s) -> None:
    if len(ts_us) and not np.all(ts_us[1:] >= ts_us[:-1]):
        row = int(np.argmax(ts_us[1:] < ts_us[:-1])) + 1
        raise DataError(f"time goes back at row {row}: {ts_us[row - 1]} then {ts_us[row]} us")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TickerColumns:
    """The ticker stream: last price by time, in the ticks of the columns that it belongs to."""

    ts_us: Int64s
    price_ticks: Int64s

    def __post_init__(self) -> None:
        _check_column("ts_us", self.ts_us, np.int64, len(self.ts_us))
        _check_column("price_ticks", self.price_ticks, np.int64, len(self.ts_us))
        _check_times(self.ts_us)

    def __len__(self) -> int:
        return len(self.ts_us)

    def between(self, start_us: int, end_us: int) -> "TickerColumns":
        """Return rows with start_us <= time < end_us, as views."""
        low, high = np.searchsorted(self.ts_us, (start_us, end_us))
        return TickerColumns(ts_us=self.ts_us[low:high], price_ticks=self.price_ticks[low:high])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkPriceColumns:
    """Mark prices known at moments; each holds until the next. Marks lie between ticks, so they
    have a step of their own: price in USDT = price x step.
    """

    ts_us: Int64s
    price: Int64s
    step: Decimal

    def __post_init__(self) -> None:
        _check_column("ts_us", self.ts_us, np.int64, len(self.ts_us))
        _check_column("price", self.price, np.int64, len(self.ts_us))
        _check_times(self.ts_us)

    def __len__(self) -> int:
        return len(self.ts_us)

    def at(self, ts_us: int) -> Decimal | None:
        """Return the newest mark price at or before `ts_us` in USDT; None before the first."""
        row = int(np.searchsorted(self.ts_us, ts_us, side="right")) - 1
        return int(self.price[row]) * self.step if row >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FundingColumns:
    """Settled funding: at ts_us a long pays position value x rate x step (negative: receives)."""

    ts_us: Int64s
    rate: Int64s
    step: Decimal

    def __post_init__(self) -> None:
        _check_column("ts_us", self.ts_us, np.int64, len(self.ts_us))
        _check_column("rate", self.rate, np.int64, len(self.ts_us))
        _check_times(self.ts_us)

    def __len__(self) -> int:
        return len(self.ts_us)

    def settlements(self, start_us: int, end_us: int) -> Iterator[tuple[int, Decimal]]:
        """Yield (ts_us, rate) with start_us <= ts_us < end_us in time order."""
        low, high = np.searchsorted(self.ts_us, (start_us, end_us))
        for row in range(int(low), int(high)):
            yield int(self.ts_us[row]), int(self.rate[row]) * self.step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TickColumns:
    """Trades of one symbol in time order; ties keep the order of the exchange.

    `ts_us`, `price_ticks`, `size` are int64 of one length, `side` (the taker's) int8: TAKER_BUY,
    TAKER_SELL or TAKER_UNKNOWN of `gridcore.sides`. Arrays become read-only and may be memory maps.
    `tickers` drive decisions where present; without them every trade does.
    Raises DataError for columns that differ in length or type, times that go back, prices <= 0.
    """

    symbol: str
    tick_size: Decimal  # USDT
    size_step: Decimal  # base coin
    ts_us: Int64s
    price_ticks: Int64s
    size: Int64s
    side: Sides
    quality: DataQuality
    tickers: TickerColumns | None = None
    mark: MarkPriceColumns | None = None
    funding: FundingColumns | None = None

    def __post_init__(self) -> None:
        rows = len(self.ts_us)
        _check_column("ts_us", self.ts_us, np.int64, rows)
        _check_column("price_ticks", self.price_ticks, np.int64, rows)
        _check_column("size", self.size, np.int64, rows)
        _check_column("side", self.side, np.int8, rows)
        if self.tick_size <= 0 or self.size_step <= 0:
            raise DataError(
                f"{self.symbol}: tick size {self.tick_size} and size step {self.size_step}"
                " must be positive"
            )
        _check_times(self.ts_us)
        if rows and int(self.price_ticks.min()) <= 0:
            row = int(np.argmin(self.price_ticks))
            raise DataError(f"{self.symbol}: price of {self.price_ticks[row]} ticks at row {row}")

    def __len__(self) -> int:
        return len(self.ts_us)

    @property
    def first_ts_us(self) -> int:
        """Return the time of the first tick. Raises IndexError when empty."""
        return int(self.ts_us[0])

    @property
    def last_ts_us(self) -> int:
        """Return the time of the last tick. Raises IndexError when empty."""
        return int(self.ts_us[-1])

    def price(self, row: int) -> Decimal:
        """Return the price of one tick in USDT."""
        return int(self.price_ticks[row]) * self.tick_size

    def qty(self, row: int) -> Decimal:
        """Return the size of one trade in base coin."""
        return int(self.size[row]) * self.size_step

    def between(self, start_us: int, end_us: int) -> "TickColumns":
        """Return ticks with start_us <= time < end_us, as views.

        Counts of the quality report stay those of all that was read; gaps are cut to the range.
        """
        low, high = np.searchsorted(self.ts_us, (start_us, end_us))
        gaps = [g for g in self.quality.gaps if g.to_us > start_us and g.from_us < end_us]
        return replace(
            self,
            ts_us=self.ts_us[low:high],
            price_ticks=self.price_ticks[low:high],
            size=self.size[low:high],
            side=self.side[low:high],
            quality=self.quality.with_gaps(gaps),
            tickers=self.tickers.between(start_us, end_us) if self.tickers else None,
        )

    def with_rates(
        self, *, mark: MarkPriceColumns | None = None, funding: FundingColumns | None = None
    ) -> "TickColumns":
        """Return the same ticks with mark prices and funding put beside them."""
        return replace(self, mark=mark or self.mark, funding=funding or self.funding)

    def with_tick_size(self, tick_size: Decimal) -> "TickColumns":
        """Return the same prices in other ticks; a finer one costs one copy of the prices.

        Raises PriceOffTickError for a tick size that does not fit every price.
        """
        if tick_size == self.tick_size:
            return self
        num, den = (self.tick_size / tick_size).as_integer_ratio()
        if num * tick_size != den * self.tick_size:
            raise DataError(f"{self.symbol}: tick sizes {self.tick_size} and {tick_size}: no ratio")
        prices = self._rescaled(self.price_ticks, num, den, tick_size)
        tickers = self.tickers
        if tickers is not None:
            tickers = replace(
                tickers, price_ticks=self._rescaled(tickers.price_ticks, num, den, tick_size)
            )
        return replace(self, tick_size=tick_size, price_ticks=prices, tickers=tickers)

    def _rescaled(self, prices: Int64s, num: int, den: int, tick_size: Decimal) -> Int64s:
        if den > 1:
            off = prices * num % den != 0
            if off.any():
                price = int(prices[int(off.argmax())]) * self.tick_size
                raise PriceOffTickError(
                    f"{self.symbol}: the price {price} lies between two ticks of {tick_size};"
                    f" the prices of this data fit a tick size of {self.tick_size}",
                    price,
                    tick_size,
                    self.tick_size,
                )
        return prices * num // den

    def with_quality(self, quality: DataQuality) -> "TickColumns":
        """Return the same ticks with another report."""
        return replace(self, quality=quality)

    def fingerprint(self) -> str:
        """Return a SHA-256 over tick size, size step and all tick columns (about 1 s per GB)."""
        digest = hashlib.sha256(f"{self.symbol} {self.tick_size} {self.size_step}".encode())
        for column in (self.ts_us, self.price_ticks, self.size, self.side):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()
