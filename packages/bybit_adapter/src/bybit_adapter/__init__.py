"""The only code that talks to Bybit: pybit behind our own types.

BybitRestClient (blocking) and BybitAsyncClient (coroutines) call; PublicWebSocketClient and
PrivateWebSocketClient listen; EventQueue hands what they hear to an event loop. An Environment
says where the exchange is, errors.py what to do when it refuses.

Names are loaded when they are first asked for: what a program does not use, pybit among it, costs
it nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bybit_adapter import former_paths

if TYPE_CHECKING:
    from bybit_adapter.basics.environment import DEMO, MAINNET, TESTNET, Environment
    from bybit_adapter.basics.errors import (
        AmbiguousResult,
        AuthError,
        BybitError,
        ClockSkew,
        DuplicateOrderLinkId,
        ExchangeUnavailable,
        InsufficientBalance,
        MalformedFrame,
        NotModified,
        OpeningBlocked,
        OrderNotFound,
        OrderRejected,
        RateLimited,
        ReduceOnlyRejected,
        SettingRefused,
        StateChanged,
        TooManyOrders,
        TradingPaused,
    )
    from bybit_adapter.basics.hidden import Hidden
    from bybit_adapter.basics.link_id import client_order_id_of, make_order_link_id, placed_at
    from bybit_adapter.basics.orders_first import ORDERS_FIRST
    from bybit_adapter.http.rate_limiter import RateLimiter
    from bybit_adapter.http.wire import PagedRows
    from bybit_adapter.records.account import AccountInfo, SymbolFeeRates, TransactionLogEntry
    from bybit_adapter.records.execution import ExecutionRecord
    from bybit_adapter.records.execution_type import ExecutionType, is_created_by_exchange
    from bybit_adapter.records.instrument import Instrument, RiskTier, to_mm_tiers
    from bybit_adapter.records.market import FundingRate, Kline, Trade
    from bybit_adapter.records.normalizer import BybitNormalizer, StreamKind, StreamUpdate
    from bybit_adapter.records.order import Order, open_orders_event
    from bybit_adapter.records.position import PositionRecord, account_event
    from bybit_adapter.records.requests import BatchItem, OrderAck, OrderKey, PlaceRequest
    from bybit_adapter.records.tags import Tags
    from bybit_adapter.records.ticker import Ticker
    from bybit_adapter.records.wallet import CoinBalance, Wallet
    from bybit_adapter.rest.async_client import BybitAsyncClient
    from bybit_adapter.rest.client import BybitRestClient
    from bybit_adapter.streams.event_queue import EventQueue, ticker_symbol
    from bybit_adapter.streams.ws_client import (
        ConnectionState,
        PrivateWebSocketClient,
        PublicWebSocketClient,
        StreamState,
        StreamTiming,
    )

__all__ = [
    "DEMO",
    "MAINNET",
    "ORDERS_FIRST",
    "TESTNET",
    "AccountInfo",
    "AmbiguousResult",
    "AuthError",
    "BatchItem",
    "BybitAsyncClient",
    "BybitError",
    "BybitNormalizer",
    "BybitRestClient",
    "ClockSkew",
    "CoinBalance",
    "ConnectionState",
    "DuplicateOrderLinkId",
    "Environment",
    "EventQueue",
    "ExchangeUnavailable",
    "ExecutionRecord",
    "ExecutionType",
    "FundingRate",
    "Hidden",
    "Instrument",
    "InsufficientBalance",
    "Kline",
    "MalformedFrame",
    "NotModified",
    "OpeningBlocked",
    "Order",
    "OrderAck",
    "OrderKey",
    "OrderNotFound",
    "OrderRejected",
    "PagedRows",
    "PlaceRequest",
    "PositionRecord",
    "PrivateWebSocketClient",
    "PublicWebSocketClient",
    "RateLimited",
    "RateLimiter",
    "ReduceOnlyRejected",
    "RiskTier",
    "SettingRefused",
    "StateChanged",
    "StreamKind",
    "StreamState",
    "StreamTiming",
    "StreamUpdate",
    "SymbolFeeRates",
    "Tags",
    "Ticker",
    "TooManyOrders",
    "Trade",
    "TradingPaused",
    "TransactionLogEntry",
    "Wallet",
    "account_event",
    "client_order_id_of",
    "is_created_by_exchange",
    "make_order_link_id",
    "open_orders_event",
    "placed_at",
    "ticker_symbol",
    "to_mm_tiers",
]

# in which file each name is
_HOMES = {
    "basics.environment": "DEMO Environment MAINNET TESTNET",
    "basics.errors": (
        "AmbiguousResult AuthError BybitError ClockSkew DuplicateOrderLinkId "
        "ExchangeUnavailable InsufficientBalance MalformedFrame NotModified OpeningBlocked "
        "OrderNotFound OrderRejected RateLimited ReduceOnlyRejected SettingRefused StateChanged "
        "TooManyOrders TradingPaused"
    ),
    "basics.hidden": "Hidden",
    "basics.link_id": "client_order_id_of make_order_link_id placed_at",
    "basics.orders_first": "ORDERS_FIRST",
    "http.rate_limiter": "RateLimiter",
    "http.wire": "PagedRows",
    "records.account": "AccountInfo SymbolFeeRates TransactionLogEntry",
    "records.execution": "ExecutionRecord",
    "records.execution_type": "ExecutionType is_created_by_exchange",
    "records.instrument": "Instrument RiskTier to_mm_tiers",
    "records.market": "FundingRate Kline Trade",
    "records.normalizer": "BybitNormalizer StreamKind StreamUpdate",
    "records.order": "Order open_orders_event",
    "records.position": "PositionRecord account_event",
    "records.requests": "BatchItem OrderAck OrderKey PlaceRequest",
    "records.tags": "Tags",
    "records.ticker": "Ticker",
    "records.wallet": "CoinBalance Wallet",
    "rest.async_client": "BybitAsyncClient",
    "rest.client": "BybitRestClient",
    "streams.event_queue": "EventQueue ticker_symbol",
    "streams.ws_client": (
        "ConnectionState PrivateWebSocketClient PublicWebSocketClient StreamState StreamTiming"
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

former_paths.install()


def __getattr__(name: str) -> object:
    name = former_paths.NAMES.get(name, name)
    if name in _HOME_OF:
        value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in former_paths.HOMES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
