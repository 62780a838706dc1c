"""The local columnar store: what was imported, by symbol and UTC day, ready to be mapped.

    STORE/SYMBOL/trades/2025-01-01.json     manifest of one day
    STORE/SYMBOL/trades/2025-01-01.<..>/    ts_us.npy price.npy size.npy side.npy key.npy

Prices and sizes are kept in decimal steps (see the manifest), not in ticks: an instrument's tick
size may change without its history being written again.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from market_data.basics.data_errors import DataError, NoDataError
from market_data.basics.quality import US_PER_S, DataQuality, quality_from_json, quality_to_json
from market_data.basics.time_range import TimeRange
from market_data.columns.ticks import TickColumns
from market_data.columns.trade_rows import TradeRows, join
from market_data.files.column_folder import (
    ColumnFolder,
    locked,
    map_columns,
    names,
    open_folder,
    publish,
)
from market_data.store.stored_days import DayPart, StoredDay, side_by_side

DAY_US = 86_400 * US_PER_S
_TICK_COLUMNS = ("ts_us", "price", "size", "side")
_ALL_COLUMNS = (*_TICK_COLUMNS, "key")


class TradeStore:
    """Trades on disk. Any number of processes may read and import at the same time."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def symbols(self) -> list[str]:
        """Return the symbols with trades, sorted."""
        return sorted(path.parent.name for path in self.root.glob("*/trades") if names(path))

    def days(self, symbol: str) -> list[StoredDay]:
        """Return the days of `symbol` in time order."""
        directory = self._directory(symbol)
        folders = ((name, open_folder(directory, name)) for name in names(directory))
        return [_stored_day(name, folder) for name, folder in folders if folder]

    def add(self, rows: TradeRows) -> list[str]:
        """Merge trades into their days; return the days that changed.

        A file that a day already has (same SHA-256) changes nothing; trades that the day has under
        the same id are dropped and counted.
        """
        days = rows.ts_us // DAY_US
        cuts = np.flatnonzero(np.diff(days)) + 1
        bounds = [0, *cuts.tolist(), len(rows)]
        pieces = [rows.take(slice(low, high)) for low, high in pairwise(bounds)]
        reports = _shares(rows.quality, [len(piece) for piece in pieces])
        changed = []
        for piece, report in zip(pieces, reports, strict=True):
            day = day_name(int(piece.ts_us[0]))
            if self._merge(day, replace(piece, quality=report)):
                changed.append(day)
        return changed

    def _merge(self, day: str, rows: TradeRows) -> bool:
        directory = self._directory(rows.symbol)
        with locked(directory, day):
            kept = self._read_day(rows.symbol, day)
            if kept is not None:
                present = {source.sha256 for source in kept.quality.sources}
                if {source.sha256 for source in rows.quality.sources} <= present:
                    return False
            merged = join([kept, rows] if kept is not None else [rows])
            columns = {name: getattr(merged, name) for name in _ALL_COLUMNS}
            publish(directory, day, columns, _facts(merged))
        return True

    def _read_day(self, symbol: str, day: str) -> TradeRows | None:
        if open_folder(self._directory(symbol), day) is None:
            return None
        folder, columns = map_columns(self._directory(symbol), day, _ALL_COLUMNS)
        stored = _stored_day(day, folder)
        return TradeRows(
            symbol=symbol,
            price_step=stored.price_step,
            size_step=stored.size_step,
            quality=stored.quality,
            **columns,
        )

    def damaged(self, symbol: str) -> list[str]:
        """Return `day/column` of every column whose checksum is wrong (reads everything)."""
        directory = self._directory(symbol)
        folders = ((day, open_folder(directory, day)) for day in names(directory))
        return [f"{day}/{column}" for day, f in folders if f for column in f.damaged()]

    def load(self, symbol: str, wanted: TimeRange, tick_size: Decimal | None) -> TickColumns:
        """Return the stored ticks in `wanted`: maps for one day, copies side by side for more.

        Raises NoDataError if no stored day touches the range, PriceOffTickError,
        UnreadableFileError.
        """
        directory = self._directory(symbol)
        first, last = day_name(wanted.start_us), day_name(wanted.end_us - 1)
        parts = []
        for day in names(directory):
            if first <= day <= last:
                folder, columns = map_columns(directory, day, _TICK_COLUMNS)
                part = DayPart(_stored_day(day, folder), columns).between(wanted)
                if part.rows:
                    parts.append(part)
        if not parts:
            raise NoDataError(f"{symbol}: no stored trades from {wanted}")
        return side_by_side(symbol, parts, tick_size)

    def _directory(self, symbol: str) -> Path:
        if not symbol.isalnum():
            raise DataError(f"{symbol!r} is no symbol; symbols have letters and digits only")
        return self.root / symbol / "trades"


def day_name(ts_us: int) -> str:
    """Return the UTC day of a time as 2025-01-31."""
    return datetime.fromtimestamp(ts_us // US_PER_S, UTC).strftime("%Y-%m-%d")


def _shares(report: DataQuality, rows: Sequence[int]) -> list[DataQuality]:
    """Split a file's report over its days: what is counted once is counted on the first."""
    first = replace(report, rows_read=report.rows_read - sum(rows[1:]), rows_kept=rows[0])
    rest = [DataQuality(rows_read=n, rows_kept=n, sources=report.sources) for n in rows[1:]]
    return [first, *rest]


def _facts(rows: TradeRows) -> dict[str, Any]:
    return {
        "first_ts_us": int(rows.ts_us[0]),
        "last_ts_us": int(rows.ts_us[-1]),
        "price_step": format(rows.price_step, "f"),
        "size_step": format(rows.size_step, "f"),
        "quality": quality_to_json(rows.quality),
    }


def _stored_day(day: str, folder: ColumnFolder) -> StoredDay:
    facts = folder.facts
    return StoredDay(
        day=day,
        rows=folder.rows,
        first_ts_us=facts["first_ts_us"],
        last_ts_us=facts["last_ts_us"],
        price_step=Decimal(facts["price_step"]),
        size_step=Decimal(facts["size_step"]),
        quality=quality_from_json(facts["quality"]),
    )
