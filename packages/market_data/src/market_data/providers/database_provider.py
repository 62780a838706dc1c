"""Recorded market data from the database as a source of ticks.

Trades fill and tickers decide, as live. Where only tickers were recorded, they are the ticks.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import numpy as np
from sqlalchemy.orm import Session

from grid_db import (
    ALL_SYMBOLS,
    CaptureStream,
    DatabaseFactory,
    DecimalColumn,
    FundingRateRepository,
    GapStatus,
    InstrumentRepository,
    MarketGapRepository,
    PublicTradeRepository,
    StoredTickers,
    TickerSnapshotRepository,
)
from gridcore.moments import moment
from gridcore.sides import TAKER_BUY, TAKER_SELL, TAKER_UNKNOWN
from market_data.basics.data_errors import NoDataError
from market_data.basics.quality import DataQuality, Gap, utc_text
from market_data.basics.time_range import FIRST_US, LAST_US, TimeLike, TimeRange, to_us
from market_data.columns.ticks import FundingColumns, MarkPriceColumns, TickColumns, TickerColumns
from market_data.columns.trade_rows import Prices
from market_data.providers.data_provider import (
    TickSizes,
    cut_to_range,
    require_symbol,
    tick_size_of,
)

FUNDING_STEP = Decimal("1E-12")


class DatabaseDataProvider:
    """Trades, tickers, mark prices, funding and capture gaps of a database.

    The tick size is the one given, else that of the recorded instrument if it fits, else the
    coarsest that fits the prices. With `strict`, data with gaps is refused (ImperfectDataError).
    """

    def __init__(
        self, database: DatabaseFactory, *, tick_sizes: TickSizes = None, strict: bool = False
    ) -> None:
        self._database = database
        self._tick_sizes = tick_sizes
        self._strict = strict

    def symbols(self) -> list[str]:
        """Return the symbols with trades or tickers, sorted."""
        with self._database.get_session() as session:
            return self._symbols(session)

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Return what was recorded in the range.

        Raises UnknownSymbolError, NoDataError, WrongRangeError, PriceOffTickError, and
        ImperfectDataError when strict.
        """
        wanted = TimeRange.parse(start, end)
        with self._database.get_session() as session:
            require_symbol(symbol, self._symbols(session), "the database")
            columns = self._load(session, symbol, wanted)
        if self._strict:
            columns.quality.require_clean(symbol)
        return columns

    @staticmethod
    def _symbols(session: Session) -> list[str]:
        trades = PublicTradeRepository(session).get_symbols()
        return sorted({*trades, *TickerSnapshotRepository(session).get_symbols()})

    def _load(self, session: Session, symbol: str, wanted: TimeRange) -> TickColumns:
        start, end = _bounds(wanted)
        tick_size = tick_size_of(symbol, self._tick_sizes)
        trades = PublicTradeRepository(session).read_columns(symbol, start, end)
        tickers = TickerSnapshotRepository(session).read_columns(symbol, start, end)
        if not len(trades) and not len(tickers):
            raise NoDataError(f"{symbol}: no data from {wanted}; {_what_exists(session, symbol)}")
        if tick_size is None:
            columns_of = [part.price for part in (trades,) if len(part)]
            columns_of += [part.last_price for part in (tickers,) if len(part)]
            tick_size = _tick_size(session, symbol, [_prices(column) for column in columns_of])
        recorded = TickerColumns(
            ts_us=tickers.exchange_ts_us,
            price_ticks=_prices(tickers.last_price).in_ticks(tick_size, f"{symbol} tickers"),
        )
        gaps = _gaps(session, symbol, wanted, only_tickers=not len(trades))
        if len(trades):
            columns = TickColumns(
                symbol=symbol,
                tick_size=tick_size,
                size_step=Decimal(1).scaleb(-trades.size.scale),
                ts_us=trades.exchange_ts_us,
                price_ticks=_prices(trades.price).in_ticks(tick_size, f"{symbol} trades"),
                size=trades.size.unscaled.astype(np.int64),
                side=np.where(trades.is_buy, TAKER_BUY, TAKER_SELL).astype(np.int8),
                quality=DataQuality(rows_read=len(trades), rows_kept=len(trades), gaps=gaps),
                tickers=recorded if len(recorded) else None,
            )
        else:
            columns = _only_tickers(symbol, tick_size, recorded, gaps)
        columns = columns.with_rates(mark=_mark(tickers), funding=_funding(session, symbol, wanted))
        return cut_to_range(columns, wanted)


