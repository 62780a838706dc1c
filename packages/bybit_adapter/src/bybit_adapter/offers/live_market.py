"""The public stream as plain values, for whoever runs a market of their own on it.

Offered as the entry point `paper_exchange.live_market`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.environment import Environment
from bybit_adapter.records.market import Trade
from bybit_adapter.records.normalizer import StreamUpdate
from bybit_adapter.records.ticker import Ticker
from bybit_adapter.streams.ws_client import PublicWebSocketClient

QUOTE_FIELDS = (
    "last_price", "mark_price", "index_price", "bid1_price", "ask1_price", "bid1_size",
    "ask1_size", "funding_rate",
)  # fmt: skip
OnTrade = Callable[[str, datetime, Decimal, Decimal, str, str], None]
OnQuote = Callable[[str, datetime, Mapping[str, Decimal | None]], None]


def connect(
    symbols: Sequence[str],
    environment: str | Environment,
    on_trade: OnTrade,
    on_quote: OnQuote,
) -> Callable[[], None]:
    """Begin to listen, without waiting for the connection; return what ends it.

    on_trade(symbol, time, price, size, taker side, trade id) and on_quote(symbol, time, values)
    are called in order of arrival, on threads of the stream; values are those of QUOTE_FIELDS,
    None where unknown. Block trades are left out: they are made beside the book, at prices that
    fill nobody's order. Raises ValueError for an unknown environment.
    """

    def on_event(update: StreamUpdate) -> None:
        match update.record:
            case Trade() as trade if not trade.is_block_trade:
                on_trade(
                    trade.symbol,
                    trade.time,
                    trade.price,
                    trade.size,
                    trade.side.value,
                    trade.trade_id,
                )
            case Ticker() as ticker:
                values = {name: getattr(ticker, name) for name in QUOTE_FIELDS}
                on_quote(ticker.symbol, ticker.time, values)

    client = PublicWebSocketClient(
        Environment.named(environment) if isinstance(environment, str) else environment,
        ticker_symbols=symbols,
        trade_symbols=symbols,
        on_event=on_event,
    )
    client.connect(timeout_s=0)
    return client.disconnect
