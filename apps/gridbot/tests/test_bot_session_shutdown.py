"""A shutdown that cancels: nothing rests afterwards, nothing of others is taken, or it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from bybit_adapter.http.endpoints import CANCEL, CANCEL_ALL, CANCEL_BATCH, Endpoint
from gridbot.alerts.alerts import AlertKey
from paper_exchange.feeds import SyntheticFeed, SyntheticSettings
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_world import BotWorld, StrategySpec
from testkit.paper import paper_account, paper_listing, paper_market
from testkit.provokes import provokes
from testkit.virtual_loop import run_virtually

STOP_S = 8.0


class Shutdown:
    """A bot on a quiet market, with its grid placed, and what it asks the exchange at the end."""

    def __init__(self, grid_count: int = 40) -> None:
        self.world = BotWorld(
            [paper_market()], [paper_account()], [StrategySpec(grid_count=grid_count)], seed=1
        )
        self.calls: list[Endpoint] = []

    async def run(self, before_stop: Callable[[], Awaitable[None]]) -> None:
        """Start, wait for the orders, let `before_stop` happen, and stop with cancelling."""
        world = self.world
        quiet = SyntheticSettings(
            start_price=Decimal(60_000), volatility=0.1, trades_per_s=1.0, seed=1
        )
        feed = SyntheticFeed(paper_listing().instrument, quiet)
        loop = asyncio.get_running_loop()
        end = world.exchange.now_ms + 3_600_000
        player = loop.create_task(world.play(feed, end), name="world market")
        await asyncio.sleep(1)
        await world.start()
        await asyncio.sleep(20)
        await before_stop()
        self._listen()
        begun = loop.time()
        await world.stop(cancel_orders=True, timeout_s=STOP_S)
        self.seconds = loop.time() - begun
        await asyncio.sleep(1)
        player.cancel()

    def _listen(self) -> None:
        send = self.world.transport.send

        def heard(endpoint: Endpoint, params: Any) -> Any:
            self.calls.append(endpoint)
            return send(endpoint, params)

        self.world.transport.send = heard  # type: ignore[method-assign]

    @property
    def left(self) -> list[str]:
        """The link ids of what rests on the exchange."""
        return [one.link_id for one in self.world.paper.account.orders_of("BTCUSDT")]


async def nothing() -> None:
    """Let the bot end as it is."""


def test_many_orders_are_cancelled_by_one_request() -> None:
    shutdown = Shutdown()
    seen: list[int] = []

    async def count() -> None:
        seen.append(len(shutdown.left))

    run_virtually(shutdown.run(count))
    assert seen[0] > 10, "too few orders to prove anything"
    assert shutdown.left == []
    assert shutdown.calls.count(CANCEL_ALL) >= 1
    assert CANCEL_BATCH not in shutdown.calls
    assert shutdown.world.alerts.count(AlertKey.ORDERS_LEFT) == 0
    assert shutdown.seconds < STOP_S


def test_few_orders_are_cancelled_by_their_ids() -> None:
    shutdown = Shutdown(grid_count=6)
    run_virtually(shutdown.run(nothing))
    assert shutdown.left == []
    assert CANCEL_ALL not in shutdown.calls


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_order_of_somebody_else_survives(is_seen: bool) -> None:
    shutdown = Shutdown()

    async def place_by_hand() -> None:
        if not is_seen:
            assert shutdown.world.private is not None
            shutdown.world.private.cut(for_s=600)
            await asyncio.sleep(1)
        shutdown.world.paper.place(price="50000", qty="0.01", orderLinkId="by-hand", settle=False)
        await asyncio.sleep(1)

    run_virtually(shutdown.run(place_by_hand))
    assert shutdown.left == ["by-hand"]
    assert CANCEL_ALL not in shutdown.calls


def test_a_refused_request_for_all_is_followed_by_cancels_one_by_one() -> None:
    shutdown = Shutdown()

    async def refuse() -> None:
        shutdown.world.paper.parts.faults.add(
            FaultRule(kind=FaultKind.RET_CODE, match="cancel-all", code=10016, duration_s=60.0)
        )

    run_virtually(shutdown.run(refuse))
    assert shutdown.left == []
    assert CANCEL_BATCH in shutdown.calls


@provokes(AlertKey.ORDERS_LEFT)
def test_what_nobody_confirmed_is_told() -> None:
    shutdown = Shutdown()

    async def swallow() -> None:
        shutdown.world.paper.parts.faults.add(
            FaultRule(kind=FaultKind.TIMEOUT, match="cancel", executed=False, duration_s=600.0)
        )

    run_virtually(shutdown.run(swallow))
    assert shutdown.left
    told = [text for key, text in shutdown.world.alerts.all if key is AlertKey.ORDERS_LEFT]
    assert len(told) == 1
    assert f"{len(shutdown.left)} orders" in told[0]
    assert CANCEL in shutdown.calls or CANCEL_ALL in shutdown.calls
