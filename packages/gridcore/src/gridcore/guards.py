"""What keeps an order from being placed, whatever the strategy wants.

Each guard is one small object or function that knows one rule. `GridStrategy` asks them all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from gridcore.errors import ConfigError
from gridcore.growing_rest import GrowingRest
from gridcore.loss_breaker import LossBreaker, LossReset
from gridcore.orders import TrackedOrder
from gridcore.reject_breaker import RejectBreaker
from gridcore.same_order import FilledOrder, SameOrderDetector
from gridcore.sides import DirectionType

__all__ = [
    "FilledOrder",
    "FreeMargin",
    "GrowingRest",
    "LossBreaker",
    "LossReset",
    "OrderRate",
    "RejectBreaker",
    "RetryHold",
    "SafetyCaps",
    "SameOrderDetector",
    "is_affordable",
    "is_covered",
    "open_order_margin",
]

ZERO = Decimal(0)
MARGIN_BUFFER = Decimal("1.05")
RATE_WINDOW = timedelta(minutes=1)
FIRST_HOLD_S = 1
LONGEST_HOLD_S = 60
REMEMBERED_FAILURES = 1000


def is_covered(leg_size: Decimal, resting_closing_qty: Decimal, qty: Decimal) -> bool:
    """Tell whether a further closing order leaves the leg covered: strictly less than its size.

    All three are base coin; resting_closing_qty includes what is in flight.
    """
    return resting_closing_qty + qty < leg_size


def open_order_margin(notional: Decimal, leverage: Decimal) -> Decimal:
    """Return the free margin in USDT that an opening order needs, with a 5 % buffer."""
    return notional / leverage * MARGIN_BUFFER


def is_affordable(available: Decimal, notional: Decimal, leverage: Decimal) -> bool:
    """Tell whether free margin (USDT) carries an opening order of this notional (USDT)."""
    return open_order_margin(notional, leverage) <= available


RetryKey = tuple[DirectionType, int] | str


class FreeMargin:
    """Free margin of the account: the last reported figure less what was ordered since.

    The exchange deducts a resting order from its available balance; an order that the report
    cannot contain yet is deducted here. A report older than `max_age` counts as no report.
    """

    def __init__(self, max_age: timedelta) -> None:
        self.max_age = max_age
        self.available: Decimal | None = None
        self.ts: datetime | None = None
        self._since: dict[TrackedOrder, Decimal] = {}
        self._reserved = ZERO

    def report(self, available: Decimal | None, ts: datetime) -> None:
        """Take over the available balance (USDT) as of `ts`."""
        if self.ts is not None and ts < self.ts:
            return
        self.available, self.ts = available, ts
        if self._since:
            for order in [o for o in self._since if o.confirmed_ts and o.confirmed_ts <= ts]:
                self.release(order)

    def forget(self) -> None:
        """Treat the balance as unknown until the next report."""
        self.available = None

    def reserve(self, order: TrackedOrder) -> None:
        """Deduct an opening order that the last report cannot contain."""
        notional = self._since[order] = order.notional
        self._reserved += notional

    def release(self, order: TrackedOrder) -> None:
        """Give back what an order reserved, if it still does."""
        if order in self._since:
            self._reserved -= self._since.pop(order)

    @property
    def expires(self) -> datetime | None:
        """When the last report stops counting."""
        return None if self.ts is None else self.ts + self.max_age

    def carries(self, notional: Decimal, leverage: Decimal, now: datetime) -> bool:
        """Tell whether one more opening order (notional in USDT) can be carried.

        False while the balance is unknown or older than `max_age`.
        """
        if self.available is None or self.ts is None or now - self.ts > self.max_age:
            return False
        return is_affordable(self.available, self._reserved + notional, leverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyCaps:
    """Hard limits outside the strategy's logic; None means no limit.

    max_notional (USDT) bounds both legs at entry price plus every resting opening order at its
    limit. session_loss_limit (USDT) counts realised profit, fees and the change of unrealised
    profit since the session began.
    """

    max_notional: Decimal | None = None
    max_open_orders: int | None = None
    max_orders_per_minute: int | None = None
    session_loss_limit: Decimal | None = None
    session_loss_reset: LossReset = LossReset.UTC_MIDNIGHT

    def __post_init__(self) -> None:
        for name in ("max_notional", "session_loss_limit"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, Decimal) or not value > 0):
                raise ConfigError(
                    f"{name} is {value!r}; it is a Decimal in USDT above zero, or None"
                )
        for name in ("max_open_orders", "max_orders_per_minute"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name} is {value!r}; it is a whole number from 1, or None")


class OrderRate:
    """How many orders were placed in the last minute of event time."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._placed: deque[datetime] = deque()

    def allows(self, now: datetime) -> bool:
        """Tell whether one more order may be placed now."""
        if self.limit is None:
            return True
        while self._placed and now - self._placed[0] >= RATE_WINDOW:
            self._placed.popleft()
        return len(self._placed) < self.limit

    def add(self, now: datetime) -> None:
        """Count one placed order."""
        if self.limit is not None:
            self._placed.append(now)

    @property
    def frees_at(self) -> datetime | None:
        """When the oldest counted order leaves the window."""
        return self._placed[0] + RATE_WINDOW if self._placed else None

    def snapshot(self) -> list[str]:
        """Return the times counted, ready for JSON."""
        return [ts.isoformat() for ts in self._placed]

    def restore(self, state: list[str]) -> None:
        """Take over a snapshot."""
        self._placed = deque(datetime.fromisoformat(ts) for ts in state)


class RetryHold:
    """Keeps a command that failed repeatedly from being sent at every tick.

    Keys are (direction, price in ticks) for a placement and the order id for a cancel. The first
    failure of a key is re-decided at the next tick; from the second on, it rests for 1, 2, 4... up
    to 60 s of event time. A success clears it.
    """

    def __init__(self) -> None:
        self._failures: dict[RetryKey, tuple[int, datetime]] = {}

    def add_failure(self, key: RetryKey, now: datetime) -> None:
        """Count one failure."""
        count = self._failures.get(key, (0, now))[0] + 1
        exponent = min(max(count - 2, 0), 10)
        seconds = min(FIRST_HOLD_S << exponent, LONGEST_HOLD_S) if count > 1 else 0
        self._failures[key] = count, now + timedelta(seconds=seconds)
        if len(self._failures) > REMEMBERED_FAILURES:
            self._failures = {k: v for k, v in self._failures.items() if v[1] > now}

    def clear(self, key: RetryKey) -> None:
        """Note a success."""
        if self._failures:
            self._failures.pop(key, None)

    def held_until(self, key: RetryKey, now: datetime) -> datetime | None:
        """Return when the command may be tried again, None when it may be now."""
        if not self._failures:
            return None
        failure = self._failures.get(key)
        return failure[1] if failure is not None and now < failure[1] else None
