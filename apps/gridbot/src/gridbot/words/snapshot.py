"""What the bot looks like at one moment: plain values for status, live view, texts and metrics.

Everything here is frozen and holds no reference into the running bot, so it may be handed to any
thread. Money is USDT, sizes are base coin, times are aware UTC; None is what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from grid_db import AccountEnvironment, RunType
from gridcore import DirectionType, GridSideType, SideType

ZERO = Decimal(0)


class Health(StrEnum):
    """How a strategy is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # trades, but something is wrong: see its reasons
    BLOCKED = "blocked"  # places nothing, cancels go on: see its reasons
    STOPPED = "stopped"  # does nothing any more


@dataclass(frozen=True, slots=True, kw_only=True)
class LegStatus:
    """One leg of a symbol. margin_ratio is position value / wallet balance."""

    direction: DirectionType
    size: Decimal
    entry_price: Decimal | None = None
    unrealised_pnl: Decimal | None = None
    liquidation_price: Decimal | None = None
    margin_ratio: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSnapshot:
    """One of the strategy's own orders that rests or is on its way. leaves_qty is still open."""

    direction: DirectionType
    side: SideType
    price: Decimal
    qty: Decimal
    leaves_qty: Decimal
    reduce_only: bool
    status: str = "placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSnapshot:
    """One level of the grid."""

    price: Decimal
    side: GridSideType


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCounts:
    """What became of orders since the start of the run."""

    placed: int = 0
    cancelled: int = 0
    rejected: int = 0
    fills: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PnlSnapshot:
    """Profit of one strategy since the start of the run, USDT.

    fees are paid (a rebate is negative). other_fees are those that were paid in other coins and are
    not known in USDT: coin to amount of that coin. No other figure contains them.
    """

    realised: Decimal = ZERO
    unrealised: Decimal | None = None
    fees: Decimal = ZERO
    funding: Decimal = ZERO  # paid; received is negative
    other_fees: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def net(self) -> Decimal:
        """Realised and unrealised profit less fees and funding, without `other_fees`."""
        return self.realised + (self.unrealised or ZERO) - self.fees - self.funding


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySnapshot:
    """One strategy. levels ascend; reasons say why it is not healthy."""

    strat_id: str
    account: str
    symbol: str
    run_type: RunType
    health: Health
    reasons: tuple[str, ...] = ()
    is_paused: bool = False
    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    last_tick_at: datetime | None = None
    queued_events: int = 0
    long: LegStatus
    short: LegStatus
    levels: tuple[LevelSnapshot, ...] = ()
    orders: tuple[OrderSnapshot, ...] = ()
    counts: OrderCounts = OrderCounts()
    pnl: PnlSnapshot = PnlSnapshot()

    def tick_age_s(self, now: datetime) -> float | None:
        """Return the seconds since the last ticker, None before the first."""
        return None if self.last_tick_at is None else (now - self.last_tick_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """One account. is_connected covers its private and public streams."""

    name: str
    environment: AccountEnvironment
    is_connected: bool
    wallet_balance: Decimal | None = None
    available_balance: Decimal | None = None
    equity: Decimal | None = None
    wallet_at: datetime | None = None
    clock_drift_s: float | None = None
    reconnects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattended:
    """A strategy of the configuration that nobody looks after, and why: its orders may rest."""

    strat_id: str
    account: str
    symbol: str
    reason: str


class RunState(StrEnum):
    """Where the process is between its start and its end."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"  # because somebody asked for it, so what rests is meant to rest
    FAILED = "failed"  # it ended, or did not begin, and nobody had asked for that


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSnapshot:
    """The whole bot. taken_at is the heartbeat: whoever makes it runs on the bot's event loop.

    The state STOPPED keeps the watchdog from acting, but for what is unattended.
    """

    taken_at: datetime
    started_at: datetime
    pid: int
    state: RunState = RunState.RUNNING
    reason: str = ""  # why it failed
    accounts: tuple[AccountSnapshot, ...] = ()
    strategies: tuple[StrategySnapshot, ...] = ()
    unattended: tuple[Unattended, ...] = ()

    def strategies_of(self, account: str) -> list[StrategySnapshot]:
        """Return the strategies of an account."""
        return [one for one in self.strategies if one.account == account]
