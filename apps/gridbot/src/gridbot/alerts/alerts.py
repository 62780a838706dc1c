"""What the trading core tells people, and who takes it."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Protocol

log = logging.getLogger(__name__)


class AlertKey(StrEnum):
    """Kinds of alerts; the operating guide says what each means and what to do."""

    STRATEGY_BLOCKED = "strategy_blocked"
    STRATEGY_UNBLOCKED = "strategy_unblocked"
    SAME_ORDER_ERROR = "same_order_error"
    ORDER_REJECTED = "order_rejected"
    BALANCE_INSUFFICIENT = "balance_insufficient"
    REDUCE_ONLY_BREAKER = "reduce_only_breaker"
    AMBIGUOUS_UNRESOLVED = "ambiguous_unresolved"
    STREAM_DOWN = "stream_down"
    RECONCILE_DIFFERENCE = "reconcile_difference"
    FOREIGN_ORDERS = "foreign_orders"
    POSITION_MISMATCH = "position_mismatch"
    LIQUIDATION_OR_ADL = "liquidation_or_adl"
    AUTH_ERROR = "auth_error"
    CLOCK_DRIFT = "clock_drift"
    DATABASE_DOWN = "database_down"
    RECORD_INCOMPLETE = "record_incomplete"
    STRATEGY_STOPPED = "strategy_stopped"
    HEDGE_MODE_OFF = "hedge_mode_off"
    LEVERAGE_CHANGED = "leverage_changed"
    TICK_SIZE_CHANGED = "tick_size_changed"
    RULES_CHANGED = "rules_changed"
    CONTRACT_HALTED = "contract_halted"
    CONTRACT_ENDS = "contract_ends"
    NO_MARKET_DATA = "no_market_data"
    MARGIN_MODE_CHANGED = "margin_mode_changed"
    NOT_COMPARED = "not_compared"
    ORDERS_CANCELLED = "orders_cancelled"
    EXCHANGE_MAINTENANCE = "exchange_maintenance"
    LOSS_BREAKER = "loss_breaker"
    INTERNAL_ERROR = "internal_error"
    BOT_STARTED = "bot_started"
    BOT_STOPPED = "bot_stopped"
    ORDERS_LEFT = "orders_left"
    STATUS_NOT_WRITTEN = "status_not_written"
    WATCHDOG_CANCELLED = "watchdog_cancelled"
    WATCHDOG_FAILED = "watchdog_failed"
    WATCHDOG_BLIND = "watchdog_blind"
    WATCHDOG_BOT_BACK = "watchdog_bot_back"


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
