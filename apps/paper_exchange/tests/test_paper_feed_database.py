"""Recorded rows come out of both databases exactly as they were stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from grid_db import (
    DatabaseFactory,
    PublicTradeRecord,
    PublicTradeRepository,
    TickerSnapshotRecord,
    TickerSnapshotRepository,
)
from gridcore import InstrumentInfo, SideType
from market_data.basics.data_errors import NoDataError, UnknownSymbolError, WrongRangeError
from paper_exchange.feeds import DatabaseFeed
from paper_exchange.feeds import database as paging
from paper_exchange.market.market import FeedQuote, FeedTrade

pytestmark = pytest.mark.integration
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
FIRST_MS = int(FIRST.timestamp()) * 1_000
START_MS = 1_800_000_000_000


def instrument(symbol: str = "ABCUSDT", tick: str = "0.05") -> InstrumentInfo:
    return InstrumentInfo(
        symbol=symbol,
        tick_size=Decimal(tick),
        qty_step=Decimal(1),
        min_qty=Decimal(1),
        min_notional=Decimal(5),
        max_qty=Decimal(1_000),
    )


def trade(us: int, price: str, n: int = 0, side: SideType = SideType.SELL) -> PublicTradeRecord:
    return PublicTradeRecord(
        symbol="ABCUSDT",
        trade_id=f"t{us}-{n}",
        exchange_ts=FIRST + timedelta(microseconds=us),
        side=side,
        price=Decimal(price),
        size=Decimal("0.125"),
    )


def ticker(us: int, price: str, **more: str) -> TickerSnapshotRecord:
    return TickerSnapshotRecord(
        symbol="ABCUSDT",
        exchange_ts=FIRST + timedelta(microseconds=us),
        last_price=Decimal(price),
        **{name: Decimal(value) for name, value in more.items()},  # type: ignore[arg-type]  # decimals only
    )


def store(
    factory: DatabaseFactory,
    trades: Sequence[PublicTradeRecord] = (),
    tickers: Sequence[TickerSnapshotRecord] = (),
) -> None:
    with factory.get_session() as session:
        PublicTradeRepository(session).bulk_insert(trades)
        TickerSnapshotRepository(session).bulk_insert(tickers)


def test_rows_come_out_exactly(database: DatabaseFactory) -> None:
    whole = {
        "mark_price": "100.1234", "index_price": "100.4321", "bid1_price": "100.45",
        "ask1_price": "100.55", "bid1_size": "7.5", "ask1_size": "0.25",
        "funding_rate": "-0.000123",
    }  # fmt: skip
    store(
        database,
        [trade(1_999, "100.5"), trade(5_000, "100.25", side=SideType.BUY)],
        [ticker(5_000, "100.25"), ticker(3_000, "100.5", **whole)],
    )
    expected = [
        FeedTrade(
            symbol="ABCUSDT", ts_ms=1, price=Decimal("100.5"), qty=Decimal("0.125"),
            side=SideType.SELL, trade_id="t1999-0",
        ),
        FeedQuote(
            symbol="ABCUSDT", ts_ms=3, last_price=Decimal("100.5"),
            **{name: Decimal(value) for name, value in whole.items()},
        ),
        FeedTrade(
            symbol="ABCUSDT", ts_ms=5, price=Decimal("100.25"), qty=Decimal("0.125"),
            side=SideType.BUY, trade_id="t5000-0",
        ),
        FeedQuote(symbol="ABCUSDT", ts_ms=5, last_price=Decimal("100.25")),
    ]  # fmt: skip
    for keep_times, offset_ms in ((True, FIRST_MS), (False, START_MS - 1)):
        feed = DatabaseFeed(database, "ABCUSDT", instrument(), keep_times=keep_times)
        events = list(feed.events(START_MS))
        assert [e.ts_ms - offset_ms for e in events] == [e.ts_ms for e in expected]
        assert [str(e).split("ts_ms")[1].split(",", 1)[1] for e in events] == [
            str(e).split("ts_ms")[1].split(",", 1)[1] for e in expected
        ]


@pytest.mark.parametrize(("page", "scale"), [(1, 1), (3, 1), (3, 10**10), (50, 10**7)])
def test_pages_lose_and_repeat_nothing(
    database: DatabaseFactory, monkeypatch: pytest.MonkeyPatch, page: int, scale: int
) -> None:
    monkeypatch.setattr(paging, "PAGE_ROWS", page)
    moments = [0, 0, 0, 1, 1, 5, 6, 6, 6, 6, 6, 9]
    store(
        database,
        [trade(us * scale, f"{100 + n}", n) for n, us in enumerate(moments)],
        [ticker(us * scale, "100") for us in (2, 3, 6, 8)],
    )
    events = list(DatabaseFeed(database, "ABCUSDT", instrument()).events(0))
    prices = [int(e.price) - 100 for e in events if isinstance(e, FeedTrade)]
    assert prices == list(range(12))
    kinds = "".join("t" if isinstance(e, FeedTrade) else "q" for e in events)
    assert kinds == "tttttqqttttttqqt"


def test_a_slow_player_holds_no_transaction(database: DatabaseFactory) -> None:
    store(database, [trade(n, "100", n) for n in range(3)])
    events = DatabaseFeed(database, "ABCUSDT", instrument()).events(0)
    next(events)
    with database.get_session() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            session.execute(text("LOCK TABLE public_trades IN ACCESS EXCLUSIVE MODE"))
    store(database, [trade(n, "100", n) for n in range(3, 6)])
    assert len(list(events)) == 2  # the page was read before


def test_a_range_is_cut_and_prices_are_rounded(database: DatabaseFactory) -> None:
    second = 1_000_000
    store(
        database,
        [trade(n * second, f"100.{n}3", n) for n in range(6)],
        [ticker(n * second + 1, f"0.0{n}1") for n in range(6)],
    )
    feed = DatabaseFeed(
        database, "ABCUSDT", instrument(tick="0.1"), FIRST + timedelta(seconds=2),
        "2026-01-05T00:00:04",
    )  # fmt: skip
    events = list(feed.events(START_MS))
    assert [e.ts_ms - START_MS for e in events] == [0, 0, 1_000, 1_000]
    assert [e.price for e in events if isinstance(e, FeedTrade)] == [
        Decimal("100.2"),
        Decimal("100.3"),
    ]
    quoted = [e.last_price for e in events if isinstance(e, FeedQuote)]
    assert quoted == [Decimal("0.1"), Decimal("0.1")]  # one tick is the least


def test_tickers_alone_are_a_market(database: DatabaseFactory) -> None:
    store(database, tickers=[ticker(0, "100"), ticker(2_000, "101")])
    events = list(DatabaseFeed(database, "ABCUSDT", instrument()).events(START_MS))
    assert [(e.ts_ms - START_MS, e.last_price) for e in events if isinstance(e, FeedQuote)] == [
        (0, 100),
        (2, 101),
    ]


def test_wrong_input_is_named(database: DatabaseFactory) -> None:
    store(database, [trade(0, "100")])
    with pytest.raises(UnknownSymbolError, match="XYZUSDT: no such symbol in the database"):
        DatabaseFeed(database, "XYZUSDT", instrument("XYZUSDT"))
    with pytest.raises(ValueError, match=r"^XYZUSDT: the rules given are those of ABCUSDT"):
        DatabaseFeed(database, "XYZUSDT", instrument())
    with pytest.raises(NoDataError, match="ABCUSDT: neither trades nor tickers were recorded from"):
        DatabaseFeed(database, "ABCUSDT", instrument(), "2027-01-01")
    with pytest.raises(WrongRangeError, match="is not before end"):
        DatabaseFeed(database, "ABCUSDT", instrument(), "2027-01-01", "2026-01-01")
