"""Intervals of an account's session, and how it calls what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gridbot.settings.config import GridbotConfig


def in_thread(call: Callable[[], Any]) -> Awaitable[Any]:
    """Run a blocking call in a thread of its own."""
    return asyncio.to_thread(call)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Seconds; 0 switches an interval off."""

    sync_interval_s: float = 61.0  # orders, and all that is compared with them
    position_interval_s: float = 63.0
    wallet_interval_s: float = 300.0
    clock_interval_s: float = 300.0
    account_interval_s: float = 60.0
    max_drift_s: float = 1.0
    stream_alert_s: float = 30.0
    funding_alert_rate: Decimal = Decimal("0.001")  # of one settlement; 0: no alert
    dcp_window_s: int = 0
    blocking: Callable[[Callable[[], Any]], Awaitable[Any]] = in_thread

    @classmethod
    def of(cls, config: GridbotConfig) -> SessionSettings:
        """Return what a configuration says of intervals and limits, for sessions and markets."""
        return cls(
            sync_interval_s=config.order_sync_interval,
            position_interval_s=config.position_check_interval,
            account_interval_s=config.position_check_interval,
            wallet_interval_s=config.wallet_cache_interval,
            clock_interval_s=config.clock_check_interval,
            max_drift_s=config.max_clock_drift,
            funding_alert_rate=config.funding_alert_rate,
            dcp_window_s=config.dcp_window,
        )
