"""A snapshot of a bot, for those who show it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from grid_db import Environment, RunType
from gridbot.words.snapshot import (
    AccountSnapshot,
    BotSnapshot,
    Health,
    LegStatus,
    LevelSnapshot,
    OrderCounts,
    OrderSnapshot,
    PnlSnapshot,
    StrategySnapshot,
)
from gridcore import DirectionType, GridSideType, SideType

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def shown_order(price: int, side: SideType, *, closing: bool = False) -> OrderSnapshot:
    """Return an order of which half is left."""
    is_long = (side is SideType.BUY) is not closing
    return OrderSnapshot(
        direction=DirectionType.LONG if is_long else DirectionType.SHORT,
        side=side,
        price=Decimal(price),
        qty=Decimal("0.0020"),
        leaves_qty=Decimal("0.001"),
        reduce_only=closing,
    )


def shown_bot(at: datetime = NOW) -> BotSnapshot:
    """Return a bot with two strategies: one that is paused, and one that knows no price yet."""
    strategy = StrategySnapshot(
        strat_id="btc",
        account="main",
        symbol="BTCUSDT",
        run_type=RunType.LIVE,
        health=Health.BLOCKED,
        reasons=("held by pause",),
        is_paused=True,
        last_price=Decimal("60000.10"),
        last_tick_at=at - timedelta(seconds=3),
        long=LegStatus(
            direction=DirectionType.LONG,
            size=Decimal("0.010"),
            entry_price=Decimal("59000"),
            unrealised_pnl=Decimal("10.001"),
            liquidation_price=Decimal("30000"),
            margin_ratio=Decimal("0.059"),
        ),
        short=LegStatus(direction=DirectionType.SHORT, size=Decimal(0)),
        levels=tuple(
            LevelSnapshot(
                price=Decimal(60000 + 100 * step),
                side=GridSideType.WAIT
                if not step
                else GridSideType.SELL
                if step > 0
                else GridSideType.BUY,
            )
            for step in range(-8, 9)
        ),
        orders=(
            shown_order(59900, SideType.BUY),
            shown_order(60100, SideType.SELL),
            shown_order(60200, SideType.SELL, closing=True),
        ),
        counts=OrderCounts(placed=12, cancelled=3, rejected=1, fills=6),
        pnl=PnlSnapshot(
            realised=Decimal("5.5"),
            unrealised=Decimal("10.001"),
            fees=Decimal("1.25"),
            funding=Decimal("-0.25"),
        ),
    )
    second = replace(
        strategy, strat_id="eth", symbol="ETHUSDT", health=Health.HEALTHY, reasons=(),
        is_paused=False, last_price=None, last_tick_at=None, orders=(), levels=(),
        pnl=PnlSnapshot(realised=Decimal(-1)),
    )  # fmt: skip
    account = AccountSnapshot(
        name="main",
        environment=Environment.PAPER,
        is_connected=True,
        wallet_balance=Decimal("10005.5"),
        equity=Decimal("10015.501"),
        clock_drift_s=0.02,
        reconnects=2,
    )
    return BotSnapshot(
        taken_at=at,
        started_at=at - timedelta(hours=3),
        pid=77,
        accounts=(account,),
        strategies=(strategy, second),
    )
