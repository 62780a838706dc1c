"""The limit of what a session may lose, and what it has lost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gridcore.pnl import TAKER_FEE_RATE

ZERO = Decimal(0)


class LossReset(StrEnum):
    """When the session loss starts anew."""

    UTC_MIDNIGHT = "utc_midnight"
    MANUAL = "manual"


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

    def begin_anew(self) -> None:
        """Begin a new session at the next check, whatever was lost."""
        self.baseline, self.is_tripped = None, False

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
