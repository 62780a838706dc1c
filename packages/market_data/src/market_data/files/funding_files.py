"""Readers of settled funding rates: CSV (symbol, fundingRate, fundingRateTimestamp in ms) and
Bybit's REST JSON with the same names."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from market_data.basics.data_errors import UnreadableFileError
from market_data.basics.decimal_text import coarsest_step, parse_decimals, power_of_ten, steps_in
from market_data.basics.time_range import LAST_US
from market_data.columns.ticks import FundingColumns
from market_data.files.archive_format import header_names
from market_data.files.csv_layout import CorruptRows, CsvLayout
from market_data.files.line_blocks import read_whole

FUNDING_FIELDS = ("symbol", "fundingRate", "fundingRateTimestamp")
_RATE_SCALE = 12


def read_funding(path: str | Path) -> dict[str, FundingColumns]:
    """Return the settlements of every symbol in the file, oldest first, each time once.

    A wrong rate would be charged silently, so one unreadable row refuses the file.
    Raises UnreadableFileError.
    """
    path = Path(path)
    text, _ = read_whole(path)
    frame = _from_json(text, path) if text.lstrip()[:1] == b"{" else _from_csv(text, path)
    time_ms, good_time = parse_decimals(frame["fundingRateTimestamp"], 0)
    rate, good_rate = parse_decimals(frame["fundingRate"], _RATE_SCALE)
    good = good_time & good_rate & (time_ms > 0) & (time_ms < LAST_US // 1000)
    good &= frame["symbol"].is_not_null().to_numpy()
    if not good.all() or not frame.height:
        row = int(np.argmin(good)) if frame.height else 0
        shown = frame.row(row) if frame.height else "no row at all"
        raise UnreadableFileError(f"{path.name}: funding row {row + 1} cannot be read: {shown}")
    columns = {}
    for symbol in frame["symbol"].unique().sort().to_list():
        mine = (frame["symbol"] == symbol).to_numpy()
        columns[str(symbol)] = _columns(time_ms[mine] * 1000, rate[mine], f"{path.name} {symbol}")
    return columns


def join_funding(first: FundingColumns, second: FundingColumns, where: str) -> FundingColumns:
    """Return the settlements of both. Raises UnreadableFileError where they contradict."""
    finest = power_of_ten(_RATE_SCALE)
    rates = [part.rate * steps_in(part.step, finest) for part in (first, second)]
    return _columns(np.concatenate([first.ts_us, second.ts_us]), np.concatenate(rates), where)


def _columns(
    ts_us: np.ndarray[tuple[int], np.dtype[np.int64]],
    rate: np.ndarray[tuple[int], np.dtype[np.int64]],
    where: str,
) -> FundingColumns:
    times, first_rows, which = np.unique(ts_us, return_index=True, return_inverse=True)
    if (rate[first_rows][which] != rate).any():
        raise UnreadableFileError(f"{where}: two different rates for one settlement")
    kept = rate[first_rows]
    unit = power_of_ten(_RATE_SCALE)
    step = coarsest_step(kept, unit)
    return FundingColumns(ts_us=times, rate=kept // steps_in(step, unit), step=step)


def _from_csv(text: bytes, path: Path) -> pl.DataFrame:
    head = text[: text.find(b"\n") + 1] or text
    names = header_names(head)
    if not set(FUNDING_FIELDS) <= set(names):
        raise UnreadableFileError(f"{path.name}: needs {', '.join(FUNDING_FIELDS)}, has {names}")
    corrupt = CorruptRows(path.name)
    body = text[len(head) :].replace(b"\r\n", b"\n")
    lines = CsvLayout(names, FUNDING_FIELDS).lines(body, 2, corrupt)
    if corrupt.count:
        raise UnreadableFileError(f"{corrupt.samples[0]}; funding must be whole")
    return lines.frame


def _from_json(text: bytes, path: Path) -> pl.DataFrame:
    try:
        rows = json.loads(text)["result"]["list"]
        return pl.DataFrame({name: [str(row[name]) for row in rows] for name in FUNDING_FIELDS})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableFileError(f"{path.name}: no funding answer of Bybit ({error!r})") from error
