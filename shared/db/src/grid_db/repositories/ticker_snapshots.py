"""Ticker snapshots: shared market data."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.bulk.write import BulkWriter
from grid_db.columns import StoredTickers, join_tickers, parse_decimals
from grid_db.models import TickerSnapshotRow
from grid_db.records import TickerSnapshotRecord
from grid_db.repositories.streams import MarketStream, batched
from gridcore import TickerEvent

TICKER_TABLE = BulkWriter(
    BulkTable(TickerSnapshotRow, TickerSnapshotRecord, ("symbol", "exchange_ts"), owned=False)
)
_DECIMALS = ("last_price", "mark_price", "bid1_price", "ask1_price", "funding_rate")
_COLUMNS = {name: f"{name}::text" for name in _DECIMALS}


class TickerSnapshotRepository(MarketStream[TickerSnapshotRecord]):
    """Tickers of all symbols, unique by (symbol, exchange_ts)."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, TickerSnapshotRow, TickerSnapshotRecord, TICKER_TABLE)

    def bulk_insert(self, tickers: Iterable[TickerSnapshotRecord]) -> int:
        """Insert what is not there yet; return how many rows that were. Any number, streamed."""
        return self._bulk.insert(self._session, tickers)

    def get_last_ticker_ts(self, symbol: str) -> datetime | None:
        """Return the exchange time of the symbol's newest ticker, None if there is none."""
        return self._last_ts(symbol)

    def iterate_events(
        self, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[TickerEvent]:
        """Yield the tickers with start <= exchange_ts < end as events, in time order.

        A ticker without a local time gets its exchange time for both.
        """
        for ticker in self.iterate(symbol, start, end):
            yield TickerEvent(
                symbol=ticker.symbol,
                exchange_ts=ticker.exchange_ts,
                local_ts=ticker.local_ts or ticker.exchange_ts,
                last_price=ticker.last_price,
                mark_price=ticker.mark_price,
                bid1_price=ticker.bid1_price,
                ask1_price=ticker.ask1_price,
                funding_rate=ticker.funding_rate,
            )

    def iterate_columns(
        self,
        symbol: str,
        start: datetime | None = None,
        end: datetime | None = None,
        chunk_rows: int = 100_000,
    ) -> Iterator[StoredTickers]:
        """Yield the tickers with start <= exchange_ts < end as columns, in time order.

        Each chunk has `chunk_rows` rows or a few more, the last one fewer. Scales of the decimal
        columns may differ between chunks.
        """
        blocks = self._blocks(_COLUMNS, symbol, start, end)
        for group in batched(blocks, chunk_rows):
            yield join_tickers([_columns(rows) for rows in group])

    def read_columns(
        self, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> StoredTickers:
        """Return all tickers with start <= exchange_ts < end as columns."""
        return join_tickers(list(self.iterate_columns(symbol, start, end)))


def _columns(rows: list[tuple[int, str | None]]) -> StoredTickers:
    moments, *decimals = zip(*rows, strict=True)
    parsed = dict(zip(_DECIMALS, map(parse_decimals, decimals), strict=True))
    return StoredTickers(
        exchange_ts_us=np.fromiter(moments, dtype=np.int64, count=len(rows)), **parsed
    )
