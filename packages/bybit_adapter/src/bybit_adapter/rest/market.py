"""Market data over REST. No keys needed."""

from __future__ import annotations

from datetime import datetime, timedelta

from bybit_adapter.basics.errors import OrderRejected, SettingRefused
from bybit_adapter.basics.row import ms_of_time
from bybit_adapter.http import endpoints
from bybit_adapter.http.wire import Wire
from bybit_adapter.records.instrument import Instrument, RiskTier, parse_instrument, parse_risk_tier
from bybit_adapter.records.market import (
    FundingRate,
    Kline,
    Trade,
    parse_funding_rate,
    parse_kline,
    parse_rest_trade,
    parse_server_time,
)
from bybit_adapter.records.normalizer import CATEGORY
from bybit_adapter.records.ticker import Ticker, parse_ticker

KLINE_INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")

OTHER_STATUSES = ("Delivering", "Closed", "PreLaunch")

_FUNDING_PAGE = 200
_MILLISECOND = timedelta(milliseconds=1)


class MarketCalls:
    """The market part of the REST client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get_server_time(self) -> datetime:
        """Return the exchange's clock (UTC)."""
        return self._wire.query(
            endpoints.SERVER_TIME, {}, lambda answer: parse_server_time(answer.result)
        )

    def get_instrument(self, symbol: str) -> Instrument:
        """Return one contract's rules, whatever its status.

        Raises SettingRefused when the exchange does not know it.
        """
        # by default the exchange lists what is traded and nothing else; it is asked for again at
        # the end, as a contract may begin to be traded between two of these questions
        for status in (None, *OTHER_STATUSES, None):
            try:
                listing = self._wire.pages(
                    endpoints.INSTRUMENTS,
                    {"category": CATEGORY, "symbol": symbol, "status": status},
                    lambda row, _: parse_instrument(row),
                    max_pages=1,
                )
            except OrderRejected as error:  # 10001: it may refuse a name or list nothing
                raise _unlisted(symbol, error.message) from error
            for instrument in listing:
                if instrument.symbol == symbol:
                    return instrument
        raise _unlisted(symbol, "no such contract")

    def get_tickers(self, symbol: str | None = None) -> list[Ticker]:
        """Return the state of one market, or of all."""
        params = {"category": CATEGORY, "symbol": symbol}
        page, _, _ = self._wire.page(endpoints.TICKERS, params, parse_ticker, None)
        return page

    def get_recent_trades(self, symbol: str, limit: int = 1000) -> list[Trade]:
        """Return up to 1,000 of the newest trades, oldest first."""
        params = {"category": CATEGORY, "symbol": symbol, "limit": limit}
        page, _, _ = self._wire.page(
            endpoints.RECENT_TRADES, params, lambda row, _: parse_rest_trade(row), None
        )
        # Bybit lists the newest first; trades of one moment keep that order, turned round.
        oldest_first = page[::-1]
        return sorted(oldest_first, key=lambda trade: trade.time)

    def get_klines(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 1000,
    ) -> list[Kline]:
        """Return up to 1,000 candles, oldest first; interval is one of KLINE_INTERVALS.

        With start and end the newest of the range; the last may still be forming (is_closed).
        """
        if interval not in KLINE_INTERVALS:
            raise ValueError(f"interval {interval!r}; take one of {', '.join(KLINE_INTERVALS)}")
        params = {
            "category": CATEGORY,
            "symbol": symbol,
            "interval": interval,
            "start": _ms(start),
            "end": _ms(end),
            "limit": limit,
        }
        found = self._wire.query(
            endpoints.KLINES,
            params,
            lambda answer: [
                parse_kline(answer.result.topic, item, symbol, interval, answer.time)
                for item in answer.result.items("list")
            ],
        )
        return sorted(found, key=lambda kline: kline.start)

    def get_funding_history(
        self, symbol: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> list[FundingRate]:
        """Return settled rates, oldest first: those of [start, end], or the newest 200."""
        if start is not None and end is None:
            end = self._wire.clock.now()  # Bybit refuses a start alone
        found: dict[datetime, FundingRate] = {}
        while True:
            params = {
                "category": CATEGORY,
                "symbol": symbol,
                "startTime": _ms(start),
                "endTime": _ms(end),
                "limit": _FUNDING_PAGE,
            }
            page, _, _ = self._wire.page(
                endpoints.FUNDING_HISTORY, params, lambda row, _: parse_funding_rate(row), None
            )
            fresh = {rate.time: rate for rate in page if rate.time not in found}
            found |= fresh
            if start is None or len(page) < _FUNDING_PAGE or not fresh or min(fresh) <= start:
                return [found[time] for time in sorted(found)]
            end = min(fresh) - _MILLISECOND

    def get_risk_limit(self, symbol: str) -> list[RiskTier]:
        """Return the risk ladder of one contract, lowest tier first."""
        listing = self._wire.pages(
            endpoints.RISK_LIMIT,
            {"category": CATEGORY, "symbol": symbol},
            lambda row, _: parse_risk_tier(row),
            max_pages=10,
        )
        return sorted(
            (tier for tier in listing if tier.symbol == symbol), key=lambda tier: tier.limit
        )


def _unlisted(symbol: str, problem: str) -> SettingRefused:
    return SettingRefused(
        f"{symbol} is not listed; check the name and the environment ({problem})",
        endpoint=str(endpoints.INSTRUMENTS),
        request={"symbol": symbol},
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else ms_of_time(moment)
