"""What keeps an order from being placed, whatever the strategy wants.

Each guard is one small object or function that knows one rule. `GridStrategy` asks them all.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gridcore.errors import ConfigError
from gridcore.orders import TrackedOrder
from gridcore.pnl import TAKER_FEE_RATE
from gridcore.sides import DirectionType

log = logging.getLogger(__name__)

ZERO = Decimal(0)
MARGIN_BUFFER = Decimal("1.05")
RATE_WINDOW = timedelta(minutes=1)
FIRST_HOLD_S = 1
LONGEST_HOLD_S = 60
REMEMBERED_FAILURES = 1000
REJECT_WINDOW = timedelta(minutes=5)
REJECTS_UNTIL_TRIP = 3
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
FORGIVEN_AFTER = timedelta(hours=2)


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


class GrowingRest:
    """How long something stays shut: not at all the first time, then 1, 2, 4 ... 60 minutes.

    Event time. Two hours without a further occasion begin anew.
    """

    def __init__(self) -> None:
        self._count = 0
        self._last: datetime | None = None

    def begin(self, now: datetime) -> datetime:
        """Note one more occasion; return from when on it may end."""
        if self._last is not None and now - self._last > FORGIVEN_AFTER:
            self._count = 0
        earlier, self._count, self._last = self._count, self._count + 1, now
        if not earlier:
            return now
        return now + min(FIRST_REST * (1 << min(earlier - 1, 10)), LONGEST_REST)

    def reset(self) -> None:
        """Forget what was."""
        self._count, self._last = 0, None

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return {"count": self._count, "last": _iso(self._last)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._count, self._last = int(state["count"]), _moment(state["last"])


@dataclass(frozen=True, slots=True)
class FilledOrder:
    """A filled order as the same-order check compares it.

    `identity` stands for leg, side and order price (the client order id). The order could fill
    from `started`, when the exchange accepted it, to `ended`, its last fill; `started` is None for
    an order that nobody here placed or saw: then it may have been there all the time.
    """

    order_id: str
    identity: str
    started: datetime | None
    ended: datetime

    def doubles(self, other: FilledOrder) -> bool:
        """Tell whether both were live at one moment as the same order."""
        return (
            self.identity == other.identity
            and self.order_id != other.order_id
            and (self.started is None or self.started < other.ended)
            and (other.started is None or other.started < self.ended)
        )


class SameOrderDetector:
    """Two full fills in a row of one leg, by two orders that were live at once as the same order.

    They mean that a duplicate order existed. Equal fill prices alone mean nothing: two levels that
    cross the market fill at one price, and in a market that swings a level is filled, placed again
    and filled again. Judged anew at every full fill, so a clean one of the leg ends it; a list of
    open orders without a double ends it as well, after a rest that grows when it comes back;
    `reset` ends it by hand.
    """

    def __init__(self) -> None:
        self._newest: dict[DirectionType, list[FilledOrder]] = {leg: [] for leg in DirectionType}
        self._doubled: set[DirectionType] = set()
        self._rest = GrowingRest()
        self.ends_from: datetime | None = None

    @property
    def is_set(self) -> bool:
        """Whether a duplicate order existed, and nothing has shown since that it is over."""
        return bool(self._doubled)

    def add(self, direction: DirectionType, order: FilledOrder) -> None:
        """Judge one full fill of a leg."""
        newest = self._newest[direction]
        newest[:] = order, *newest[:1]
        if len(newest) == 2 and order.doubles(newest[1]):
            self._doubled.add(direction)
            self.ends_from = self._rest.begin(order.ended)
            log.error("same-order error on the %s leg: %s; placing stops", direction, newest)
        else:
            self._doubled.discard(direction)

    def compared(self, ts: datetime, *, has_double: bool, is_empty: bool) -> None:
        """Take in what a list of open orders shows, confirmed as of `ts`.

        An empty one leaves nothing that could be doubled, so it ends the error without a rest.
        """
        if not self._doubled or has_double:
            return
        if is_empty or self.ends_from is None or ts >= self.ends_from:
            log.warning("same-order error: the open orders show no double any more; it ends")
            self._doubled.clear()

    def reset(self) -> None:
        """Forget the fills seen so far."""
        for newest in self._newest.values():
            newest.clear()
        self._doubled.clear()
        self._rest.reset()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return {
            "doubled": [leg.value for leg in DirectionType if leg in self._doubled],
            "ends_from": _iso(self.ends_from),
            "rest": self._rest.snapshot(),
            "fills": {
                leg.value: [[o.order_id, o.identity, _iso(o.started), _iso(o.ended)] for o in fills]
                for leg, fills in self._newest.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot. Of one that an older version wrote, the error alone counts."""
        if "doubled" not in state:
            self._doubled = set(DirectionType) if state["is_set"] else set()
            return
        self._doubled = {DirectionType(leg) for leg in state["doubled"]}
        self.ends_from = _moment(state["ends_from"])
        self._rest.restore(state["rest"])
        for leg in DirectionType:
            self._newest[leg] = [
                FilledOrder(str(order_id), str(identity), _moment(started), _known_moment(ended))
                for order_id, identity, started, ended in state["fills"][leg.value]
            ]


class LossReset(StrEnum):
    """When the session loss starts anew."""

    UTC_MIDNIGHT = "utc_midnight"
    MANUAL = "manual"


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


