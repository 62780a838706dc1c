"""Rows of market data, as REST and the public stream give them, parsed into records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.basics.row import Row, time_of_ms
from bybit_adapter.records.market import (
    FundingRate,
    Instrument,
    Kline,
    RiskTier,
    Ticker,
    Trade,
)
from gridcore import InstrumentInfo, InvalidInstrumentError

_DECEMBER = 12
_PERCENT = Decimal(100)


def parse_ticker(row: Row, time: datetime) -> Ticker:
    """Parse the full state of one market at `time`; REST and stream use the same names."""
    return Ticker(
        symbol=row.text("symbol"),
        time=time,
        last_price=row.opt_price("lastPrice"),
        mark_price=row.opt_price("markPrice"),
        index_price=row.opt_price("indexPrice"),
        bid1_price=row.opt_price("bid1Price"),
        bid1_size=row.opt_size("bid1Size"),
        ask1_price=row.opt_price("ask1Price"),
        ask1_size=row.opt_size("ask1Size"),
        funding_rate=row.opt_number("fundingRate"),
        next_funding_time=row.opt_time("nextFundingTime"),
        open_interest=row.opt_size("openInterest"),
        volume_24h=row.opt_size("volume24h"),
        turnover_24h=row.opt_size("turnover24h"),
    )


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


def parse_instrument(row: Row) -> Instrument:
    """Parse one row of market/instruments-info."""
    prices, lots, leverage = (
        row.child(name) for name in ("priceFilter", "lotSizeFilter", "leverageFilter")
    )
    try:
        rules = InstrumentInfo(
            symbol=row.text("symbol"),
            tick_size=prices.price("tickSize"),
            qty_step=lots.price("qtyStep"),
            min_qty=lots.price("minOrderQty"),
            # A contract without a least notional leaves it empty.
            min_notional=lots.opt_size("minNotionalValue") or Decimal(0),
            max_qty=lots.price("maxOrderQty"),
        )
    except InvalidInstrumentError as error:
        raise row.bad("lotSizeFilter", str(error)) from error
    return Instrument(
        rules=rules,
        status=row.text("status"),
        delivery_time=_delivery(row),
        contract_type=row.text("contractType"),
        base_coin=row.text("baseCoin"),
        quote_coin=row.text("quoteCoin"),
        settle_coin=row.text("settleCoin"),
        min_price=prices.opt_price("minPrice"),
        max_price=prices.opt_price("maxPrice"),
        max_leverage=leverage.opt_price("maxLeverage"),
        max_market_qty=lots.opt_price("maxMktOrderQty"),
        funding_interval_min=row.opt_integer("fundingInterval"),
        raw_json=row.raw_json(),
    )


def _delivery(row: Row) -> datetime | None:
    """Return when the contract ends; a perpetual one that goes on says 0."""
    return row.time("deliveryTime") if row.opt_text("deliveryTime", "0") is not None else None


def parse_risk_tier(row: Row) -> RiskTier:
    """Parse one row of market/risk-limit.

    Some answers give the ratios as percents: the product of initial margin and leverage, which
    is 1 for fractions, tells which.
    """
    initial, leverage = row.price("initialMargin"), row.price("maxLeverage")
    product = initial * leverage
    if Decimal("0.5") < product < 2:
        unit = Decimal(1)
    elif Decimal(50) < product < 200:
        unit = _PERCENT
    else:
        raise row.bad("initialMargin", f"{initial} does not belong to leverage {leverage}")
    return RiskTier(
        symbol=row.text("symbol"),
        risk_id=row.integer("id"),
        limit=row.price("riskLimitValue"),
        maintenance_ratio=row.price("maintenanceMargin") / unit,
        initial_ratio=initial / unit,
        max_leverage=leverage,
        # The lowest tier leaves it empty, and deducts nothing.
        deduction=row.opt_size("mmDeduction") or Decimal(0),
    )


def parse_server_time(row: Row) -> datetime:
    """Parse the result of market/time, to the microsecond."""
    nano = row.opt_text("timeNano")
    if nano is None:
        return time_of_ms(row.integer("timeSecond") * 1000)
    if not nano.isdigit() or not 16 <= len(nano) <= 19:
        raise row.bad("timeNano", f"{nano!r} is no time in ns since 1970")
    return time_of_ms(0) + timedelta(microseconds=int(nano) // 1000)
