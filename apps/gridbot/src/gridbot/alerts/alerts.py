"""What the trading core tells people, and who takes it."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Protocol, Self

from grid_db import AlertSeverity

log = logging.getLogger(__name__)


class AlertKey(StrEnum):
    """Kinds of alerts, and how soon somebody has to look at one.

    The operating guide says what each means and what to do.
    """

    severity: AlertSeverity

    def __new__(cls, value: str, severity: AlertSeverity) -> Self:
        key = str.__new__(cls, value)
        key._value_ = value
        key.severity = severity
        return key

    STRATEGY_BLOCKED = "strategy_blocked", AlertSeverity.CRITICAL
    STRATEGY_UNBLOCKED = "strategy_unblocked", AlertSeverity.CRITICAL
    SAME_ORDER_ERROR = "same_order_error", AlertSeverity.CRITICAL
    ORDER_REJECTED = "order_rejected", AlertSeverity.WARNING
    BALANCE_INSUFFICIENT = "balance_insufficient", AlertSeverity.WARNING
    REDUCE_ONLY_BREAKER = "reduce_only_breaker", AlertSeverity.CRITICAL
    AMBIGUOUS_UNRESOLVED = "ambiguous_unresolved", AlertSeverity.CRITICAL
    STREAM_DOWN = "stream_down", AlertSeverity.WARNING
    RECONCILE_DIFFERENCE = "reconcile_difference", AlertSeverity.WARNING
    FOREIGN_ORDERS = "foreign_orders", AlertSeverity.WARNING
    POSITION_MISMATCH = "position_mismatch", AlertSeverity.CRITICAL
    LIQUIDATION_OR_ADL = "liquidation_or_adl", AlertSeverity.CRITICAL
    AUTH_ERROR = "auth_error", AlertSeverity.CRITICAL
    CLOCK_DRIFT = "clock_drift", AlertSeverity.WARNING
    DATABASE_DOWN = "database_down", AlertSeverity.CRITICAL
    RECORD_INCOMPLETE = "record_incomplete", AlertSeverity.CRITICAL
    STRATEGY_STOPPED = "strategy_stopped", AlertSeverity.CRITICAL
    HEDGE_MODE_OFF = "hedge_mode_off", AlertSeverity.CRITICAL
    LEVERAGE_CHANGED = "leverage_changed", AlertSeverity.CRITICAL
    TICK_SIZE_CHANGED = "tick_size_changed", AlertSeverity.CRITICAL
    RULES_CHANGED = "rules_changed", AlertSeverity.CRITICAL
    CONTRACT_HALTED = "contract_halted", AlertSeverity.CRITICAL
    CONTRACT_ENDS = "contract_ends", AlertSeverity.CRITICAL
    NO_MARKET_DATA = "no_market_data", AlertSeverity.CRITICAL
    MARGIN_MODE_CHANGED = "margin_mode_changed", AlertSeverity.CRITICAL
    NOT_COMPARED = "not_compared", AlertSeverity.CRITICAL
    ORDERS_CANCELLED = "orders_cancelled", AlertSeverity.CRITICAL
    EXCHANGE_MAINTENANCE = "exchange_maintenance", AlertSeverity.WARNING
    LOSS_BREAKER = "loss_breaker", AlertSeverity.CRITICAL
    INTERNAL_ERROR = "internal_error", AlertSeverity.CRITICAL
    FUNDING_RATE_HIGH = "funding_rate_high", AlertSeverity.WARNING
    BOT_STARTED = "bot_started", AlertSeverity.INFO
    BOT_STOPPED = "bot_stopped", AlertSeverity.INFO
    ORDERS_LEFT = "orders_left", AlertSeverity.CRITICAL
    STATUS_NOT_WRITTEN = "status_not_written", AlertSeverity.CRITICAL
    WATCHDOG_CANCELLED = "watchdog_cancelled", AlertSeverity.CRITICAL
    WATCHDOG_FAILED = "watchdog_failed", AlertSeverity.CRITICAL
    WATCHDOG_BLIND = "watchdog_blind", AlertSeverity.CRITICAL
    WATCHDOG_BOT_BACK = "watchdog_bot_back", AlertSeverity.INFO


class Alerts(Protocol):
    """Takes alerts from any thread and never blocks."""

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        """Tell somebody. `about` names the account or strategy; alerts of one key and one subject
        are throttled together."""


class LoggedAlerts:
    """Writes alerts into the log, and nothing else."""

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        """Log an alert."""
        log.warning("alert %s%s: %s", key.value, f" ({about})" if about else "", text)
