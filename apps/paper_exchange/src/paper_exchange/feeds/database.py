"""Recorded trades and tickers of a database as a market."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from decimal import Decimal
from operator import itemgetter

from grid_db import (
    DatabaseFactory,
    PublicTradeRecord,
    PublicTradeRepository,
    TickerSnapshotRecord,
    TickerSnapshotRepository,
)
from gridcore import InstrumentInfo
from gridcore.moments import moment
from market_data.basics.data_errors import NoDataError
from market_data.basics.time_range import TimeLike, TimeRange, to_us
from market_data.providers.data_provider import require_symbol
from market_data.providers.database_provider import DatabaseDataProvider
from paper_exchange.feeds.feed import on_tick, require_same_symbol
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

PAGE_ROWS = 5_000
FIRST_PAGE_US = 60_000_000

Record = PublicTradeRecord | TickerSnapshotRecord
AnyRepository = PublicTradeRepository | TickerSnapshotRepository


class DatabaseFeed:
    """What was recorded of one symbol with start <= time < end (see `TimeRange.parse`).

    A ticker becomes a quote with all that it says. Times are moved so that the first row is at
    the start, or stay as recorded with `keep_times`; at one moment trades come before tickers.
    Prices off the instrument's tick are rounded to it. Rows are read page by page, and no
    transaction is open between two pages, however slowly they are played.

    Raises UnknownSymbolError, NoDataError for an empty range, WrongRangeError, ValueError for the
    instrument of another symbol, and grid_db's errors.
    """

    def __init__(
        self,
        database: DatabaseFactory,
        symbol: str,
        instrument: InstrumentInfo,
        start: TimeLike = None,
        end: TimeLike = None,
        *,
        keep_times: bool = False,
    ) -> None:
        require_same_symbol(symbol, instrument)
        self._database = database
        self._instrument = instrument
        self._keep_times = keep_times
        wanted = TimeRange.parse(start, end)
        self._wanted = wanted
        self.name = f"database {symbol}"
        self.symbols = (symbol,)
        require_symbol(symbol, DatabaseDataProvider(database).symbols(), "the database")
        if next(self._records(), None) is None:
            raise NoDataError(
                f"{symbol}: neither trades nor tickers were recorded from {wanted}; choose another"
                " range"
            )

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield trades and quotes; see `Feed.events`. With `keep_times` the start is not used."""
        shift_ms: int | None = 0 if self._keep_times else None
        for ts_us, record in self._records():
            ts_ms = ts_us // 1_000
            if shift_ms is None:
                shift_ms = start_ms - ts_ms
            if isinstance(record, PublicTradeRecord):
                yield self._trade(record, ts_ms + shift_ms)
            else:
                yield self._quote(record, ts_ms + shift_ms)

    def _records(self) -> Iterator[tuple[int, Record]]:
        kinds: tuple[type[AnyRepository], ...] = (PublicTradeRepository, TickerSnapshotRepository)
        return heapq.merge(*map(self._pages, kinds), key=itemgetter(0))

    def _pages(self, kind: type[AnyRepository]) -> Iterator[tuple[int, Record]]:
        """Yield (us since 1970, record) in time order, each page from a session of its own.

        A page is a stretch of time, read to its end, of about PAGE_ROWS rows or fewer.
        """
        symbol = self.symbols[0]
        with self._database.get_session() as session:
            recorded = kind(session).get_range(symbol)
        if recorded is None:
            return
        start_us = max(self._wanted.start_us, to_us(recorded.first))
        end_us = min(self._wanted.end_us, to_us(recorded.last) + 1)
        page_us = FIRST_PAGE_US
        while start_us < end_us:
            with self._database.get_session() as session:
                rows: AnyRepository = kind(session)
                start = moment(start_us)
                stop = moment(min(end_us, start_us + page_us))
                count = rows.count(symbol, start, stop)
                if count > PAGE_ROWS and page_us > 1:
                    page_us //= 2
                    continue
                page: list[Record] = list(rows.iterate(symbol, start, stop))
            yield from ((to_us(record.exchange_ts), record) for record in page)
            start_us += page_us
            if count < PAGE_ROWS / 2:
                page_us *= 2  # quiet hours and gaps pass in a few steps

    def _trade(self, record: PublicTradeRecord, ts_ms: int) -> FeedTrade:
        return FeedTrade(
            symbol=record.symbol,
            ts_ms=ts_ms,
            price=on_tick(self._instrument, record.price),
            qty=record.size,
            side=record.side,
            trade_id=record.trade_id,
        )

    def _quote(self, record: TickerSnapshotRecord, ts_ms: int) -> FeedQuote:
        return FeedQuote(
            symbol=record.symbol,
            ts_ms=ts_ms,
            last_price=self._rounded(record.last_price),
            mark_price=record.mark_price,
            index_price=record.index_price,
            bid1_price=self._rounded(record.bid1_price),
            ask1_price=self._rounded(record.ask1_price),
            bid1_size=record.bid1_size,
            ask1_size=record.ask1_size,
            funding_rate=record.funding_rate,
        )

    def _rounded(self, price: Decimal | None) -> Decimal | None:
        return None if price is None else on_tick(self._instrument, price)
