"""What happens on a market: trades, candles, funding; and the exchange's clock.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.basics.row import Row, time_of_ms
from bybit_adapter.records.tags import NO_TAGS, Tags
from gridcore import PublicTradeEvent, SideType

_DECEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade of the market; side is the taker's, size in base coin."""

    symbol: str
    time: datetime
    trade_id: str
    side: SideType
    price: Decimal
    size: Decimal
    is_block_trade: bool | None
    is_rpi: bool | None  # against a retail price improvement order
    seq: int | None

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> PublicTradeEvent:
        """Return the strategy's event."""
        return PublicTradeEvent(
            symbol=self.symbol,
            exchange_ts=self.time,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            trade_id=self.trade_id,
            side=self.side,
            price=self.price,
            size=self.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kline:
    """One candle of last prices from `start` on; volume in base coin, turnover in USDT."""

    symbol: str
    start: datetime
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    volume: Decimal
    turnover: Decimal
    is_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """One settled funding rate per funding interval; positive: long paid short."""

    symbol: str
    time: datetime
    rate: Decimal


def parse_stream_trade(row: Row) -> Trade:
    """Parse one item of a publicTrade frame, whose names are single letters."""
    return Trade(
        symbol=row.text("s"),
        time=row.time("T"),
        trade_id=row.text("i"),
        side=row.side("S"),
        price=row.price("p"),
        size=_above_zero(row, "v"),
        is_block_trade=row.opt_flag("BT"),
        is_rpi=row.opt_flag("RPI"),
        seq=row.opt_integer("seq"),
    )


def parse_rest_trade(row: Row) -> Trade:
    """Parse one row of market/recent-trade."""
    return Trade(
        symbol=row.text("symbol"),
        time=row.time("time"),
        trade_id=row.text("execId"),
        side=row.side("side"),
        price=row.price("price"),
        size=_above_zero(row, "size"),
        is_block_trade=row.opt_flag("isBlockTrade"),
        is_rpi=row.opt_flag("isRPITrade"),
        seq=row.opt_integer("seq"),
    )


def _above_zero(row: Row, name: str) -> Decimal:
    size = row.size(name)
    if not size:
        raise row.bad(name, "it is 0; a trade has a size")
    return size


def parse_kline(topic: str, item: object, symbol: str, interval: str, now: datetime) -> Kline:
    """Parse one candle, a list of seven texts; `now` decides whether it is closed."""
    names = ("start", "open", "high", "low", "close", "volume", "turnover")
    if not isinstance(item, list) or len(item) < len(names):
        raise MalformedFrame(topic, "list", f"a candle has {len(names)} values, not {item!r:.80}")
    row = Row(topic, dict(zip(names, item, strict=False)))
    start = row.time("start")
    return Kline(
        symbol=symbol,
        start=start,
        open_price=row.price("open"),
        high_price=row.price("high"),
        low_price=row.price("low"),
        close_price=row.price("close"),
        volume=row.size("volume"),
        turnover=row.size("turnover"),
        is_closed=_end_of_candle(start, interval) <= now,
    )


def _end_of_candle(start: datetime, interval: str) -> datetime:
    if interval == "M":
        year, month = divmod(start.year * _DECEMBER + start.month, _DECEMBER)
        return datetime(year, month + 1, 1, tzinfo=UTC)
    minutes = {"D": 1440, "W": 10080}.get(interval) or int(interval)
    return start + timedelta(minutes=minutes)


def parse_funding_rate(row: Row) -> FundingRate:
    """Parse one row of market/funding/history."""
    return FundingRate(
        symbol=row.text("symbol"),
        time=row.time("fundingRateTimestamp"),
        rate=row.number("fundingRate"),
    )


def parse_server_time(row: Row) -> datetime:
    """Parse the result of market/time, to the microsecond."""
    nano = row.opt_text("timeNano")
    if nano is None:
        return time_of_ms(row.integer("timeSecond") * 1000)
    if not nano.isdigit() or not 16 <= len(nano) <= 19:
        raise row.bad("timeNano", f"{nano!r} is no time in ns since 1970")
    return time_of_ms(0) + timedelta(microseconds=int(nano) // 1000)
