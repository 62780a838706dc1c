"""Bybit's public trade archives: CSV, plain or gzip, one UTC day of one symbol each.

Which columns they have: archive_format. Files may be newest first, may lack the header, and are
read in blocks: memory is bounded by the columns that come out.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

from market_data.basics.data_errors import TruncatedFileError, UnreadableFileError
from market_data.basics.paths import Paths, paths_of
from market_data.columns.trade_rows import TradeRows
from market_data.files.archive_format import ID_COLUMN, NEEDED_COLUMNS, archive_columns
from market_data.files.csv_layout import CsvLayout
from market_data.files.line_blocks import DEFAULT_BLOCK_BYTES, LineBlocks
from market_data.files.parquet_archive import is_parquet, peek_parquet_symbol, read_parquet_archive
from market_data.files.trade_reader import TradeReader


def read_archive(
    path: str | Path,
    *,
    tick_size: Decimal | None = None,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
) -> TradeRows:
    """Return the trades of one archive in time order; ties keep the order of the exchange.

    With `tick_size`, prices come out in ticks; without, in the coarsest step that fits them all.
    Corrupt rows and rows of another symbol are left out and counted.
    Raises PriceOffTickError, TruncatedFileError, UnreadableFileError.
    """
    path = Path(path)
    if is_parquet(path):
        return read_parquet_archive(path, tick_size=tick_size)
    blocks = LineBlocks(path, block_bytes)
    reader = TradeReader(path.name, tick_size)
    layout: CsvLayout | None = None
    line = 1
    try:
        for block in blocks:
            body = block
            if layout is None:
                layout, body = _body(block, path.name)
                line += len(body) < len(block)
            reader.add(layout.lines(body, line, reader.corrupt))
            line += body.count(b"\n")
    except TruncatedFileError:
        raise TruncatedFileError(
            f"{path.name}: the gzip data ends early, {reader.rows_read:,} whole rows were read"
            " before; download the file again",
            reader.rows_read,
        ) from None
    return reader.finish(blocks.sha256, blocks.size_bytes)


def read_archives(
    paths: Paths, *, tick_size: Decimal | None = None, workers: int = 2
) -> Iterator[TradeRows]:
    """Yield `read_archive` of each path, in the order given, read on `workers` threads."""
    # Inflating, parsing and array work all release the interpreter lock.
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(partial(read_archive, tick_size=tick_size), paths_of(paths))


def archive_layout(first_line: bytes, file: str) -> tuple[CsvLayout, bool]:
    """Return the columns of an archive and whether its first line is a header.

    Raises UnreadableFileError if it is no trade archive.
    """
    names, is_header = archive_columns(first_line, file)
    return CsvLayout(names, (*NEEDED_COLUMNS, ID_COLUMN)), is_header


def _body(first_block: bytes, file: str) -> tuple[CsvLayout, bytes]:
    head = first_block[: first_block.find(b"\n") + 1] or first_block
    layout, is_header = archive_layout(head, file)
    return layout, first_block[len(head) :] if is_header else first_block


def peek_symbol(path: str | Path) -> str:
    """Return the symbol of an archive's first trade. Raises UnreadableFileError."""
    path = Path(path)
    if is_parquet(path):
        return peek_parquet_symbol(path)
    try:
        block = next(iter(LineBlocks(path, block_bytes=1)), b"")
    except TruncatedFileError as error:
        raise UnreadableFileError(f"{path.name}: damaged at its very beginning") from error
    layout, body = _body(block, path.name)
    for line in body.splitlines():
        fields = line.decode("utf-8", "replace").split(",")
        if len(fields) == len(layout.columns):
            return fields[layout.columns.index("symbol")]
    raise UnreadableFileError(f"{path.name}: no trade in it")
