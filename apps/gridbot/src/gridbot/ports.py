"""What the trading core needs of the world around it, and nothing of who provides it.

The bot hands in Bybit over sockets and the machine's clock, simulations an exchange in process and
virtual time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from bybit_adapter import (
    AccountInfo,
    BybitError,
    ConnectionState,
    ExecutionRecord,
    Instrument,
    Order,
    OrderAck,
    OrderKey,
    PagedRows,
    PlaceRequest,
    PositionRecord,
    RiskTier,
    StreamUpdate,
    SymbolFeeRates,
    Ticker,
    Wallet,
)

SURE_ENOUGH = timedelta(seconds=0.5)
Outcomes = list[OrderAck | BybitError]


class Rest(Protocol):
    """Calls of one account, awaitable; see `bybit_adapter.BybitRestClient` for what they do.

    The first five may go out with the call, before anybody awaits the outcome.
    """

    def place_order(self, order: PlaceRequest, /) -> Awaitable[OrderAck]: ...
    def place_batch(self, orders: Sequence[PlaceRequest], /) -> Awaitable[Outcomes]: ...
    def cancel_order(self, key: OrderKey, /) -> Awaitable[OrderAck]: ...
    def cancel_batch(self, keys: Sequence[OrderKey], /) -> Awaitable[Outcomes]: ...
    def cancel_all_orders(self, symbol: str, /) -> Awaitable[list[OrderAck]]: ...
    async def find_order(self, key: OrderKey, /) -> Order | None: ...
    async def get_open_orders(self, symbol: str, /) -> PagedRows[Order]: ...
    async def get_positions(self, symbol: str, /) -> PagedRows[PositionRecord]: ...
    async def get_wallet_balance(self) -> Wallet: ...
    async def get_executions_all(
        self, symbol: str, /, *, start: datetime | None = None
    ) -> PagedRows[ExecutionRecord]: ...
    async def get_instrument(self, symbol: str, /) -> Instrument: ...
    async def get_server_time(self) -> datetime: ...
    async def get_account_info(self) -> AccountInfo: ...
    async def get_tickers(self, symbol: str, /) -> list[Ticker]: ...
    async def get_fee_rates(self, symbol: str, /) -> SymbolFeeRates: ...
    async def get_risk_limit(self, symbol: str, /) -> list[RiskTier]: ...
    async def is_read_only(self) -> bool: ...
    async def set_leverage(self, symbol: str, leverage: Decimal, /) -> None: ...
    async def set_dcp(self, time_window_s: int, /) -> None: ...
    def close(self) -> None: ...


class Stream(Protocol):
    """One connection of an account or of the market, kept alive by itself."""

    def connect(self, timeout_s: float = 10.0) -> bool:
        """Begin; True when subscriptions are in force in time. Blocks."""

    def disconnect(self) -> None:
        """End. Blocks for 5 s at most."""

    def get_connection_state(self) -> ConnectionState:
        """Return how it is."""


class StreamCallbacks(Protocol):
    """What a stream calls, on threads of its own."""

    def on_event(self, update: StreamUpdate) -> None: ...
    def on_disconnect(self, ts: datetime) -> None: ...
    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None: ...


OpenPrivate = Callable[[StreamCallbacks], Stream]
OpenPublic = Callable[[Sequence[str], StreamCallbacks], Stream]


class Now(Protocol):
    """Where the time comes from. What is waited for is measured by `monotonic`."""

    def now(self) -> datetime:
        """Return the moment, aware UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back, whatever is done to the clock."""


class MachineTime:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """Return the moment, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class ExchangeClock:
    """The exchange's time as far as it has been measured, carried on by the monotonic clock.

    A machine whose clock is set meanwhile does not change it. `offset` is what the exchange was
    ahead of the machine when it was measured.
    """

    def __init__(self, source: Now) -> None:
        self._source = source
        self.offset = timedelta(0)
        self._base, self._base_s = source.now(), source.monotonic()

    def now(self) -> datetime:
        """Return the exchange's time, aware UTC."""
        return self._base + timedelta(seconds=self._source.monotonic() - self._base_s)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._source.monotonic()

    def local(self) -> datetime:
        """Return the machine's time, aware UTC."""
        return self._source.now()

    def measured(self, sent: datetime, received: datetime, server: datetime) -> timedelta:
        """Take in an answer of the exchange's clock; return how far it is ahead of the machine.

        An answer that took long, perhaps because it waited for its turn, is as unsure as half of
        its time: it changes what is known by no more than it has to.
        """
        unsure = (received - sent) / 2
        offset = server - (sent + unsure)
        if unsure > SURE_ENOUGH:
            offset = min(max(self.offset, offset - unsure), offset + unsure)
        self.offset = offset
        self._base, self._base_s = self._source.now() + offset, self._source.monotonic()
        return self.offset
