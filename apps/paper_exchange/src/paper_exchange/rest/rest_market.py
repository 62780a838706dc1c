"""Public endpoints: /v5/market/*."""

from __future__ import annotations

from exchange_model.rules.codes import parameter_error
from gridcore import SideType
from paper_exchange.basics.cursors import page
from paper_exchange.basics.wire import Row
from paper_exchange.market.candles import INTERVALS
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import Market
from paper_exchange.market.market_rows import candle_row, level_rows, rest_ticker_row, trade_row
from paper_exchange.rest.calls import Answer, Call, Route

CATEGORY = "linear"
EMPTY_CATEGORIES = ("spot", "inverse", "option")


def server_time(call: Call) -> Answer:
    """GET /v5/market/time: the clock that signatures are checked against."""
    now = call.server_ms
    return Answer({"timeSecond": str(now // 1000), "timeNano": f"{now}000000"})


def _other_category(call: Call) -> str | None:
    """Return a category that exists, but of which nothing is listed here; None for linear.

    Clients load the markets of all categories when they start. Raises RefusalError.
    """
    category = call.text("category")
    if category in EMPTY_CATEGORIES:
        return category
    call.require_linear()
    return None


def instruments_info(call: Call) -> Answer:
    """GET /v5/market/instruments-info: what is Trading, or in the state that is asked for."""
    other = _other_category(call)
    if other is not None:
        return Answer({"category": other, "list": [], "nextPageCursor": ""})
    status = call.text("status") or ContractStatus.TRADING.value
    if status not in [one.value for one in ContractStatus]:
        raise parameter_error(f"status {status[:20]!r}; it is one of {', '.join(ContractStatus)}")
    base = call.text("baseCoin")
    symbol = call.text("symbol")
    markets = [call.exchange.market(symbol)] if symbol else list(call.exchange.markets.values())
    rows = []
    for number, market in enumerate(markets, 1):
        row = market.listing.row
        if row["status"] == status and (not base or row["baseCoin"] == base):
            rows.append((number, row))
    found, cursor = call.listed(rows, lambda row: row, call.limit(500, 1000), call.after())
    return Answer({"category": CATEGORY, "list": found, "nextPageCursor": cursor})


def tickers(call: Call) -> Answer:
    """GET /v5/market/tickers: what trades; by symbol also what does not, until it is Closed."""
    other = _other_category(call)
    if other is not None:
        return Answer({"category": other, "list": []})
    symbol = call.text("symbol")
    if symbol and call.exchange.market(symbol).status == ContractStatus.CLOSED:
        raise parameter_error(f"symbol invalid {symbol}")
    markets = [call.exchange.market(one) for one in call.symbols(required=False)]
    rows = [
        rest_ticker_row(market, call.now_ms)
        for market in markets
        if symbol or market.status == ContractStatus.TRADING
    ]
    return Answer({"category": CATEGORY, "list": rows})


def kline(call: Call) -> Answer:
    """GET /v5/market/kline, newest first."""
    market, rows = _candles(call)
    return Answer({"symbol": market.symbol, "category": CATEGORY, "list": rows})


def mark_kline(call: Call) -> Answer:
    """GET /v5/market/mark-price-kline: made of last prices, without volume."""
    market, rows = _candles(call)
    return Answer({"symbol": market.symbol, "category": CATEGORY, "list": [r[:5] for r in rows]})


def _candles(call: Call) -> tuple[Market, list[list[str]]]:
    if call.text("category"):
        call.require_linear()
    market, interval = call.market(), call.text("interval")
    if interval not in INTERVALS:
        raise parameter_error(f"interval {interval[:10]!r}; it is one of {', '.join(INTERVALS)}")
    limit = call.limit(200, 1000)
    start = call.whole("start", 0, 0, 10**15)
    end = call.whole("end", 10**15, 0, 10**15)
    rows: list[list[str]] = []
    for candle in market.candles.newest_first(interval):
        if candle.start_ms < start or len(rows) == limit:
            break
        if candle.start_ms <= end:
            rows.append(candle_row(market, candle))
    return market, rows


def orderbook(call: Call) -> Answer:
    """GET /v5/market/orderbook."""
    call.require_linear()
    market, limit = call.market(), call.limit(25, 1000)
    return Answer(
        {
            "s": market.symbol,
            "b": level_rows(market, market.quotes.levels(SideType.BUY, limit)),
            "a": level_rows(market, market.quotes.levels(SideType.SELL, limit)),
            "ts": call.now_ms,
            "u": market.updates,
            "seq": market.seq,
            "cts": market.ts_ms,
        }
    )


def recent_trade(call: Call) -> Answer:
    """GET /v5/market/recent-trade, newest first."""
    call.require_linear()
    market, limit = call.market(), call.limit(500, 1000)
    rows = [trade_row(market, trade) for trade in list(market.trades)[: -limit - 1 : -1]]
    return Answer({"category": CATEGORY, "list": rows})


def funding_history(call: Call) -> Answer:
    """GET /v5/market/funding/history, newest first."""
    call.require_linear()
    market, limit = call.market(), call.limit(200, 200)
    if call.text("startTime") and not call.text("endTime"):
        raise parameter_error("startTime needs endTime")
    start = call.whole("startTime", 0, 0, 10**15)
    end = call.whole("endTime", 10**15, 0, 10**15)
    rows: list[Row] = [
        {
            "symbol": market.symbol,
            "fundingRate": rate,
            "fundingRateTimestamp": str(ts_ms),
        }
        for ts_ms, rate in reversed(market.settled)
        if start <= ts_ms <= end
    ]
    return Answer({"category": CATEGORY, "list": rows[:limit]})


def risk_limit(call: Call) -> Answer:
    """GET /v5/market/risk-limit: fifteen symbols a page, one when a symbol is given."""
    call.require_linear()
    symbols = call.symbols(required=False)
    numbered = list(enumerate(symbols, 1))
    found, cursor = page(numbered, 15, call.after())
    rows = [
        row
        for symbol in found
        for row in call.exchange.market(symbol).listing.risk_rows
        if call.hides is None or not call.hides(row)
    ]
    return Answer({"category": CATEGORY, "list": rows, "nextPageCursor": cursor})


def price_limit(call: Call) -> Answer:
    """GET /v5/market/price-limit."""
    market = call.market()
    limits = market.price_limits()
    highest, lowest = (
        ("", "")
        if limits is None
        else (market.listing.price_text(market.price(ticks)) for ticks in limits)
    )
    return Answer(
        {"symbol": market.symbol, "buyLmt": highest, "sellLmt": lowest, "ts": str(call.now_ms)}
    )


def routes() -> list[Route]:
    """Return the endpoints of this module."""
    table = {
        "time": server_time,
        "instruments-info": instruments_info,
        "tickers": tickers,
        "kline": kline,
        "mark-price-kline": mark_kline,
        "orderbook": orderbook,
        "recent-trade": recent_trade,
        "funding/history": funding_history,
        "risk-limit": risk_limit,
        "price-limit": price_limit,
    }
    return [
        Route("GET", f"/v5/market/{name}", handler, signed=False, limit=None)
        for name, handler in table.items()
    ]
