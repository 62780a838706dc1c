"""The synchronous REST client of one account."""

from __future__ import annotations

from random import Random
from types import TracebackType
from typing import Self

from bybit_adapter.basics.clock import SYSTEM_CLOCK, Clock
from bybit_adapter.basics.environment import MAINNET, TESTNET, Environment
from bybit_adapter.basics.keys import Keys
from bybit_adapter.http.rate_limiter import RateLimiter, address_window
from bybit_adapter.http.transport import Transport
from bybit_adapter.http.wire import Wire
from bybit_adapter.rest.account import AccountCalls
from bybit_adapter.rest.market import MarketCalls
from bybit_adapter.rest.trade import TradeCalls

QUERY_TIMEOUT_S = 10.0
ORDER_TIMEOUT_S = 15.0


class BybitRestClient(MarketCalls, AccountCalls, TradeCalls):
    """Bybit V5 over REST for USDT perpetuals, with typed results. Thread-safe, blocking.

    Give an environment, or testnet=True or False for Bybit's own. Without keys only market data
    can be read. Every method raises BybitError (see errors.py) and nothing else for what the
    exchange or the network does. Pass one RateLimiter to all clients of one account.
    """

    def __init__(
        self,
        api_key: str = "",
        api_secret: str = "",
        environment: Environment | None = None,
        *,
        testnet: bool | None = None,
        limiter: RateLimiter | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Random | None = None,
        query_timeout_s: float = QUERY_TIMEOUT_S,
        order_timeout_s: float = ORDER_TIMEOUT_S,
        query_attempts: int = 3,
        recv_window_ms: int = 5000,
        connections: int = 16,
    ) -> None:
        if (environment is None) == (testnet is None):
            raise ValueError("give either environment or testnet, so that no order goes astray")
        self.environment = environment or (TESTNET if testnet else MAINNET)
        own_random = random or Random()  # noqa: S311 -- jitter, no secret
        self.transport = Transport(
            Keys(api_key, api_secret),
            self.environment,
            clock,
            query_timeout_s=query_timeout_s,
            write_timeout_s=order_timeout_s,
            recv_window_ms=recv_window_ms,
            connections=connections,
        )
        own_limiter = limiter or RateLimiter(
            clock=clock,
            random=own_random,
            address=address_window(self.environment.rest_url),
        )
        self.wire = Wire(self.transport, own_limiter, clock, own_random, query_attempts)
        super().__init__(self.wire)

    def __repr__(self) -> str:
        return f"BybitRestClient({self.environment.name})"

    def close(self) -> None:
        """Close all connections. Calls that are under way may fail."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
