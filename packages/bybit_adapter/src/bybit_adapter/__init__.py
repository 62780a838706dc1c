"""The only code that talks to Bybit: pybit behind our own types.

BybitRestClient (blocking) and BybitAsyncClient (coroutines) call; PublicWebSocketClient and
PrivateWebSocketClient listen; EventQueue hands what they hear to an event loop. An Environment
says where the exchange is, errors.py what to do when it refuses.
"""

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
from bybit_adapter.basics.right_of_way import RIGHT_OF_WAY
from bybit_adapter.records.account_records import (
    AccountInfo,
    CoinBalance,
    Execution,
    FeeRates,
    Order,
    Position,
    TransactionLogEntry,
    Wallet,
    account_event,
    open_orders_event,
)
from bybit_adapter.records.execution_kind import ExecutionKind, is_created_by_exchange
from bybit_adapter.records.market_records import (
    FundingRate,
    Instrument,
    Kline,
    RiskTier,
    Tags,
    Ticker,
    Trade,
    to_mm_tiers,
)
from bybit_adapter.records.normalizer import BybitNormalizer, StreamKind, StreamUpdate
from bybit_adapter.records.order_requests import BatchItem, OrderAck, OrderKey, PlaceRequest
from bybit_adapter.rest.async_client import BybitAsyncClient
from bybit_adapter.rest.rest_client import BybitRestClient
from bybit_adapter.streams.event_queue import EventQueue, ticker_symbol
from bybit_adapter.streams.ws_client import (
    ConnectionState,
    PrivateWebSocketClient,
    PublicWebSocketClient,
    StreamState,
    StreamTiming,
)
from bybit_adapter.wire.caller import Listing
from bybit_adapter.wire.rate_limiter import RateLimiter

__all__ = [
    "DEMO",
    "MAINNET",
    "RIGHT_OF_WAY",
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
    "Execution",
    "ExecutionKind",
    "FeeRates",
    "FundingRate",
    "Hidden",
    "Instrument",
    "InsufficientBalance",
    "Kline",
    "Listing",
    "MalformedFrame",
    "NotModified",
    "OpeningBlocked",
    "Order",
    "OrderAck",
    "OrderKey",
    "OrderNotFound",
    "OrderRejected",
    "PlaceRequest",
    "Position",
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
