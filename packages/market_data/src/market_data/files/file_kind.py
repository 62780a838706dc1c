"""What a file of market data holds, told from its contents and never from its name."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from market_data.basics.data_errors import TruncatedFileError, UnreadableFileError
from market_data.files.archive import archive_layout
from market_data.files.archive_format import header_names
from market_data.files.line_blocks import MOST_JSON_BYTES, LineBlocks, read_whole
from market_data.files.parquet_archive import is_parquet

_MARK_WIDTH = 5  # start, open, high, low, close: no volume


class FileKind(StrEnum):
    """The kinds of files that can be read."""

    TRADES = "trades"
    KLINES = "klines"
    MARK = "mark-price klines"
    FUNDING = "funding"
    INSTRUMENTS = "instruments"
    RISK_LIMITS = "risk limits"


def file_kind(path: str | Path) -> FileKind:
    """Return what `path` holds. Raises UnreadableFileError if it is none of these."""
    path = Path(path)
    if is_parquet(path):
        return FileKind.TRADES
    try:
        # an answer of REST is one long line
        head = next(iter(LineBlocks(path, 1, MOST_JSON_BYTES)), b"")
    except TruncatedFileError as error:
        raise UnreadableFileError(f"{path.name}: damaged at its very beginning") from error
    if not head.strip():
        raise UnreadableFileError(f"{path.name}: the file is empty")
    if head.lstrip()[:1] == b"{":
        return _kind_of_answer(path)
    first_line = head.split(b"\n", 1)[0]
    names = header_names(first_line)
    if "startTime" in names:
        return FileKind.KLINES if "volume" in names else FileKind.MARK
    if "fundingRate" in names:
        return FileKind.FUNDING
    archive_layout(first_line, path.name)
    return FileKind.TRADES


def _kind_of_answer(path: Path) -> FileKind:
    text, _ = read_whole(path)
    try:
        row: Any = json.loads(text)["result"]["list"][0]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise UnreadableFileError(
            f"{path.name}: JSON, but no answer of Bybit with a result.list ({error!r})"
        ) from error
    if isinstance(row, list):
        return FileKind.MARK if len(row) == _MARK_WIDTH else FileKind.KLINES
    for field, kind in (
        ("priceFilter", FileKind.INSTRUMENTS),
        ("riskLimitValue", FileKind.RISK_LIMITS),
        ("fundingRateTimestamp", FileKind.FUNDING),
    ):
        if field in row:
            return kind
    raise UnreadableFileError(f"{path.name}: an answer of Bybit with rows of {sorted(row)[:6]}")
