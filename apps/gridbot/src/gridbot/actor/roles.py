"""Whom the actor of a strategy works with: who carries out, who hears, sees, or watches."""

from __future__ import annotations

from typing import Protocol

from bybit_adapter import BybitError
from gridcore import (
    CancelIntent,
    DirectionType,
    Event,
    Intent,
    PlaceLimitIntent,
    PublicTradeEvent,
    TickerEvent,
)


class Executor(Protocol):
    """Carries intents out and tells the outcomes."""

    def submit(self, intents: list[Intent], /) -> None: ...
    def sweep(self, cancels: list[CancelIntent], /) -> None: ...
    def close(self) -> None: ...
    async def settle(self, timeout_s: float, /) -> bool: ...
    def abandon(self) -> None: ...


class MarketWatcher(Protocol):
    """Sees the market before the strategy does: who fills orders by it, as in shadow mode."""

    def on_ticker(self, ticker: TickerEvent, /) -> None: ...
    def on_trade(self, trade: PublicTradeEvent, /) -> None: ...


class OutcomeListener(Protocol):
    """Who is told of answers that say more than that one order failed."""

    def auth_failed(self, error: BybitError) -> None: ...
    def leg_in_doubt(self, direction: DirectionType) -> None: ...
    def wallet_in_doubt(self) -> None: ...
    def trading_paused(self, error: BybitError) -> None: ...
    def trading_goes_on(self) -> None: ...
    def order_refused(self, intent: Intent, error: BybitError) -> None: ...
    def unresolved(self, intent: PlaceLimitIntent, seconds: float) -> None: ...
    def orders_in_doubt(self) -> None: ...
    def failed(self, error: BaseException) -> None: ...


class RunnerObserver(Protocol):
    """Learns what a runner does, for records and metrics. Quick, and never raises."""

    def decided(self, strat_id: str, event: Event, intents: list[Intent]) -> None: ...
    def ended(self, strat_id: str, reason: str) -> None: ...


class NobodyObserves:
    """The observer of who needs none."""

    def decided(self, strat_id: str, event: Event, intents: list[Intent]) -> None:
        """Ignore it."""

    def ended(self, strat_id: str, reason: str) -> None:
        """Ignore it."""
