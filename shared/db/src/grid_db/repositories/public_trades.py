"""Public trades: shared market data."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.bulk.write import BulkWriter
from grid_db.columns import TradeColumns, join_trades, parse_decimals
from grid_db.models import PublicTradeRow
from grid_db.records import PublicTradeRecord
from grid_db.repositories.streams import MarketStream, batched
from gridcore import PublicTradeEvent

TRADE_TABLE = BulkWriter(
    BulkTable(PublicTradeRow, PublicTradeRecord, ("symbol", "trade_id"), owned=False)
)
_COLUMNS = {
    "side = 'Buy'": "(side = 'Buy')::int",
    "price": "price::text",
    "size": "size::text",
}


class PublicTradeRepository(MarketStream[PublicTradeRecord]):
    """Trades of all symbols, unique by (symbol, trade_id)."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, PublicTradeRow, PublicTradeRecord, TRADE_TABLE)

    def bulk_insert(self, trades: Iterable[PublicTradeRecord | PublicTradeEvent]) -> int:
        """Insert what is not there yet; return how many rows that were. Any number, streamed."""
        return self._bulk.insert(self._session, trades)

    def exists_by_trade_id(self, symbol: str, trade_id: str) -> bool:
        """Tell whether the trade is stored."""
        columns = self._rows.columns
        return self._rows.exists(columns.symbol == symbol, columns.trade_id == trade_id)

    def get_last_trade_ts(self, symbol: str) -> datetime | None:
        """Return the exchange time of the symbol's newest trade, None if there is none."""
        return self._last_ts(symbol)

    def iterate_events(
        self, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[PublicTradeEvent]:
        """Yield the trades with start <= exchange_ts < end as events, in time order.

        A trade without a local time, from an archive, gets its exchange time for both.
        """
        for trade in self.iterate(symbol, start, end):
            yield PublicTradeEvent(
                symbol=trade.symbol,
                exchange_ts=trade.exchange_ts,
                local_ts=trade.local_ts or trade.exchange_ts,
                trade_id=trade.trade_id,
                side=trade.side,
                price=trade.price,
                size=trade.size,
            )

    def iterate_columns(
        self,
        symbol: str,
        start: datetime | None = None,
        end: datetime | None = None,
        chunk_rows: int = 100_000,
    ) -> Iterator[TradeColumns]:
        """Yield the trades with start <= exchange_ts < end as columns, in time order.

        Each chunk has `chunk_rows` rows or a few more, the last one fewer. Scales of the decimal
        columns may differ between chunks.
        """
        blocks = self._blocks(_COLUMNS, symbol, start, end)
        for group in batched(blocks, chunk_rows):
            yield join_trades([_columns(rows) for rows in group])

    def read_columns(
        self, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> TradeColumns:
        """Return all trades with start <= exchange_ts < end as columns; about 25 bytes a row."""
        return join_trades(list(self.iterate_columns(symbol, start, end)))


def _columns(rows: list[tuple[int, int, str, str]]) -> TradeColumns:
    moments, buys, prices, sizes = zip(*rows, strict=True)
    return TradeColumns(
        exchange_ts_us=np.fromiter(moments, dtype=np.int64, count=len(rows)),
        is_buy=np.fromiter(buys, dtype=np.bool_, count=len(rows)),
        price=parse_decimals(prices),
        size=parse_decimals(sizes),
    )
