"""Comparing with the exchange goes round: all strategies in one interval, never all at once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import pairwise

from paper_exchange.feeds import SyntheticFeed, SyntheticSettings
from testkit.bot_world import BotWorld, StrategySpec
from testkit.paper import paper_account, paper_listing, paper_market
from testkit.virtual_loop import run_virtually

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def test_every_strategy_is_compared_once_in_an_interval_and_each_at_its_own_time() -> None:
    world = BotWorld(
        [paper_market(one) for one in SYMBOLS],
        [paper_account()],
        [StrategySpec(symbol=one, strat_id=one) for one in SYMBOLS],
        seed=1,
    )
    asked: list[tuple[float, str]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        quiet = SyntheticSettings(start_price=Decimal(60_000), trades_per_s=1.0, seed=1)
        feed = SyntheticFeed(paper_listing().instrument, quiet)
        end = world.exchange.now_ms + 3_600_000
        player = loop.create_task(world.play(feed, end), name="world market")
        await asyncio.sleep(1)
        await world.start()
        request = world.session.reconciler.request

        def noted(runner: object, reason: str) -> None:
            if reason == "in turn":
                asked.append((loop.time(), runner.strat_id))  # type: ignore[attr-defined]  # a runner
            request(runner, reason)  # type: ignore[arg-type]  # as above

        world.session.reconciler.request = noted  # type: ignore[method-assign]  # looks on
        await asyncio.sleep(5 * world.settings.sync_interval_s)
        player.cancel()
        await world.stop()

    run_virtually(run())
    interval = world.settings.sync_interval_s
    assert 14 <= len(asked) <= 15  # five rounds of three; the first one may have begun before
    for (before, _), (after, _) in pairwise(asked):
        assert abs(after - before - interval / 3) < 0.001
    for symbol in SYMBOLS:
        turns = [when for when, who in asked if who == symbol]
        assert len(turns) in (4, 5)
        assert all(after - before < interval + 0.001 for before, after in pairwise(turns))
