"""Readers of kline and mark-price kline files: CSV (plain or gzip) and Bybit's REST JSON.

CSV columns: startTime (ms), open, high, low, close and, for klines, volume (base coin); further
columns are ignored. REST: `result.list` of text arrays in the same order, newest first.
"""

import json
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from market_data.basics.data_errors import UnknownSymbolError, UnreadableFileError
from market_data.basics.decimal_text import coarsest_step, parse_decimals, power_of_ten, steps_in
from market_data.basics.quality import DataQuality, SourceFile
from market_data.basics.time_range import LAST_US
from market_data.columns.bars import PRICE_FIELDS, Bars, usual_interval
from market_data.files.archive_format import header_names
from market_data.files.csv_layout import CorruptRows, CsvLayout, TextLines
from market_data.files.line_blocks import read_whole

_FIELDS = ("startTime", *PRICE_FIELDS, "volume")
_MARK_FIELDS = _FIELDS[:-1]
_PRICE_SCALE = 12
_VOLUME_SCALE = 4  # up to 9 hundred million million coins a bar
_SYMBOL_IN_NAME = re.compile(r"(?<![A-Z0-9])([A-Z0-9]{2,20}(?:USDT|USDC|USD|PERP))(?![A-Z0-9])")
_INTERVAL_IN_NAME = re.compile(r"_(\d+)([mhd])(?![a-z0-9])")
_UNIT_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@dataclass(frozen=True, slots=True)
class _Text:
    lines: TextLines
    symbol: str | None
    read_at_us: int | None  # REST says when it answered; a bar ending later is unfinished


def symbol_in_name(path: str | Path) -> str:
    """Return the symbol that a file's name contains. Raises UnknownSymbolError."""
    path = Path(path)
    found = sorted(set(_SYMBOL_IN_NAME.findall(path.name)))
    if len(found) != 1:
        raise UnknownSymbolError(
            f"{path.name}: the name has {'several symbols' if found else 'no symbol'}"
            f" {' '.join(found)}and bars do not say theirs; pass the symbol"
        )
    return str(found[0])


def read_bars(path: str | Path, *, symbol: str | None = None) -> Bars:
    """Return the bars of one file, oldest first.

    The symbol comes from the argument, the JSON answer or the file's name. Bars whose high or low
    does not enclose open and close are corrupt. A bar that was unfinished when a REST answer was
    given is left out. Raises UnreadableFileError, UnknownSymbolError.
    """
    path = Path(path)
    text, source = read_whole(path)
    corrupt = CorruptRows(path.name)
    is_json = text.lstrip()[:1] in (b"{", b"[")
    parsed = _from_json(text, path) if is_json else _from_csv(text, path, corrupt)
    return _bars(parsed, source, corrupt, symbol or parsed.symbol or symbol_in_name(path), path)


def _from_csv(text: bytes, path: Path, corrupt: CorruptRows) -> _Text:
    head = text[: text.find(b"\n") + 1] or text
    names = header_names(head)
    if "startTime" not in names:
        raise UnreadableFileError(
            f"{path.name}: no column startTime in its first line {head[:60]!r}; klines need"
            f" {', '.join(_MARK_FIELDS)} and volume"
        )
    missing = [name for name in _MARK_FIELDS if name not in names]
    if missing:
        raise UnreadableFileError(f"{path.name}: no column {', '.join(missing)} in {names}")
    wanted = tuple(name for name in _FIELDS if name in names)
    lines = CsvLayout(names, wanted).lines(text[len(head) :].replace(b"\r\n", b"\n"), 2, corrupt)
    return _Text(lines, None, None)