def _bounds(wanted: TimeRange) -> tuple[datetime | None, datetime | None]:
    """Return the range as the repositories take it: None for an open side."""
    return (
        None if wanted.start_us == FIRST_US else moment(wanted.start_us),
        None if wanted.end_us == LAST_US else moment(wanted.end_us),
    )


def _tick_size(session: Session, symbol: str, prices: list[Prices]) -> Decimal:
    """Return the recorded instrument's tick size if it fits, else the coarsest that does."""
    fitting = min(part.fitting_tick() for part in prices)
    rules = InstrumentRepository(session).get_by_symbol(symbol)
    if rules is not None and not fitting % rules.tick_size:
        return rules.tick_size
    return fitting


def _gaps(
    session: Session, symbol: str, wanted: TimeRange, *, only_tickers: bool
) -> tuple[Gap, ...]:
    """Return the stretches that were not captured and never came in later."""
    streams = [CaptureStream.TICKERS]
    if not only_tickers:
        streams.append(CaptureStream.TRADES)
    gaps = MarketGapRepository(session)
    found = {
        Gap(to_us(gap.gap_start), to_us(gap.gap_end))
        for stream in streams
        for gap in gaps.find(*_bounds(wanted), stream=stream)
        if gap.symbol in (symbol, ALL_SYMBOLS) and gap.status is not GapStatus.FILLED
    }
    return tuple(sorted(found))


def _only_tickers(
    symbol: str, tick_size: Decimal, tickers: TickerColumns, gaps: tuple[Gap, ...]
) -> TickColumns:
    """Return tickers in the place of trades: every one fills and decides, without a size."""
    count = len(tickers)
    return TickColumns(
        symbol=symbol,
        tick_size=tick_size,
        size_step=Decimal(1),
        ts_us=tickers.ts_us,
        price_ticks=tickers.price_ticks,
        size=np.zeros(count, dtype=np.int64),
        side=np.full(count, TAKER_UNKNOWN, dtype=np.int8),
        quality=DataQuality(
            rows_read=count,
            rows_kept=count,
            gaps=gaps,
            approximation="tickers stand for trades: prices between two tickers are not seen",
        ),
    )


def _prices(column: DecimalColumn) -> Prices:
    return Prices(column.unscaled.astype(np.int64), Decimal(1).scaleb(-column.scale))


def _mark(tickers: StoredTickers) -> MarkPriceColumns | None:
    """Return the recorded mark prices, without the moments at which there was none."""
    column = tickers.mark_price
    known = np.ones(len(column), dtype=np.bool_) if column.missing is None else ~column.missing
    if not known.any():
        return None
    prices = _prices(column)
    return MarkPriceColumns(
        ts_us=tickers.exchange_ts_us[known], price=prices.units[known], step=prices.step
    )


def _funding(session: Session, symbol: str, wanted: TimeRange) -> FundingColumns | None:
    rates = FundingRateRepository(session).get_by_range(symbol, *_bounds(wanted))
    if not rates:
        return None
    units = [int(rate.funding_rate / FUNDING_STEP) for rate in rates]
    return FundingColumns(
        ts_us=np.array([to_us(rate.funding_ts) for rate in rates], dtype=np.int64),
        rate=np.array(units, dtype=np.int64),
        step=FUNDING_STEP,
    )


def _what_exists(session: Session, symbol: str) -> str:
    found = []
    for name, repository in (
        ("trades", PublicTradeRepository(session)),
        ("tickers", TickerSnapshotRepository(session)),
    ):
        span = repository.get_range(symbol)
        if span is not None:
            first, last = utc_text(to_us(span.first)), utc_text(to_us(span.last))
            found.append(f"{name} from {first} to {last}")
    return f"there are {' and '.join(found)}"
