"""The running bot as plain values."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from grid_db import AccountEnvironment, RunType
from gridbot.actor.executor import IntentExecutor
from gridbot.actor.runner import StrategyRunner
from gridbot.actor.strategy_health import PAUSED
from gridbot.session.account_session import AccountSession
from gridbot.words.snapshot import (
    AccountSnapshot,
    LegStatus,
    LevelSnapshot,
    OrderCounts,
    OrderSnapshot,
    PnlSnapshot,
    StrategySnapshot,
)
from gridcore import LegView


def run_type_of(environment: AccountEnvironment, *, is_shadow: bool) -> RunType:
    """Return what kind of run a strategy's is."""
    if is_shadow:
        return RunType.SHADOW
    return RunType.PAPER if environment is AccountEnvironment.PAPER else RunType.LIVE


def strategy_snapshot(runner: StrategyRunner, environment: AccountEnvironment) -> StrategySnapshot:
    """Return one strategy as it is now."""
    view, ticker = runner.strategy.view, runner.last_ticker
    price = None if ticker is None else ticker.last_price
    health, reasons = runner.health.state()
    executor, tally = runner.executor, runner.tally
    placed = cancelled = 0
    if isinstance(executor, IntentExecutor):
        placed, cancelled = executor.placed, executor.cancelled
    return StrategySnapshot(
        strat_id=runner.strat_id,
        account=runner.account,
        symbol=runner.symbol,
        run_type=run_type_of(environment, is_shadow=runner.is_shadow),
        health=health,
        reasons=reasons,
        is_paused=PAUSED in view.holds,
        last_price=price,
        mark_price=None if ticker is None else ticker.mark_price,
        last_tick_at=None if ticker is None else ticker.local_ts,
        queued_events=len(runner.inbox),
        long=_leg(view.long, price),
        short=_leg(view.short, price),
        levels=tuple(LevelSnapshot(price=level.price, side=level.side) for level in view.levels),
        orders=tuple(
            OrderSnapshot(
                direction=order.direction,
                side=order.side,
                price=order.price,
                qty=order.qty,
                leaves_qty=order.leaves_qty,
                reduce_only=order.reduce_only,
                status=order.status.value,
            )
            for order in view.orders
        ),
        counts=OrderCounts(
            placed=placed, cancelled=cancelled, rejected=tally.rejected, fills=tally.fills
        ),
        pnl=PnlSnapshot(
            realised=tally.realised,
            unrealised=None if price is None else view.unrealised_pnl(price),
            fees=tally.fees,
            funding=tally.funding,
            other_fees=dict(tally.other_fees),
        ),
    )


def _leg(leg: LegView, price: Decimal | None) -> LegStatus:
    ratio = leg.margin_ratio
    return LegStatus(
        direction=leg.direction,
        size=leg.size,
        entry_price=leg.entry_price,
        unrealised_pnl=None if price is None else leg.unrealised_pnl(price),
        liquidation_price=leg.liquidation_price,
        margin_ratio=None if ratio is None else Decimal(str(round(ratio, 6))),
    )


def account_snapshot(
    session: AccountSession,
    environment: AccountEnvironment,
    *,
    market_is_alive: bool,
    now: datetime,
) -> AccountSnapshot:
    """Return one account as it is now."""
    wallet = session.wallet.newest
    usdt = None if wallet is None else wallet.coin()
    shown = None if wallet is None else wallet.snapshot
    balance = None if shown is None else shown.wallet_balance
    open_profit = sum(
        (
            runner.strategy.view.unrealised_pnl(runner.last_ticker.last_price)
            for runner in session.runners.values()
            if runner.last_ticker is not None
        ),
        Decimal(0),
    )
    return AccountSnapshot(
        name=session.name,
        environment=environment,
        is_connected=session.stream.is_alive and market_is_alive,
        wallet_balance=balance,
        available_balance=None if shown is None else shown.available_balance,
        equity=None if balance is None or usdt is None else balance + open_profit,
        wallet_at=None if wallet is None else wallet.as_of,
        clock_drift_s=session.clock.offset.total_seconds(),
        reconnects=session.stream.reconnects,
    )
