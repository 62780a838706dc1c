"""A machine whose clock is set while the bot runs: nothing becomes certain sooner or later."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gridbot.alerts.alerts import AlertKey
from gridbot.ports import ExchangeClock
from gridbot.settings.session_settings import SessionSettings
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_world import BotWorld, StrategySpec, at_once
from testkit.paper import paper_account, paper_market
from testkit.virtual_loop import run_virtually


class SetClock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.seconds += seconds
        self.time += timedelta(seconds=seconds)


def test_the_exchanges_time_goes_on_whatever_is_done_to_the_machines() -> None:
    source = SetClock()
    clock = ExchangeClock(source)
    begun = source.now()
    clock.measured(begun, begun, begun + timedelta(seconds=2))
    source.passes(10)
    assert clock.now() == begun + timedelta(seconds=12)
    source.time -= timedelta(hours=1)
    assert clock.now() == begun + timedelta(seconds=12)
    source.passes(5)
    assert clock.now() == begun + timedelta(seconds=17)
    assert clock.local() == begun + timedelta(seconds=15, hours=-1)
    # the next measurement says how far the machine is off now
    drift = clock.measured(source.now(), source.now(), clock.now())
    assert drift == timedelta(hours=1, seconds=2)


def lost_orders(step: timedelta, hangs_s: float) -> tuple[list[tuple[float, int]], BotWorld]:
    """Lose all placements, step the clock, and return when how many orders rest."""
    world = BotWorld(
        [paper_market()],
        [paper_account()],
        [StrategySpec(grid_count=4, grid_step="0.2")],
        seed=1,
        settings=SessionSettings(blocking=at_once, clock_interval_s=0),
    )
    story: list[tuple[float, int]] = []

    async def session() -> None:
        loop = asyncio.get_running_loop()
        faults = world.paper.parts.faults
        faults.add(FaultRule(kind=FaultKind.HTTP_ERROR, match="order/create", duration_s=3.0))
        world.paper.trade(Decimal(60_000))
        await world.start()
        await world.until(world.exchange.now_ms + 1_000)
        if hangs_s:
            faults.add(FaultRule(kind=FaultKind.HTTP_ERROR, match="order/", duration_s=hangs_s))
        # signed calls are refused while the clock is far off, so it steps by less than the window
        world.clock.skew += step
        begun = loop.time()
        for _ in range(60):
            world.paper.trade(Decimal(60_000), after_ms=1)
            await world.until(world.exchange.now_ms + 2_000)
            story.append((loop.time() - begun, len(world.paper.account.open_orders)))

    run_virtually(session())
    return story, world


def test_a_lost_order_frees_its_price_after_the_same_time_when_the_clock_steps_back() -> None:
    steady, _ = lost_orders(timedelta(0), 0)
    stepped, _ = lost_orders(timedelta(seconds=-4), 0)
    placed = [next(at for at, count in story if count) for story in (steady, stepped)]
    assert placed[0] == placed[1] < 20
    # nobody counted on the step being small: what waits is monotonic
    assert stepped[-1][1] == steady[-1][1] == 4


def test_an_order_that_stays_unknown_is_told_after_a_minute_though_the_clock_stepped_back() -> None:
    _, world = lost_orders(timedelta(seconds=-4), 75)
    assert world.alerts.count(AlertKey.AMBIGUOUS_UNRESOLVED) >= 1
