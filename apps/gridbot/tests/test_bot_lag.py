"""Lists that lag for longer than anybody expects: no order twice, none forgotten."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.settings.session_settings import SessionSettings
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_books import disagreements
from testkit.bot_world import BotWorld, StrategySpec, at_once
from testkit.paper import paper_account, paper_market
from testkit.storm_watch import StormWatch
from testkit.virtual_loop import run_virtually


def test_orders_that_no_list_and_no_look_up_shows_for_20_s_are_not_placed_again() -> None:
    world = BotWorld(
        [paper_market()],
        [paper_account()],
        [StrategySpec(grid_count=10)],
        seed=1,
        settings=SessionSettings(blocking=at_once, sync_interval_s=3.0),
    )
    problems: list[str] = []
    StormWatch(world, problems.append)
    placed: list[int] = []

    async def session() -> None:
        world.paper.trade(Decimal(60_000))
        lag = FaultRule(kind=FaultKind.LAG, match="order/", delay_ms=20_000, duration_s=45.0)
        world.paper.parts.faults.add(lag)
        await world.start()
        for number in range(50):
            world.paper.trade(Decimal(60_000) + number % 2, after_ms=1)
            await world.until(world.exchange.now_ms + 1_000)
            placed.append(len(world.paper.account.open_orders))
        await asyncio.sleep(10)
        assert disagreements(world) == []

    run_virtually(session())
    assert problems == []
    assert set(placed[3:]) == {10}
    assert world.alerts.count(AlertKey.RECONCILE_DIFFERENCE) == 0


@pytest.mark.parametrize("another_step", [False, True])
def test_orders_on_their_way_when_the_process_is_killed_are_not_placed_again(
    another_step: bool,
) -> None:
    """The next start is there before the exchange has them; another step changes nothing of it."""
    world = BotWorld(
        [paper_market()],
        [paper_account()],
        [StrategySpec(grid_count=10)],
        seed=1,
        settings=SessionSettings(blocking=at_once, sync_interval_s=3.0),
    )
    problems: list[str] = []
    StormWatch(world, problems.append)

    async def session() -> None:
        world.paper.trade(Decimal(60_000))
        await world.start()
        await world.until(world.exchange.now_ms + 3_000)
        whole = len(world.paper.account.open_orders)
        late = FaultRule(kind=FaultKind.LATENCY, match="create", delay_ms=3_000, duration_s=1.0)
        world.paper.parts.faults.add(late)
        # the market leaves the grid: it is built anew, and the new orders are late
        world.paper.trade(Decimal(60_020), after_ms=1)
        world.paper.run(do="cancel_orders", account="one", symbol="BTCUSDT")
        await world.until(world.exchange.now_ms + 200)
        world.paper.trade(Decimal(60_021), after_ms=1)
        await world.until(world.exchange.now_ms + 150)
        assert not world.paper.account.open_orders
        world.kill()
        if another_step:
            world.specs[0].grid_step = "0.2"
        await world.start()
        for number in range(40):
            world.paper.trade(Decimal(60_020) + number % 2, after_ms=1)
            await world.until(world.exchange.now_ms + 1_000)
        assert disagreements(world) == []
        assert len(world.paper.account.open_orders) >= whole - 2

    run_virtually(session())
    assert problems == []
    assert world.starts == 2
