"""Two paths built apart, the same prices, the same trades: shadow mode and the backtest.

The shadow is the live bot's actor and queue fed with stream events one by one; the backtest reads
columns and jumps from one interesting row to the next.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import numpy as np
import pytest

from backtest.run.engine import BacktestEngine
from backtest.settings.config import BacktestConfig
from exchange_model.account.simulated_account import FeeRates
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import LoggedAlerts
from gridbot.ports import ExchangeClock, MachineTime
from gridbot.shadow import ShadowExecutor
from gridcore import GridStrategy, PublicTradeEvent, SideType, TickerEvent
from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.quality import DataQuality
from market_data.columns.ticks import TickColumns, TickerColumns
from market_data.providers.data_provider import InMemoryDataProvider
from testkit.paper import paper_listing

START = datetime(2026, 3, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
TICK, STEP = Decimal("0.10"), Decimal("0.001")
SETTINGS = {
    "strat_id": "both",
    "symbol": "BTCUSDT",
    "tick_size": "0.10",
    "grid_count": 20,
    "grid_step": "0.1",
    "amount": "x0.01",
    "leverage": "10",
}


def path(seed: int, count: int) -> list[int]:
    """Return prices in ticks, about a grid step apart."""
    chance = Random(seed)
    price, prices = 600_000.0, []
    for _ in range(count):
        price += chance.gauss((600_000 - price) * 0.01, 450)
        prices.append(round(price))
    return prices


def columns(prices: list[int]) -> TickColumns:
    """Return a trade every second, and its ticker 100 ms later."""
    trades_us = START_US + np.arange(len(prices), dtype=np.int64) * 1_000_000
    ticks = np.array(prices, dtype=np.int64)
    sides = np.where(np.diff(ticks, prepend=ticks[0]) >= 0, TAKER_BUY, TAKER_SELL).astype(np.int8)
    return TickColumns(
        symbol="BTCUSDT",
        tick_size=TICK,
        size_step=STEP,
        ts_us=trades_us,
        price_ticks=ticks,
        size=np.full(len(prices), 1_000, dtype=np.int64),
        side=sides,
        quality=DataQuality(rows_read=len(prices), rows_kept=len(prices)),
        tickers=TickerColumns(ts_us=trades_us + 100_000, price_ticks=ticks),
    )


def simulated(prices: list[int]) -> list[tuple[object, ...]]:
    config = BacktestConfig.model_validate(
        {"strategies": [SETTINGS], "funding": {"use_history": False, "rate": 0}}
    )
    session = BacktestEngine(config).run(
        "BTCUSDT", data_provider=InMemoryDataProvider(columns(prices))
    )
    return [
        (one.ts_us, one.client_order_id, one.side, one.price, one.qty, one.fee, one.realised_pnl)
        for one in session.trades
    ]


async def shadowed(prices: list[int]) -> list[tuple[object, ...]]:
    config = BacktestConfig.model_validate({"strategies": [SETTINGS]}).strategies[0]
    strategy = GridStrategy(config.to_strategy(paper_listing().instrument))
    runner = StrategyRunner(
        strategy, "one", ExchangeClock(MachineTime()), LoggedAlerts(), is_shadow=True
    )
    executor = ShadowExecutor(runner, Decimal(10_000), fees=FeeRates())
    runner.use(executor, executor)
    actor = asyncio.get_running_loop().create_task(runner.run())
    before = prices[0]
    for step, ticks in enumerate(prices):
        at = START + timedelta(seconds=step)
        price = TICK * ticks
        common = {"symbol": "BTCUSDT", "local_ts": at}
        side = SideType.BUY if ticks >= before else SideType.SELL
        before = ticks
        runner.tell(
            PublicTradeEvent(
                **common, exchange_ts=at, trade_id=f"t{step}", side=side, price=price,
                size=Decimal(1),
            )
        )  # fmt: skip
        runner.tell(
            TickerEvent(
                **common, exchange_ts=at + timedelta(milliseconds=100), last_price=price,
                mark_price=price,
            )
        )  # fmt: skip
        while runner.inbox:  # noqa: ASYNC110 - the actor's queue is what is waited for
            await asyncio.sleep(0)
    actor.cancel()
    assert runner.stopped_because is None
    return [
        (one.ts_us, one.client_order_id, one.side, one.price, one.qty, one.fee, one.realised_pnl)
        for one in executor.trades
    ]


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(4))
async def test_shadow_and_backtest_trade_the_same(seed: int) -> None:
    prices = path(seed, 900)
    expected = simulated(prices)
    assert len(expected) > 100
    assert await shadowed(prices) == expected


@pytest.mark.integration
async def test_a_shadow_names_its_orders_and_sends_nothing() -> None:
    config = BacktestConfig.model_validate({"strategies": [SETTINGS]}).strategies[0]
    strategy = GridStrategy(config.to_strategy(paper_listing().instrument))
    runner = StrategyRunner(
        strategy, "one", ExchangeClock(MachineTime()), LoggedAlerts(), is_shadow=True
    )
    executor = ShadowExecutor(runner, Decimal(10_000))
    runner.use(executor, executor)
    runner.handle(
        TickerEvent(symbol="BTCUSDT", exchange_ts=START, local_ts=START, last_price=Decimal(60_000))
    )
    while runner.inbox:
        runner.handle(runner.inbox.take())
    ids = {order.order_id: order.client_order_id for order in strategy.view.orders}
    assert len(ids) > 10
    assert all(order_id == f"shadow_{client}" for order_id, client in ids.items())
