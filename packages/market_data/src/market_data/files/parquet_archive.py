"""Trade archives that somebody turned into Parquet: the same columns, of text or of numbers."""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl

from market_data.basics.data_errors import UnreadableFileError
from market_data.columns.trade_rows import TradeRows
from market_data.files.archive_format import ID_COLUMN, NEEDED_COLUMNS
from market_data.files.csv_layout import TextLines
from market_data.files.trade_reader import TradeReader

_MAGIC = b"PAR1"
_BATCH_ROWS = 250_000
ROWS_LET_BE = 2_000_000


def is_parquet(path: str | Path) -> bool:
    """Return whether the file begins as Parquet does. Raises UnreadableFileError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise UnreadableFileError(f"{path}: {error.strerror or error}") from error


def read_parquet_archive(path: str | Path, *, tick_size: Decimal | None = None) -> TradeRows:
    """Return the trades of a Parquet file in time order, as `read_archive` does.

    Numbers may be text, decimals, integers or floats; a float stands for the shortest decimal that
    reads back as that float, which is the text it was made from. Times are Unix seconds or a
    datetime column. Raises PriceOffTickError, UnreadableFileError.
    """
    path = Path(path)
    reader = TradeReader(path.name, tick_size)
    first_row = 1
    for frame in _batches(path):
        reader.add(TextLines(frame, range(first_row, first_row + frame.height)))
        first_row += frame.height
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return reader.finish(digest, path.stat().st_size)


def peek_parquet_symbol(path: str | Path) -> str:
    """Return the symbol of the first trade. Raises UnreadableFileError."""
    path = Path(path)
    for frame in _batches(path):
        if frame.height:
            return str(frame["symbol"][0])
    raise UnreadableFileError(f"{path.name}: no trade in it")


def _batches(path: Path) -> Iterator[pl.DataFrame]:
    try:
        scan = pl.scan_parquet(path)
        schema = scan.collect_schema()
        missing = [name for name in NEEDED_COLUMNS if name not in schema]
        if missing:
            raise UnreadableFileError(
                f"{path.name}: no column {', '.join(missing)}; a Parquet file of trades has the"
                f" columns of the archive, this one has {', '.join(schema)}"
            )
        wanted = [name for name in (*NEEDED_COLUMNS, ID_COLUMN) if name in schema]
        texts = scan.select(_as_text(name, schema[name]) for name in wanted)
        rows = scan.select(pl.len()).collect().item()
        if rows > max(ROWS_LET_BE, path.stat().st_size):
            # time, price and size of a trade take several bytes however they are packed
            raise UnreadableFileError(
                f"{path.name}: {rows:,} rows in {path.stat().st_size:,} bytes; no trades are that"
                " regular, get the file again from where it came"
            )
        for start in range(0, rows, _BATCH_ROWS):
            yield texts.slice(start, _BATCH_ROWS).collect()
    except pl.exceptions.PolarsError as error:
        raise UnreadableFileError(f"{path.name}: damaged Parquet file ({error})") from error


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        us = column.dt.epoch("us")
        fraction = (us % 1_000_000).cast(pl.String).str.zfill(6)
        return ((us // 1_000_000).cast(pl.String) + "." + fraction).alias(name)
    return column.cast(pl.String)
