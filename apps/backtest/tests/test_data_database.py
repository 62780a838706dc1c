"""Recorded market data comes out of both databases as it went in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from backtest.run.engine import BacktestEngine
from backtest.settings.config import BacktestConfig
from grid_db import (
    CaptureGapRecord,
    CaptureStream,
    DatabaseFactory,
    FundingRateRecord,
    FundingRateRepository,
    GapStatus,
    InstrumentRecord,
    InstrumentRepository,
    MarketGapRepository,
    PublicTradeRecord,
    PublicTradeRepository,
    TickerSnapshotRecord,
    TickerSnapshotRepository,
)
from gridcore import SideType
from gridcore.moments import moment
from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.data_errors import ImperfectDataError, NoDataError, UnknownSymbolError
from market_data.providers.database_provider import DatabaseDataProvider
from market_data.providers.synthetic import RandomWalk

START = datetime(2026, 1, 5, tzinfo=UTC)


def trade(n: int, price: str, side: SideType = SideType.BUY, size: str = "1") -> PublicTradeRecord:
    return PublicTradeRecord(
        symbol="ABCUSDT",
        trade_id=f"t{n}",
        exchange_ts=START + timedelta(seconds=n),
        side=side,
        price=Decimal(price),
        size=Decimal(size),
    )


def ticker(n: int, price: str, mark: str | None = None) -> TickerSnapshotRecord:
    return TickerSnapshotRecord(
        symbol="ABCUSDT",
        exchange_ts=START + timedelta(seconds=n, microseconds=1),
        last_price=Decimal(price),
        mark_price=None if mark is None else Decimal(mark),
    )


def store(
    database: DatabaseFactory,
    trades: list[PublicTradeRecord] | None = None,
    tickers: list[TickerSnapshotRecord] | None = None,
) -> None:
    with database.get_session() as session:
        PublicTradeRepository(session).bulk_insert(trades or [])
        TickerSnapshotRepository(session).bulk_insert(tickers or [])


def test_trades_fill_and_tickers_decide(database: DatabaseFactory) -> None:
    store(
        database,
        [trade(0, "100.5"), trade(1, "100.25", SideType.SELL, "0.125"), trade(9, "101")],
        [ticker(0, "100.5", "100.123"), ticker(4, "100.25"), ticker(8, "100.25", "100.5")],
    )
    with database.get_session() as session:
        FundingRateRepository(session).bulk_insert(
            [
                FundingRateRecord(
                    symbol="ABCUSDT", funding_ts=START, funding_rate=Decimal("-0.00012345")
                )
            ]
        )
    columns = DatabaseDataProvider(database).load("ABCUSDT")
    assert [columns.price(n) for n in range(3)] == [Decimal("100.5"), Decimal("100.25"), 101]
    assert [columns.qty(n) for n in range(3)] == [1, Decimal("0.125"), 1]
    assert columns.side.tolist() == [TAKER_BUY, TAKER_SELL, TAKER_BUY]
    assert moment(columns.first_ts_us) == START
    assert columns.tickers is not None
    assert (columns.tickers.price_ticks * float(columns.tick_size)).tolist() == [
        100.5,
        100.25,
        100.25,
    ]
    assert columns.mark is not None
    assert [columns.mark.at(int(us)) for us in columns.ts_us] == [
        None,
        Decimal("100.123"),
        Decimal("100.5"),
    ]
    assert columns.funding is not None
    assert [rate for _, rate in columns.funding.settlements(0, 1 << 60)] == [Decimal("-0.00012345")]


def test_tickers_alone_are_the_ticks(database: DatabaseFactory) -> None:
    store(database, tickers=[ticker(0, "100.5"), ticker(1, "100.25")])
    columns = DatabaseDataProvider(database).load("ABCUSDT")
    assert [columns.price(n) for n in range(2)] == [Decimal("100.5"), Decimal("100.25")]
    assert columns.tickers is None
    assert "tickers stand for trades" in columns.quality.approximation


def test_the_recorded_instrument_gives_the_tick_size(database: DatabaseFactory) -> None:
    store(database, [trade(0, "100.5")])
    with database.get_session() as session:
        InstrumentRepository(session).upsert(
            [
                InstrumentRecord(
                    symbol="ABCUSDT",
                    base_coin="ABC",
                    quote_coin="USDT",
                    status="Trading",
                    tick_size=Decimal("0.05"),
                    qty_step=Decimal(1),
                    min_qty=Decimal(1),
                    max_qty=Decimal(100),
                    min_notional=Decimal(5),
                    updated_at=START,
                )
            ]
        )
    assert DatabaseDataProvider(database).load("ABCUSDT").tick_size == Decimal("0.05")
    given = DatabaseDataProvider(database, tick_sizes=Decimal("0.1"))
    assert given.load("ABCUSDT").tick_size == Decimal("0.1")


def test_gaps_that_nobody_could_fill_are_told(database: DatabaseFactory) -> None:
    store(database, [trade(n, "100") for n in (0, 60, 120)])
    with database.get_session() as session:
        for n, status in enumerate((GapStatus.MISSING, GapStatus.FILLED, GapStatus.OPEN)):
            MarketGapRepository(session).save(
                CaptureGapRecord(
                    stream=CaptureStream.TRADES,
                    symbol="ABCUSDT",
                    gap_start=START + timedelta(seconds=10 * n),
                    gap_end=START + timedelta(seconds=10 * n + 5),
                    status=status,
                    reason="disconnected",
                    detected_at=START,
                )
            )
    columns = DatabaseDataProvider(database).load("ABCUSDT")
    starts = [moment(gap.from_us) - START for gap in columns.quality.gaps]
    assert starts == [timedelta(0), timedelta(seconds=20)]
    with pytest.raises(ImperfectDataError, match="2 gaps"):
        DatabaseDataProvider(database, strict=True).load("ABCUSDT")


def test_what_is_not_there_is_told_with_what_is(database: DatabaseFactory) -> None:
    store(database, [trade(0, "100"), trade(5, "101")], [ticker(1, "100")])
    provider = DatabaseDataProvider(database)
    assert provider.symbols() == ["ABCUSDT"]
    with pytest.raises(UnknownSymbolError, match="no such symbol in the database; there is ABC"):
        provider.load("XYZUSDT")
    with pytest.raises(
        NoDataError, match="trades from 2026-01-05 00:00:00 to 2026-01-05 00:00:05 and tickers from"
    ):
        provider.load("ABCUSDT", "2027-01-01")
    assert len(provider.load("ABCUSDT", "2026-01-05T00:00:01", "2026-01-05T00:00:06")) == 1


def test_a_recording_gives_the_same_run_as_the_ticks_it_was_made_of(
    database: DatabaseFactory,
) -> None:
    walk = RandomWalk(symbol="ABCUSDT", trades_per_s=0.2, volatility=1.5).generate(1_500, 3)
    records = [
        PublicTradeRecord(
            symbol="ABCUSDT",
            trade_id=str(row),
            exchange_ts=moment(int(walk.ts_us[row])),
            side=SideType.BUY if walk.side[row] == TAKER_BUY else SideType.SELL,
            price=walk.price(row),
            size=walk.qty(row),
        )
        for row in range(len(walk))
    ]
    store(database, records)
    recorded = DatabaseDataProvider(database).load("ABCUSDT")
    assert np.array_equal(recorded.ts_us, walk.ts_us)
    config = BacktestConfig.model_validate(
        {"strategies": [{"grid_count": 20, "grid_step": 0.1, "amount": "b0.01"}]}
    )
    played = BacktestEngine(config, database).run("ABCUSDT")
    direct = BacktestEngine(config).run_columns(walk)
    assert direct.trades
    assert played.trades == direct.trades
    assert played.metrics == direct.metrics
