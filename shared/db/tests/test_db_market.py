"""Shared market data: readers in time order, and the reference tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from grid_db import (
    CaptureGapRecord,
    CaptureStream,
    DatabaseFactory,
    FundingRateRecord,
    FundingRateRepository,
    GapStatus,
    InstrumentRecord,
    InstrumentRepository,
    KlineRecord,
    KlineRepository,
    MarketGapRepository,
    PublicTradeRecord,
    PublicTradeRepository,
    RiskLimitTierRecord,
    RiskLimitTierRepository,
    TickerSnapshotRecord,
    TickerSnapshotRepository,
)
from grid_db.columns import parse_decimals
from grid_db.enums import PriceKind
from grid_db.errors import InvalidValueError
from gridcore import SideType
from testkit.tenants import Tenant

START = datetime(2026, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)


def trade(n: int, **changes: object) -> PublicTradeRecord:
    record = PublicTradeRecord(
        symbol="BTCUSDT",
        trade_id=f"t{n}",
        exchange_ts=START + timedelta(seconds=n // 3),  # three trades a moment
        side=SideType.BUY if n % 2 else SideType.SELL,
        price=Decimal(60_000) + Decimal(n) / 10,
        size=Decimal(n + 1) / 1000,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def ticker(n: int, **changes: object) -> TickerSnapshotRecord:
    record = TickerSnapshotRecord(
        symbol="BTCUSDT", exchange_ts=START + n * US, last_price=Decimal(n + 1)
    )
    return replace(record, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk_rows", [1, 999, 2_000, 100_000])
def test_columns_records_and_events_tell_the_same(
    database: DatabaseFactory, chunk_rows: int
) -> None:
    trades = [trade(n) for n in range(4_500)]
    with database.get_session() as session:
        repository = PublicTradeRepository(session)
        assert repository.bulk_insert(reversed(trades)) == 4_500
        assert repository.bulk_insert(trades[:100]) == 0
    with database.get_session() as session:
        repository = PublicTradeRepository(session)
        records = list(repository.iterate("BTCUSDT"))
        chunks = list(repository.iterate_columns("BTCUSDT", chunk_rows=chunk_rows))
        events = list(repository.iterate_events("BTCUSDT"))
    assert sorted(r.trade_id for r in records) == sorted(t.trade_id for t in trades)
    times = [record.exchange_ts for record in records]
    assert times == sorted(times)
    assert [e.trade_id for e in events] == [r.trade_id for r in records]
    assert [e.price for e in events] == [r.price for r in records]
    read = [
        (START + (us - chunks[0].exchange_ts_us[0]) * US, price, size, bool(buy))
        for chunk in chunks
        for us, price, size, buy in zip(
            chunk.exchange_ts_us.tolist(),
            chunk.price.to_decimals(),
            chunk.size.to_decimals(),
            chunk.is_buy,
            strict=True,
        )
    ]
    assert read == [(r.exchange_ts, r.price, r.size, r.side is SideType.BUY) for r in records]


def test_ranges_include_their_start_and_exclude_their_end(database: DatabaseFactory) -> None:
    with database.get_session() as session:
        PublicTradeRepository(session).bulk_insert(trade(n) for n in range(9))
        PublicTradeRepository(session).bulk_insert([trade(0, symbol="ETHUSDT")])
    with database.get_session() as session:
        repository = PublicTradeRepository(session)
        start, end = START + timedelta(seconds=1), START + timedelta(seconds=2)
        ids = {record.trade_id for record in repository.iterate("BTCUSDT", start, end)}
        assert ids == {"t3", "t4", "t5"}
        assert len(repository.read_columns("BTCUSDT", start, end)) == 3
        assert repository.count("BTCUSDT", start) == 6
        assert repository.count("BTCUSDT", None, end) == 6
        assert repository.count("BTCUSDT", end, start) == 0
        assert len(repository.read_columns("BTCUSDT", end, start)) == 0
        assert list(repository.iterate("NONE")) == []
        assert repository.get_last_trade_ts("BTCUSDT") == end
        assert repository.get_last_trade_ts("NONE") is None
        assert repository.get_range("NONE") is None
        span = repository.get_range("BTCUSDT")
        assert span is not None
        assert (span.first, span.last) == (START, end)
        assert repository.get_symbols() == ["BTCUSDT", "ETHUSDT"]
        assert repository.exists_by_trade_id("ETHUSDT", "t0")
        assert not repository.exists_by_trade_id("ETHUSDT", "t1")


def test_tickers_keep_what_was_not_said_as_not_said(database: DatabaseFactory) -> None:
    tickers = [
        ticker(0, mark_price=Decimal("0.1"), funding_rate=Decimal("-0.00012345")),
        ticker(1, bid1_price=Decimal("1E-8"), ask1_price=Decimal(10**14)),
        ticker(2),
    ]
    with database.get_session() as session:
        assert TickerSnapshotRepository(session).bulk_insert([*tickers, ticker(2)]) == 3
    with database.get_session() as session:
        repository = TickerSnapshotRepository(session)
        assert list(repository.iterate("BTCUSDT")) == tickers
        columns = repository.read_columns("BTCUSDT")
        events = list(repository.iterate_events("BTCUSDT"))
        assert repository.get_last_ticker_ts("BTCUSDT") == START + 2 * US
    assert columns.mark_price.to_decimals() == [Decimal("0.1"), None, None]
    assert columns.bid1_price.to_decimals() == [None, Decimal("1E-8"), None]
    assert columns.ask1_price.to_decimals() == [None, Decimal(10**14), None]
    assert [event.funding_rate for event in events] == [Decimal("-0.00012345"), None, None]
    with pytest.raises(InvalidValueError):
        columns.mark_price.in_steps(Decimal("0.1"))


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "2"],
        ["0.1", None, "12345678901234567890.12345"],
        ["-0.00000001", "100000"],
        ["0", "0.000"],
        [None],
        [],
    ],
)
def test_decimal_columns_lose_nothing(texts: list[str | None]) -> None:
    column = parse_decimals(texts)
    assert len(column) == len(texts)
    assert column.to_decimals() == [None if t is None else Decimal(t) for t in texts]


def test_steps_of_a_column() -> None:
    column = parse_decimals(["0.5", "1.25", "0"])
    assert column.in_steps(Decimal("0.25")).tolist() == [2, 5, 0]
    assert column.in_steps(Decimal("0.25")).dtype == np.int64
    for step in ("0.2", "0", "-1"):
        with pytest.raises(InvalidValueError):
            column.in_steps(Decimal(step))


def test_an_instrument_is_the_one_read_last(database: DatabaseFactory) -> None:
    def rules(tick: str, day: int) -> InstrumentRecord:
        return InstrumentRecord(
            symbol="BTCUSDT",
            base_coin="BTC",
            quote_coin="USDT",
            status="Trading",
            tick_size=Decimal(tick),
            qty_step=Decimal("0.001"),
            min_qty=Decimal("0.001"),
            max_qty=Decimal(100),
            min_notional=Decimal(5),
            updated_at=START + timedelta(days=day),
        )

    with database.get_session() as session:
        repository = InstrumentRepository(session)
        assert repository.get_by_symbol("BTCUSDT") is None
        assert repository.upsert([rules("0.1", 1)]) == 1
        assert repository.upsert([rules("0.5", 2)]) == 0
        assert repository.upsert([rules("0.9", 0)]) == 0
        assert repository.get_by_symbol("BTCUSDT") == rules("0.5", 2)
        assert repository.list_all() == [rules("0.5", 2)]


def test_tiers_are_replaced_as_a_whole(database: DatabaseFactory) -> None:
    def tier(risk_id: int, limit: int, symbol: str = "BTCUSDT") -> RiskLimitTierRecord:
        return RiskLimitTierRecord(
            symbol=symbol,
            risk_id=risk_id,
            risk_limit_value=Decimal(limit),
            maintenance_margin_ratio=Decimal("0.005"),
            initial_margin_ratio=Decimal("0.01"),
            max_leverage=Decimal(100),
            updated_at=START,
        )

    with database.get_session() as session:
        repository = RiskLimitTierRepository(session)
        assert repository.replace("BTCUSDT", [tier(1, 9_000), tier(2, 10_000), tier(3, 200)]) == 3
        limits = [row.risk_limit_value for row in repository.get_by_symbol("BTCUSDT")]
        assert limits == [200, 9_000, 10_000]  # by number, not by text
        assert repository.replace("BTCUSDT", [tier(1, 5)]) == 1
        assert repository.get_by_symbol("BTCUSDT") == [tier(1, 5)]
        assert repository.get_by_symbol("ETHUSDT") == []
        for wrong in ([], [tier(1, 5, "ETHUSDT")]):
            with pytest.raises(InvalidValueError, match="give all tiers of BTCUSDT"):
                repository.replace("BTCUSDT", wrong)


def test_funding_rates(database: DatabaseFactory) -> None:
    def rate(hour: int) -> FundingRateRecord:
        return FundingRateRecord(
            symbol="BTCUSDT",
            funding_ts=START + timedelta(hours=hour),
            funding_rate=Decimal(hour) / 100_000,
        )

    with database.get_session() as session:
        repository = FundingRateRepository(session)
        assert repository.get_last_funding_ts("BTCUSDT") is None
        assert repository.bulk_insert([rate(16), rate(0), rate(8), rate(8)]) == 3
        assert repository.get_by_range("BTCUSDT") == [rate(0), rate(8), rate(16)]
        ends = START + timedelta(hours=8), START + timedelta(hours=16)
        assert repository.get_by_range("BTCUSDT", *ends) == [rate(8)]
        assert repository.get_last_funding_ts("BTCUSDT") == ends[1]


def test_a_closed_bar_stays_as_it_is(database: DatabaseFactory) -> None:
    def bar(close: str, *, is_closed: bool, kind: PriceKind = PriceKind.LAST) -> KlineRecord:
        return KlineRecord(
            symbol="BTCUSDT",
            price_kind=kind,
            interval_s=60,
            open_ts=START,
            open_price=Decimal(1),
            high_price=Decimal(9),
            low_price=Decimal(1),
            close_price=Decimal(close),
            is_closed=is_closed,
        )

    with database.get_session() as session:
        repository = KlineRepository(session)
        assert repository.bulk_upsert([bar("2", is_closed=False)]) == 1
        assert repository.bulk_upsert([bar("3", is_closed=False)]) == 0
        assert list(repository.iterate("BTCUSDT", 60)) == [bar("3", is_closed=False)]
        repository.bulk_upsert([bar("4", is_closed=True)])
        repository.bulk_upsert([bar("5", is_closed=False)])
        assert list(repository.iterate("BTCUSDT", 60)) == [bar("4", is_closed=True)]
        assert repository.bulk_upsert([bar("4", is_closed=True, kind=PriceKind.MARK)]) == 1
        assert len(list(repository.iterate("BTCUSDT", 60, price_kind=PriceKind.MARK))) == 1
        assert list(repository.iterate("BTCUSDT", 60, START + US)) == []
        assert list(repository.iterate("BTCUSDT", 300)) == []


def test_gaps_of_the_market_grow_and_are_followed_up(database: DatabaseFactory) -> None:
    def gap(start: int, end: int, **changes: object) -> CaptureGapRecord:
        record = CaptureGapRecord(
            stream=CaptureStream.TRADES,
            symbol="BTCUSDT",
            gap_start=START + timedelta(seconds=start),
            gap_end=START + timedelta(seconds=end),
            reason="disconnected",
            detected_at=START,
        )
        return replace(record, **changes)  # type: ignore[arg-type]

    with database.get_session() as session:
        gaps = MarketGapRepository(session)
        first = gaps.save(gap(0, 5))
        longer = gaps.save(gap(0, 9))
        assert longer.id == first.id
        assert longer.gap_end == START + timedelta(seconds=9)
        assert gaps.save(gap(0, 3)).gap_end == START + timedelta(seconds=9)
        gaps.save(gap(20, 30, stream=CaptureStream.TICKERS))
        assert len(gaps.find()) == 2
        assert [g.id for g in gaps.find(stream=CaptureStream.TRADES)] == [first.id]
        assert gaps.find(START + timedelta(seconds=10), START + timedelta(seconds=19)) == []
        assert gaps.find(symbol="ETHUSDT") == []
        assert first.id is not None
        assert gaps.attempted(first.id, GapStatus.MISSING, "too old", START)
        (found,) = gaps.find(status=GapStatus.MISSING)
        assert (found.attempts, found.reason, found.last_attempt_at) == (1, "too old", START)
        assert not gaps.attempted(10**6, GapStatus.FILLED, "", START)
        with pytest.raises(InvalidValueError, match=r"TenantScope\.capture_gaps"):
            gaps.save(gap(0, 1, account_id="x"))


def test_market_gaps_and_private_gaps_do_not_meet(database: DatabaseFactory) -> None:
    alice = Tenant(database, "alice")
    alice.fill(database)
    with database.get_session() as session:
        assert MarketGapRepository(session).find() == []
        assert alice.gap_id is not None
        assert not MarketGapRepository(session).attempted(alice.gap_id, GapStatus.FILLED, "", START)
