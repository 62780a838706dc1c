"""Markets as rows of the wire. Source: docs/exchange.md, "Market data" and "Public topics"."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from gridcore import SideType
from paper_exchange.basics.wire import Row, plain
from paper_exchange.market.candles import Candle
from paper_exchange.market.market import Market, PublicTrade

RATIO = Decimal("1E-6")


def ticker_row(market: Market, now_ms: int) -> Row:
    """Return the ticker with all its fields. Prices that are not known are empty."""
    price = market.listing.price_text
    last = market.last_ticks
    day, hour_ago = market.candles.day(now_ms)
    mark = market.mark
    last_text = "" if last is None else price(market.price(last))
    opened = last_text if day is None else price(market.price(day.open))
    change = Decimal(0)
    if day is not None and last is not None and day.open:
        change = (Decimal(last - day.open) / day.open).quantize(RATIO)
    hours = market.listing.funding_interval_min / 60
    bid, ask = market.quotes.bid_ticks, market.quotes.ask_ticks
    qty = market.listing.qty_text
    return {
        "symbol": market.symbol,
        "tickDirection": market.tick_direction,
        "price24hPcnt": plain(change),
        "lastPrice": last_text,
        "prevPrice24h": opened,
        "highPrice24h": last_text if day is None else price(market.price(day.high)),
        "lowPrice24h": last_text if day is None else price(market.price(day.low)),
        "prevPrice1h": opened if hour_ago is None else price(market.price(hour_ago)),
        "markPrice": "" if mark is None else mark_text(market, mark),
        "indexPrice": "" if market.index is None else mark_text(market, market.index),
        "openInterest": "0",
        "openInterestValue": "0",
        "singleOpenInterest": "0",
        "singleOpenInterestValue": "0",
        "turnover24h": "0" if day is None else plain(day.turnover),
        "volume24h": "0" if day is None else plain(day.volume),
        "fundingIntervalHour": f"{hours:g}",
        "fundingCap": plain(market.listing.funding_cap),
        "nextFundingTime": str(market.next_funding_ms or 0),
        "fundingRate": plain(market.funding_rate),
        "bid1Price": "" if bid is None else price(market.price(bid)),
        "bid1Size": "" if bid is None else qty(market.quotes.best_size(SideType.BUY)),
        "ask1Price": "" if ask is None else price(market.price(ask)),
        "ask1Size": "" if ask is None else qty(market.quotes.best_size(SideType.SELL)),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def rest_ticker_row(market: Market, now_ms: int) -> Row:
    """Return the ticker as market/tickers shows it."""
    row = ticker_row(market, now_ms)
    del row["tickDirection"]
    row |= {
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": str(market.listing.delivery_ms),
        "basis": "",
    }
    return row


def mark_text(market: Market, price: Decimal) -> str:
    """Return a mark or index price, with at least the places of the tick."""
    if price % market.listing.instrument.tick_size:
        return plain(price)
    return market.listing.price_text(price)


def candle_row(market: Market, candle: Candle) -> list[str]:
    """Return a candle as market/kline shows it."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [
        str(candle.start_ms),
        *(market.listing.price_text(market.price(ticks)) for ticks in prices),
        plain(candle.volume),
        plain(candle.turnover),
    ]


def candle_frame_row(
    market: Market, candle: Candle, interval: str, end_ms: int, now_ms: int
) -> Row:
    """Return a candle as the `kline` topic shows it; `end_ms` is exclusive."""
    return {
        "start": candle.start_ms,
        "end": end_ms - 1,
        "interval": interval,
        "open": plain(market.price(candle.open)),
        "close": plain(market.price(candle.close)),
        "high": plain(market.price(candle.high)),
        "low": plain(market.price(candle.low)),
        "volume": plain(candle.volume),
        "turnover": plain(candle.turnover),
        "confirm": now_ms >= end_ms,
        "timestamp": now_ms,
    }


@lru_cache(maxsize=100_000)
def _level_price(ticks: int, tick_size: Decimal) -> str:
    return f"{(tick_size * ticks).quantize(tick_size):f}"


def level_rows(market: Market, levels: Iterable[tuple[int, Decimal]]) -> list[list[str]]:
    """Return levels of the book as [price, size] pairs."""
    tick, qty = market.listing.instrument.tick_size, market.listing.qty_text
    return [[_level_price(ticks, tick), qty(size)] for ticks, size in levels]


def trade_frame_row(market: Market, trade: PublicTrade) -> Row:
    """Return a trade as the `publicTrade` topic shows it."""
    return {
        "T": trade.ts_ms,
        "s": market.symbol,
        "S": trade.side.value,
        "v": market.listing.qty_text(trade.qty),
        "p": market.listing.price_text(market.price(trade.ticks)),
        "L": trade.tick_direction,
        "i": trade.trade_id,
        "BT": False,
        "RPI": False,
        "seq": trade.seq,
    }


def trade_row(market: Market, trade: PublicTrade) -> Row:
    """Return a trade as market/recent-trade shows it."""
    return {
        "execId": trade.trade_id,
        "symbol": market.symbol,
        "price": market.listing.price_text(market.price(trade.ticks)),
        "size": market.listing.qty_text(trade.qty),
        "side": trade.side.value,
        "time": str(trade.ts_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade.seq),
    }
