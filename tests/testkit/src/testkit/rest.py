"""A REST client for a server on this machine, and what it sends there."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from bybit_adapter.basics.environment import Environment
from bybit_adapter.http.rate_limiter import AddressWindow, RateLimiter
from bybit_adapter.records.requests import PlaceRequest
from bybit_adapter.rest.client import BybitRestClient
from gridcore import DirectionType, SideType

KEY, SECRET = "the-key", "the-secret"
ORDER = PlaceRequest(
    symbol="BTCUSDT",
    direction=DirectionType.LONG,
    side=SideType.BUY,
    qty=Decimal("0.01"),
    price=Decimal(60000),
    order_link_id="0123456789abcdef-1",
    reduce_only=False,
)
SERVER_TIME = {"timeSecond": "1688639403", "timeNano": "1688639403423213947"}


def connect(port: int, **options: Any) -> BybitRestClient:
    """Return a client with limits of its own, so that no test waits for another."""
    return BybitRestClient(
        options.pop("api_key", KEY),
        options.pop("api_secret", SECRET),
        Environment.local(port),
        limiter=RateLimiter(random=Random(1), address=AddressWindow()),
        random=Random(1),
        **options,
    )