class LossBreaker:
    """Stops a session that has lost its limit; counts from the first tick or the last reset."""

    def __init__(self, limit: Decimal | None, reset: LossReset) -> None:
        self.limit = limit
        self.reset_rule = reset
        self.is_tripped = False
        self.realised = ZERO
        self.assumed_fees = ZERO  # USDT, contained in realised
        self.baseline: Decimal | None = None
        self.started_ts: datetime | None = None

    def add_realised(self, pnl: Decimal, fee: Decimal) -> None:
        """Count a realised profit before fees and the fee paid, both USDT."""
        self.realised += pnl - fee

    def assume_fee(self, notional: Decimal) -> None:
        """Count a taker's fee, in USDT, for a fill whose fee is not known in USDT.

        A maker pays less, and whoever pays in another coin gets a discount: the limit is reached
        too early rather than too late.
        """
        fee = notional * TAKER_FEE_RATE
        self.realised -= fee
        self.assumed_fees += fee

    def session_pnl(self, unrealised: Decimal) -> Decimal:
        """Return the session's profit in USDT at this unrealised profit."""
        return self.realised + unrealised - (self.baseline or ZERO)

    def check(self, unrealised: Decimal, now: datetime) -> bool:
        """Judge one moment of event time; True when it trips here. Restarts at UTC midnight."""
        if self.limit is None:
            return False
        if self.baseline is None:
            self.restart(unrealised, now)
        self.roll_over(unrealised, now)
        if self.is_tripped or self.session_pnl(unrealised) > -self.limit:
            return False
        self.is_tripped = True
        return True

    def roll_over(self, unrealised: Decimal, now: datetime) -> None:
        """Begin a new session if the UTC day has changed and the rule wants it."""
        if self.started_ts is None or self.reset_rule is not LossReset.UTC_MIDNIGHT:
            return
        if now.date() > self.started_ts.date():
            self.restart(unrealised, now)

    def restart(self, unrealised: Decimal, now: datetime) -> None:
        """Begin a new session at this unrealised profit."""
        self.realised, self.baseline, self.started_ts = ZERO, unrealised, now
        self.assumed_fees = ZERO
        self.is_tripped = False

    @property
    def next_midnight(self) -> datetime | None:
        """When the session restarts by itself."""
        if self.limit is None or self.started_ts is None or self.reset_rule is LossReset.MANUAL:
            return None
        day = self.started_ts.replace(hour=0, minute=0, second=0, microsecond=0)
        return day + timedelta(days=1)

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        assumed = {"assumed_fees": str(self.assumed_fees)} if self.assumed_fees else {}
        return assumed | {
            "is_tripped": self.is_tripped,
            "realised": str(self.realised),
            "baseline": None if self.baseline is None else str(self.baseline),
            "started_ts": None if self.started_ts is None else self.started_ts.isoformat(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot. Without a limit there is nothing that could be tripped."""
        self.is_tripped = bool(state["is_tripped"]) and self.limit is not None
        self.realised = Decimal(state["realised"])
        self.assumed_fees = Decimal(state.get("assumed_fees", "0"))
        self.baseline = None if state["baseline"] is None else Decimal(state["baseline"])
        started = state["started_ts"]
        self.started_ts = None if started is None else datetime.fromisoformat(started)


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


class RejectBreaker:
    """Three refusals of one kind within five minutes stop that kind.

    A size of the leg that is confirmed later ends it, the first time at once, then after a rest
    that grows when it comes back; `reset` ends it by hand.
    """

    def __init__(self) -> None:
        self._times: deque[datetime] = deque(maxlen=REJECTS_UNTIL_TRIP)
        self._rest = GrowingRest()
        self.tripped_ts: datetime | None = None
        self.ends_from: datetime | None = None

    @property
    def is_tripped(self) -> bool:
        """Whether that kind of order is stopped."""
        return self.tripped_ts is not None

    def add(self, now: datetime) -> bool:
        """Count one refusal; True when it trips here."""
        self._times.append(now)
        full = len(self._times) == REJECTS_UNTIL_TRIP
        if self.is_tripped or not full or now - self._times[0] > REJECT_WINDOW:
            return False
        self.tripped_ts, self.ends_from = now, self._rest.begin(now)
        return True

    def confirmed(self, ts: datetime) -> bool:
        """Take in that the exchange confirmed the leg's size as of `ts`; True when it ends here."""
        if self.tripped_ts is None or self.ends_from is None:
            return False
        if ts <= self.tripped_ts or ts < self.ends_from:
            return False
        self._end()
        return True

    def _end(self) -> None:
        self._times.clear()
        self.tripped_ts = self.ends_from = None

    def reset(self) -> None:
        """Start anew."""
        self._end()
        self._rest.reset()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return {
            "times": [ts.isoformat() for ts in self._times],
            "tripped_ts": _iso(self.tripped_ts),
            "ends_from": _iso(self.ends_from),
            "rest": self._rest.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._times = deque(map(_known_moment, state["times"]), maxlen=REJECTS_UNTIL_TRIP)
        self.tripped_ts, self.ends_from = _moment(state["tripped_ts"]), _moment(state["ends_from"])
        self._rest.restore(state["rest"])


def _iso(ts: datetime | None) -> str | None:
    return None if ts is None else ts.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else _known_moment(text)


def _known_moment(text: str) -> datetime:
    ts = datetime.fromisoformat(text)
    if ts.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return ts