def _from_json(text: bytes, path: Path) -> _Text:
    try:
        answer: dict[str, Any] = json.loads(text)
        result = answer["result"]
        rows = [[str(value) for value in row[: len(_FIELDS)]] for row in result["list"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableFileError(f"{path.name}: no kline answer of Bybit ({error!r})") from error
    widths = {len(row) for row in rows}
    if not rows or widths - {len(_FIELDS), len(_MARK_FIELDS)} or len(widths) > 1:
        raise UnreadableFileError(f"{path.name}: result.list is no list of bars")
    columns = dict(zip(_FIELDS, zip(*rows, strict=True), strict=False))
    frame = pl.DataFrame({name: list(values) for name, values in columns.items()})
    read_at = answer.get("time")
    return _Text(
        TextLines(frame, range(1, len(rows) + 1)),
        result.get("symbol"),
        int(read_at) * 1000 if read_at else None,
    )


def _bars(text: _Text, source: SourceFile, corrupt: CorruptRows, symbol: str, path: Path) -> Bars:
    frame = text.lines.frame
    start_ms, good = parse_decimals(frame["startTime"], 0)
    good &= (start_ms > 0) & (start_ms < LAST_US // 1000)
    fields = {}
    for name in PRICE_FIELDS:
        fields[name], valid = parse_decimals(frame[name], _PRICE_SCALE)
        good &= valid & (fields[name] > 0)
    volume = np.zeros(frame.height, np.int64)
    if "volume" in frame.columns:
        volume, valid = parse_decimals(frame["volume"], _VOLUME_SCALE)
        good &= valid & (volume >= 0)
    good &= fields["high"] >= np.maximum(fields["open"], fields["close"])
    good &= fields["low"] <= np.minimum(fields["open"], fields["close"])
    for row in np.flatnonzero(~good).tolist():
        corrupt.add(text.lines.numbers[row], f"no possible bar {frame.row(row)}")
    if not good.any():
        raise UnreadableFileError(f"{path.name}: no readable bar in {frame.height:,} rows")
    start_us = start_ms[good] * 1000
    interval_us = usual_interval(start_us) or _interval_in_name(path)
    price_step, volume_step = (
        coarsest_step(np.concatenate([fields[n][good] for n in PRICE_FIELDS]), _price_unit()),
        coarsest_step(volume[good], power_of_ten(_VOLUME_SCALE)),
    )
    rows_read = frame.height + corrupt.torn
    bars = Bars(
        symbol=symbol,
        interval_us=interval_us,
        price_step=price_step,
        volume_step=volume_step,
        start_us=start_us,
        **{n: fields[n][good] // steps_in(price_step, _price_unit()) for n in PRICE_FIELDS},
        volume=volume[good] // steps_in(volume_step, power_of_ten(_VOLUME_SCALE)),
        quality=DataQuality(rows_read=rows_read, rows_kept=0),
    )
    return _in_order(bars, replace(source, rows=rows_read), corrupt, text.read_at_us)


def _price_unit() -> Decimal:
    return power_of_ten(_PRICE_SCALE)


def _interval_in_name(path: Path) -> int:
    found = _INTERVAL_IN_NAME.search(path.name)
    if not found:
        raise UnreadableFileError(
            f"{path.name}: a single bar does not show its length; put it into the name, as _5m"
        )
    return int(found[1]) * _UNIT_US[found[2]]


def _in_order(bars: Bars, source: SourceFile, corrupt: CorruptRows, read_at_us: int | None) -> Bars:
    backwards = len(bars) > 1 and bool(bars.start_us[0] > bars.start_us[-1])
    if backwards:
        bars = bars.take(slice(None, None, -1))
    late = int(np.count_nonzero(bars.start_us < np.maximum.accumulate(bars.start_us)))
    bars = bars.take(np.lexsort((bars.volume, bars.start_us)))
    keep = np.append(bars.start_us[1:] != bars.start_us[:-1], True)
    duplicates = len(bars) - int(keep.sum())
    notes: tuple[str, ...] = ()
    if read_at_us is not None:
        unfinished = bars.start_us + bars.interval_us > read_at_us
        if (keep & unfinished).any():
            notes = (f"{source.name}: the unfinished last bar is left out",)
            keep &= ~unfinished
    bars = bars.take(keep)
    quality = DataQuality(
        rows_read=source.rows,
        rows_kept=len(bars),
        out_of_order_rows=late,
        duplicate_rows=duplicates,
        corrupt_rows=corrupt.count,
        corrupt_samples=tuple(corrupt.samples),
        gaps=tuple(bars.missing()),
        sources=(replace(source, newest_first=backwards),),
        notes=notes,
    )
    return replace(bars, quality=quality)
