"""Text columns of trades to exact integers: what is readable, what is corrupt, what is off tick."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.data_errors import UnreadableFileError
from market_data.basics.decimal_text import (
    coarsest_step,
    parse_decimals,
    plain,
    power_of_ten,
    steps_in,
)
from market_data.basics.quality import DataQuality, SourceFile
from market_data.basics.time_range import LAST_US
from market_data.columns.ticks import Int64s, Sides
from market_data.columns.trade_rows import Prices, TradeRows, find_pauses, without_duplicates
from market_data.files.archive_format import ID_COLUMN
from market_data.files.csv_layout import CorruptRows, TextLines
from market_data.files.trade_key import trade_keys

_TIME_SCALE = 6
_PRICE_SCALE = 12  # up to 9.2 million USDT in int64
_SIZE_SCALE = 8  # up to 92 thousand million coins in one trade


@dataclass(slots=True)
class TradeReader:
    """Collects the trades of one file, block by block."""

    file: str
    tick_size: Decimal | None
    rows_whole: int = 0
    corrupt: CorruptRows = field(init=False)
    _symbol: str = ""
    _ts_us: list[Int64s] = field(default_factory=list)
    _price: list[Int64s] = field(default_factory=list)
    _size: list[Int64s] = field(default_factory=list)
    _side: list[Sides] = field(default_factory=list)
    _key: list[NDArray[np.uint64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.corrupt = CorruptRows(self.file)

    @property
    def rows_read(self) -> int:
        """Return the number of rows so far, corrupt ones included."""
        return self.rows_whole + self.corrupt.torn

    def add(self, lines: TextLines) -> None:
        """Parse one block. Raises PriceOffTickError."""
        frame = lines.frame
        if not frame.height:
            return
        self.rows_whole += frame.height
        ts_us, good_ts = parse_decimals(frame["timestamp"], _TIME_SCALE)
        price, good_price = parse_decimals(frame["price"], _PRICE_SCALE)
        size, good_size = parse_decimals(frame["size"], _SIZE_SCALE)
        buys = (frame["side"] == "Buy").fill_null(False).to_numpy()
        sells = (frame["side"] == "Sell").fill_null(False).to_numpy()
        if not self._symbol:
            self._symbol = str(frame["symbol"].drop_nulls().first() or "")
        ours = (frame["symbol"] == self._symbol).fill_null(False).to_numpy()
        checks = {
            "timestamp": good_ts & (ts_us > 0) & (ts_us < LAST_US),
            "symbol": ours,
            "side": buys | sells,
            "size": good_size & (size > 0),
            "price": good_price & (price > 0),
        }
        good = np.logical_and.reduce(list(checks.values()))
        if not good.all():
            for row in np.flatnonzero(~good).tolist():
                name = next(name for name, passed in checks.items() if not passed[row])
                self.corrupt.add(lines.numbers[row], f"{name} {frame[name][row]!r}")
        if self.tick_size is not None:
            price = self._in_ticks(self.tick_size, price, good, lines.numbers)
        self._ts_us.append(ts_us[good])
        self._price.append(price[good])
        self._size.append(size[good])
        self._side.append(np.where(buys, TAKER_BUY, TAKER_SELL).astype(np.int8)[good])
        self._key.append(_keys(frame)[good])

    def _in_ticks(
        self, tick_size: Decimal, price: Int64s, good: NDArray[np.bool_], lines: Sequence[int]
    ) -> Int64s:
        unit = power_of_ten(_PRICE_SCALE)
        per_tick = steps_in(tick_size, unit)
        ticks: Int64s = price // per_tick
        off = (ticks * per_tick != price) & good
        if off.any():
            row = int(np.argmax(off))
            around = Prices(price[good], unit)
            value = plain(int(price[row]) * unit)
            raise around.off_tick(f"{self.file} line {lines[row]}", value, tick_size)
        return ticks

    def finish(self, sha256: str, size_bytes: int) -> TradeRows:
        """Return everything kept, in time order. Raises UnreadableFileError if nothing was."""
        if not any(len(part) for part in self._ts_us):
            raise UnreadableFileError(
                f"{self.file}: no readable trade in {self.rows_read:,} rows"
                + (f"; {self.corrupt.samples[0]}" if self.corrupt.samples else "")
            )
        ts_us = np.concatenate(self._ts_us)
        price, price_step = self._price_column()
        size_unit = power_of_ten(_SIZE_SCALE)
        size = np.concatenate(self._size)
        size_step = coarsest_step(size, size_unit)
        source = SourceFile(
            name=self.file,
            sha256=sha256,
            size_bytes=size_bytes,
            rows=self.rows_read,
            newest_first=_is_newest_first(ts_us),
        )
        rows = TradeRows(
            symbol=self._symbol,
            price_step=price_step,
            size_step=size_step,
            ts_us=ts_us,
            price=price,
            size=size // steps_in(size_step, size_unit),
            side=np.concatenate(self._side),
            key=np.concatenate(self._key),
            quality=DataQuality(rows_read=0, rows_kept=0),
        )
        return self._in_order(rows, source)

    def _price_column(self) -> tuple[Int64s, Decimal]:
        price = np.concatenate(self._price)
        if self.tick_size is not None:
            return price, self.tick_size
        unit = power_of_ten(_PRICE_SCALE)
        step = coarsest_step(price, unit)
        return price // steps_in(step, unit), step

    def _in_order(self, rows: TradeRows, source: SourceFile) -> TradeRows:
        if source.newest_first:
            rows = rows.take(slice(None, None, -1))
        late = int(np.count_nonzero(rows.ts_us < np.maximum.accumulate(rows.ts_us)))
        if late:
            rows = rows.take(np.argsort(rows.ts_us, kind="stable"))
        rows, duplicates = without_duplicates(rows)
        quality = DataQuality(
            rows_read=self.rows_read,
            rows_kept=len(rows),
            out_of_order_rows=late,
            duplicate_rows=duplicates,
            corrupt_rows=self.corrupt.count,
            corrupt_samples=tuple(self.corrupt.samples),
            gaps=tuple(find_pauses(rows.ts_us)),
            sources=(source,),
        )
        return replace(rows, quality=quality)


def _is_newest_first(ts_us: Int64s) -> bool:
    back, forward = (ts_us[1:] < ts_us[:-1]), (ts_us[1:] > ts_us[:-1])
    return int(np.count_nonzero(back)) > int(np.count_nonzero(forward))


def _keys(frame: pl.DataFrame) -> NDArray[np.uint64]:
    if ID_COLUMN not in frame.columns:
        return np.zeros(frame.height, np.uint64)
    return trade_keys(frame[ID_COLUMN])
