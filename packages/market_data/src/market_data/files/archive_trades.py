"""A trade archive row by row, with the ids of its trades, for whoever stores them one by one.

`archive` reads whole files as columns, counts what is corrupt and keeps a digest of an id; here a
row that cannot be read ends the reading, because what it held would be missing unnoticed.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from grid_db import PublicTradeRecord
from gridcore import SideType
from market_data.basics.data_errors import UnreadableFileError
from market_data.basics.time_range import EPOCH
from market_data.files.archive_format import ID_COLUMN, archive_columns
from market_data.files.line_blocks import LineBlocks

_BLOCK_BYTES = 1 << 20


def archive_trades(
    path: str | Path, symbol: str, start: datetime, end: datetime
) -> Iterator[PublicTradeRecord]:
    """Yield the symbol's trades with start <= time <= end, in the order of the file.

    Gzip or plain, newest first or last, with a header or without. Memory holds a block at a time.
    Raises TruncatedFileError and UnreadableFileError, also for a row that cannot be read.
    """
    path = Path(path)
    columns: tuple[str, ...] = ()
    number = 0
    for block in LineBlocks(path, _BLOCK_BYTES):
        for line in block.splitlines():
            number += 1
            if not columns:
                columns, is_header = archive_columns(line, path.name)
                if ID_COLUMN not in columns:
                    raise UnreadableFileError(f"{path.name}: no column {ID_COLUMN} in {columns}")
                if is_header:
                    continue
            if not line.strip():
                continue
            try:
                trade = _trade(dict(zip(columns, line.decode().split(","), strict=True)))
            except (ValueError, InvalidOperation, OverflowError) as error:
                raise UnreadableFileError(
                    f"{path.name} line {number} is no trade ({type(error).__name__}):"
                    f" {line[:60]!r}; download the file again"
                ) from error
            if trade.symbol == symbol and start <= trade.exchange_ts <= end:
                yield trade


def _trade(row: dict[str, str]) -> PublicTradeRecord:
    moment = int(Decimal(row["timestamp"]).scaleb(6).to_integral_value())
    return PublicTradeRecord(
        symbol=row["symbol"],
        trade_id=row[ID_COLUMN],
        exchange_ts=EPOCH + timedelta(microseconds=moment),
        side=SideType(row["side"]),
        price=Decimal(row["price"]),
        size=Decimal(row["size"]),
    )
