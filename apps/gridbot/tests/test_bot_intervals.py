"""What is asked of the exchange, how often, and that 0 means never."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gridbot.settings.session_settings import SessionSettings
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_world import BotWorld, StrategySpec, at_once
from testkit.paper import paper_account, paper_market
from testkit.virtual_loop import run_virtually

OFF: dict[str, Any] = {
    "sync_interval_s": 0.0,
    "position_interval_s": 1e6,
    "wallet_interval_s": 0.0,
    "clock_interval_s": 0.0,
    "account_interval_s": 0.0,
}
MINUTE_MS = 60_000


def asked_in_a_minute(**intervals: float) -> dict[str, int]:
    """Return how often a bot whose intervals are off, but for some, asks for what."""
    world = BotWorld(
        [paper_market()],
        [paper_account()],
        [StrategySpec(grid_count=10)],
        seed=1,
        settings=SessionSettings(blocking=at_once, **(OFF | intervals)),
    )

    async def session() -> dict[str, int]:
        world.paper.trade(Decimal(60_000))
        await world.start()
        await world.until(world.exchange.now_ms + 30_000)
        before = world.rest.calls.copy()
        await world.until(world.exchange.now_ms + MINUTE_MS)
        world.kill()
        await asyncio.sleep(0)
        return dict(world.rest.calls - before)

    return run_virtually(session())


def test_with_all_off_nothing_is_asked() -> None:
    assert asked_in_a_minute() == {}


@pytest.mark.parametrize(
    ("interval", "asked"),
    [
        ("sync_interval_s", {"get_open_orders", "get_positions", "get_executions_all"}),
        ("position_interval_s", {"get_positions", "get_executions_all"}),
        ("clock_interval_s", {"get_server_time"}),
        ("account_interval_s", {"get_account_info"}),
    ],
)
def test_each_interval_asks_for_its_own(interval: str, asked: set[str]) -> None:
    often = asked_in_a_minute(**{interval: 5.0})
    assert asked <= set(often), often
    assert all(10 <= often[name] <= 13 for name in asked), often
    if "get_open_orders" not in asked:
        assert "get_open_orders" not in often


def test_the_wallet_is_read_by_its_own_interval() -> None:
    assert "get_wallet_balance" not in asked_in_a_minute(sync_interval_s=5.0)
    often = asked_in_a_minute(sync_interval_s=5.0, wallet_interval_s=20.0)
    assert often["get_wallet_balance"] == 3


def test_positions_are_not_asked_for_twice_where_orders_are_compared() -> None:
    often = asked_in_a_minute(sync_interval_s=5.0, position_interval_s=5.2)
    assert often["get_positions"] == often["get_open_orders"]


def test_orders_that_could_not_be_compared_are_compared_at_the_next_attempt() -> None:
    """After a gap of the stream: the exchange refuses the first look, and orders are in doubt."""
    world = BotWorld(
        [paper_market()],
        [paper_account()],
        [StrategySpec(grid_count=10)],
        seed=1,
        settings=SessionSettings(blocking=at_once, **OFF),
    )

    async def session() -> None:
        world.paper.trade(Decimal(60_000))
        await world.start()
        await world.until(world.exchange.now_ms + 30_000)
        assert world.session is not None
        (runner,) = world.session.runners.values()
        # nobody hears of the cancels
        deaf = FaultRule(kind=FaultKind.LOSE, channel="private", duration_s=1.0)
        world.paper.parts.faults.add(deaf)
        world.paper.run(do="cancel_orders", account="one", symbol="BTCUSDT")
        await world.until(world.exchange.now_ms + 10_000)
        refused = FaultRule(kind=FaultKind.RET_CODE, match="instruments-info", code=10016, count=1)
        world.paper.parts.faults.add(refused)
        before = world.rest.calls.copy()
        world.session.reconciler.request(runner, "a gap")
        await world.until(world.exchange.now_ms + 30_000)
        asked = world.rest.calls - before
        assert asked["get_instrument"] == 2
        assert asked["get_open_orders"] == 1
        world.kill()

    run_virtually(session())
