"""Bybit's public trade archives: CSV, plain or gzip, one UTC day of one symbol each.

Columns: timestamp (Unix seconds with up to 6 decimals), symbol, side (taker), size, price,
tickDirection, trdMatchID, grossValue, homeNotional, foreignNotional and, in newer files, RPI.
Files may be newest first, may lack the header, and are read in blocks: memory is bounded by the
columns that come out.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.archive_layout import ID_COLUMN, ArchiveLayout
from backtest.data_errors import TruncatedFileError, UnreadableFileError
from backtest.decimal_text import coarsest_step, parse_decimals, plain, power_of_ten, steps_in
from backtest.line_blocks import DEFAULT_BLOCK_BYTES, LineBlocks
from backtest.quality import CORRUPT_SAMPLES_KEPT, DataQuality, SourceFile
from backtest.ticks import BUY, SELL, Int64s, Sides
from backtest.time_range import LAST_US
from backtest.trade_key import trade_keys
from backtest.trade_rows import Prices, TradeRows, find_pauses, without_duplicates

_TIME_SCALE = 6
_PRICE_SCALE = 12  # up to 9.2 million USDT in int64
_SIZE_SCALE = 8  # up to 92 thousand million coins in one trade


def read_archive(
    path: Path,
    *,
    tick_size: Decimal | None = None,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
) -> TradeRows:
    """Return the trades of one archive in time order; ties keep the order of the exchange.

    With `tick_size`, prices come out in ticks; without, in the coarsest step that fits them all.
    Corrupt rows and rows of another symbol are left out and counted.
    Raises PriceOffTickError, TruncatedFileError, UnreadableFileError.
    """
    blocks = LineBlocks(path, block_bytes)
    reader = _Reader(path.name, tick_size)
    try:
        for block in blocks:
            reader.add(block)
    except TruncatedFileError:
        raise TruncatedFileError(
            f"{path.name}: the gzip data ends early, {reader.rows_read:,} whole rows were read"
            " before; download the file again",
            reader.rows_read,
        ) from None
    return reader.finish(blocks.sha256, blocks.size_bytes)


def read_archives(
    paths: Sequence[Path], *, tick_size: Decimal | None = None, workers: int = 2
) -> list[TradeRows]:
    """Return `read_archive` of each path, in the order given, on `workers` threads."""
    # Inflating, parsing and array work all release the interpreter lock.
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(partial(read_archive, tick_size=tick_size), paths))


def peek_symbol(path: Path) -> str:
    """Return the symbol of an archive's first trade. Raises UnreadableFileError."""
    try:
        block = next(iter(LineBlocks(path, block_bytes=1)), b"")
    except TruncatedFileError as error:
        raise UnreadableFileError(f"{path.name}: damaged at its very beginning") from error
    head = block[: block.find(b"\n") + 1] or block
    layout, is_header = ArchiveLayout.of(head, path.name)
    for line in (block[len(head) :] if is_header else block).splitlines():
        fields = line.decode("utf-8", "replace").split(",")
        if len(fields) == layout.width:
            return fields[layout.columns.index("symbol")]
    raise UnreadableFileError(f"{path.name}: no trade in it")


@dataclass(slots=True)
class _Reader:
    """Collects the columns of one file block by block."""

    file: str
    tick_size: Decimal | None
    rows_read: int = 0
    corrupt_rows: int = 0
    corrupt_samples: list[str] = field(default_factory=list)
    _line: int = 1
    _symbol: str = ""
    _layout: ArchiveLayout | None = None
    _ts_us: list[Int64s] = field(default_factory=list)
    _price: list[Int64s] = field(default_factory=list)
    _size: list[Int64s] = field(default_factory=list)
    _side: list[Sides] = field(default_factory=list)
    _key: list[NDArray[np.uint64]] = field(default_factory=list)

    def add(self, block: bytes) -> None:
        """Parse one block of whole lines."""
        if self._layout is None:
            head = block[: block.find(b"\n") + 1] or block
            self._layout, is_header = ArchiveLayout.of(head, self.file)
            if is_header:
                block = block[len(head) :]
                self._line += 1
        if not block:
            return
        lines_in_block = block.count(b"\n") + (not block.endswith(b"\n"))
        frame = self._layout.frame(block)
        if frame is not None:
            self._keep(frame, range(self._line, self._line + lines_in_block))
        else:
            self._keep_whole_lines(self._layout, block)
        self._line += lines_in_block

    def _keep_whole_lines(self, layout: ArchiveLayout, block: bytes) -> None:
        split = layout.split(block, self._line)
        self.rows_read += len(split.torn)
        for number, fields in split.torn:
            self._corrupt(number, f"{fields} fields instead of {layout.width}")
        if split.whole:
            frame = layout.frame(split.whole)
            if frame is None:
                raise UnreadableFileError(f"{self.file}: not text from line {self._line} on")
            self._keep(frame, split.line_numbers)

    def _corrupt(self, line: int, why: str) -> None:
        self.corrupt_rows += 1
        if len(self.corrupt_samples) < CORRUPT_SAMPLES_KEPT:
            self.corrupt_samples.append(f"{self.file} line {line}: {why}")

    def _keep(self, frame: pl.DataFrame, lines: Sequence[int]) -> None:
        self.rows_read += frame.height
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
                self._corrupt(lines[row], f"{name} {frame[name][row]!r}")
        if self.tick_size is not None:
            price = self._in_ticks(self.tick_size, price, good, lines)
        self._ts_us.append(ts_us[good])
        self._price.append(price[good])
        self._size.append(size[good])
        self._side.append(np.where(buys, BUY, SELL).astype(np.int8)[good])
        keys = (
            trade_keys(frame[ID_COLUMN])
            if ID_COLUMN in frame.columns
            else np.zeros(len(good), np.uint64)
        )
        self._key.append(keys[good])

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
                + (f"; {self.corrupt_samples[0]}" if self.corrupt_samples else "")
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
            corrupt_rows=self.corrupt_rows,
            corrupt_samples=tuple(self.corrupt_samples),
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
