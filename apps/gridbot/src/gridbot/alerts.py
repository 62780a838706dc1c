"""What somebody is told about: kinds of alerts, and how often one of them is repeated."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from grid_db import AlertSeverity

PERIOD_S = 60.0
MOST_KEYS = 1_000
LONGEST_MESSAGE = 1_500  # characters; Telegram takes 4096 of a whole text


class AlertKind(StrEnum):
    """What can happen; docs/operating.md says for each what it means and what to do."""

    BOT_STARTED = "bot_started"
    BOT_STOPPED = "bot_stopped"
    STRATEGY_BLOCKED = "strategy_blocked"
    STRATEGY_STOPPED = "strategy_stopped"
    SAME_ORDER_ERROR = "same_order_error"
    ORDER_REJECTED = "order_rejected"
    BALANCE_INSUFFICIENT = "balance_insufficient"
    REDUCE_ONLY_BREAKER = "reduce_only_breaker"
    LOSS_BREAKER = "loss_breaker"
    AMBIGUOUS_UNRESOLVED = "ambiguous_unresolved"
    STREAM_DOWN = "stream_down"
    RECONCILE_DIFFERENCE = "reconcile_difference"
    FOREIGN_ORDERS = "foreign_orders"
    POSITION_MISMATCH = "position_mismatch"
    LIQUIDATION_OR_ADL = "liquidation_or_adl"
    AUTH_ERROR = "auth_error"
    CLOCK_DRIFT = "clock_drift"
    DATABASE_DOWN = "database_down"
    HEDGE_MODE_OFF = "hedge_mode_off"
    LEVERAGE_CHANGED = "leverage_changed"
    TICK_SIZE_CHANGED = "tick_size_changed"
    EXCHANGE_MAINTENANCE = "exchange_maintenance"
    INTERNAL_ERROR = "internal_error"
    WATCHDOG_CANCELLED = "watchdog_cancelled"
    WATCHDOG_FAILED = "watchdog_failed"
    WATCHDOG_BLIND = "watchdog_blind"


_INFO = frozenset({AlertKind.BOT_STARTED, AlertKind.BOT_STOPPED})
_WARNING = frozenset(
    {
        AlertKind.ORDER_REJECTED,
        AlertKind.BALANCE_INSUFFICIENT,
        AlertKind.STREAM_DOWN,
        AlertKind.RECONCILE_DIFFERENCE,
        AlertKind.FOREIGN_ORDERS,
        AlertKind.CLOCK_DRIFT,
        AlertKind.EXCHANGE_MAINTENANCE,
    }
)


def usual_severity(kind: AlertKind) -> AlertSeverity:
    """Return how soon somebody has to look at alerts of a kind."""
    if kind in _INFO:
        return AlertSeverity.INFO
    return AlertSeverity.WARNING if kind in _WARNING else AlertSeverity.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that happened. Of one key there is at most one message in a minute.

    subject is what it is about: a strat_id, an account, or nothing for the whole bot. suppressed
    counts alerts of the same key that were not sent since the last one.
    """

    kind: AlertKind
    message: str
    severity: AlertSeverity
    raised_at: datetime
    subject: str = ""
    account: str | None = None
    strat_id: str | None = None
    suppressed: int = 0

    @property
    def key(self) -> str:
        """What the throttle counts by."""
        return f"{self.kind}:{self.subject}" if self.subject else self.kind.value

    def text(self) -> str:
        """Return it as one message for people."""
        where = f" {self.subject}" if self.subject else ""
        more = f"\n(and {self.suppressed} more of these since)" if self.suppressed else ""
        return f"{self.severity.upper()} {self.kind}{where}: {self.message}{more}"


@dataclass(slots=True)
class _Window:
    until: float
    waiting: Alert | None = None
    count: int = 0


@dataclass(slots=True)
class AlertThrottle:
    """At most one alert of a key in `period_s`; the others are counted and told together.

    Times are seconds of any clock that never goes back. Not thread-safe.
    """

    period_s: float = PERIOD_S
    most_keys: int = MOST_KEYS
    _windows: OrderedDict[str, _Window] = field(default_factory=OrderedDict)

    def admit(self, alert: Alert, now: float) -> Alert | None:
        """Return the alert to send now, with what was suppressed before it; None for not now."""
        window = self._windows.get(alert.key)
        if window is not None and now < window.until:
            window.waiting = alert
            window.count += 1
            return None
        missed = 0 if window is None else window.count
        self._windows[alert.key] = _Window(now + self.period_s)
        self._windows.move_to_end(alert.key)
        while len(self._windows) > self.most_keys:
            self._windows.popitem(last=False)
        return replace(alert, suppressed=missed) if missed else alert

    def due(self, now: float) -> list[Alert]:
        """Return, for every key whose time is over, the newest alert that was held back."""
        found = []
        for key, window in list(self._windows.items()):
            if now < window.until:
                continue
            del self._windows[key]
            if window.waiting is not None:
                # it tells of itself and of those before it
                found.append(replace(window.waiting, suppressed=window.count - 1))
                self._windows[key] = _Window(now + self.period_s)
        return found

    def flush(self) -> list[Alert]:
        """Return everything held back, at the end."""
        found = [
            replace(window.waiting, suppressed=window.count - 1)
            for window in self._windows.values()
            if window.waiting is not None
        ]
        self._windows.clear()
        return found

    @property
    def next_due(self) -> float | None:
        """When `due` has something to return; None while nothing is held back."""
        return min((w.until for w in self._windows.values() if w.waiting), default=None)
