"""A forced close: told once and counted once, whichever channel tells it, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from bybit_adapter import StreamUpdate
from gridbot.alerts.alerts import AlertKey
from gridbot.ports import StreamCallbacks
from gridbot.session.market_hub import MarketHub
from gridbot.session.reconciler import NotConfirmedError
from gridcore import SafetyCaps
from paper_exchange.stream.session import Channel
from testkit.bot_books import disagreements
from testkit.bot_scene import LIVELY, Scene, play
from testkit.in_process_stream import InProcessStream
from testkit.provokes import provokes

WHAT: dict[str, tuple[dict[str, Any], str]] = {
    "takeover": ({"do": "liquidate", "account": "one"}, "BustTrade"),
    "reduce": (
        {"do": "liquidate", "account": "one", "by": "reduce", "ratio": "0.5"}, "CreateByLiq",
    ),
    "adl": (
        {"do": "adl", "account": "one", "symbol": "BTCUSDT", "direction": "long", "qty": "0.001"},
        "AdlTrade",
    ),
    "deliver": ({"do": "deliver", "symbol": "BTCUSDT"}, "Settle"),
}  # fmt: skip
HOW = ("live", "cut", "down", "lost", "hidden")
CAPS = SafetyCaps(session_loss_limit=Decimal(5_000))


@provokes(AlertKey.LIQUIDATION_OR_ADL)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("what", WHAT)
def test_a_forced_close_is_told_and_counted_once(what: str, how: str) -> None:
    action, cause = WHAT[what]

    async def story(scene: Scene) -> None:
        world, account = scene.world, scene.world.paper.account
        pair = account.books["BTCUSDT"].pair
        await scene.until(lambda: pair.long.size and pair.short.size, 3_600, "both legs")
        await asyncio.sleep(30)
        scene.from_now()
        wallet = account.money.wallet
        counted = scene.runner().strategy.view.loss.realised
        seen = len(account.executions)
        assert world.private is not None
        if how == "cut":
            world.private.cut(for_s=20)
            await asyncio.sleep(5)
        elif how == "down":
            world.kill()
            await asyncio.sleep(5)
        elif how == "lost":
            scene.fault("lose", channel="private", duration_s=5)
        elif how == "hidden":
            scene.fault("hide", match="execution/list")
        scene.act(**action)
        if how == "down":
            await asyncio.sleep(30)
            if what == "deliver":
                with pytest.raises(NotConfirmedError, match="is delisted"):
                    await world.start()
            else:
                await world.start()
        await asyncio.sleep(130)
        forced = [
            one for one in account.executions if cause in (one.exec_type.value, one.create_type)
        ]
        assert len(forced) == (1 if what == "adl" else 2)
        told = scene.told(AlertKey.LIQUIDATION_OR_ADL)
        assert sorted(text.partition(" at ")[0] for text in told) == sorted(
            f"btcusdt: {cause} of {one.qty} BTCUSDT" for one in forced
        )
        assert all(text.endswith(" UTC") for text in told)
        # every execution since, once: what the wallet shows is what the session has counted
        runner = scene.runner()
        assert runner.strategy.view.loss.realised - counted == account.money.wallet - wallet
        assert len(account.executions) > seen
        if what == "deliver":
            assert scene.health()[0] == "stopped"
            assert AlertKey.STRATEGY_STOPPED in scene.kinds()
            return
        assert scene.health() == ("healthy", "")
        assert disagreements(world) == []
        assert len(scene.told(AlertKey.ORDERS_CANCELLED)) <= 1
        assert set(scene.kinds()) <= {
            AlertKey.LIQUIDATION_OR_ADL, AlertKey.ORDERS_CANCELLED, AlertKey.RECONCILE_DIFFERENCE,
        }  # fmt: skip

    play(story, volatility=LIVELY, caps=CAPS)


@provokes(AlertKey.LIQUIDATION_OR_ADL)
def test_a_forced_close_degrades_until_rest_shows_the_sizes() -> None:
    async def story(scene: Scene) -> None:
        pair = scene.world.paper.account.books["BTCUSDT"].pair
        await scene.until(lambda: pair.long.size and pair.short.size, 3_600, "both legs")
        scene.fault("http_error", match="position/list")
        scene.act(**WHAT["adl"][0])
        await asyncio.sleep(30)
        assert scene.health() == ("degraded", "the exchange closed 0.001 by AdlTrade")
        scene.heal()
        await scene.until(lambda: scene.health() == ("healthy", ""), 70, "health")

    scene = play(story, volatility=LIVELY)
    assert len(scene.told(AlertKey.LIQUIDATION_OR_ADL)) == 1


@provokes(AlertKey.LOSS_BREAKER)
@pytest.mark.parametrize("how", ["live", "cut"])
def test_a_forced_close_counts_for_the_session_loss(how: str) -> None:
    """Opening the position is within the limit; its forced close, with a fee again, is not."""

    async def story(scene: Scene) -> None:
        scene.act(
            do="place_order", account="one", symbol="BTCUSDT", direction="long", side="Buy",
            qty="0.5",
        )  # fmt: skip
        await asyncio.sleep(70)
        assert scene.health() == ("healthy", "")
        scene.from_now()
        if how == "cut":
            assert scene.world.private is not None
            scene.world.private.cut(for_s=20)
            await asyncio.sleep(5)
        scene.act(
            do="liquidate", account="one", by="reduce", ratio="1", symbol="BTCUSDT",
            direction="long",
        )  # fmt: skip
        await scene.until(lambda: AlertKey.LOSS_BREAKER in scene.kinds(), 60, "the breaker")
        assert scene.health()[0] == "blocked"
        await asyncio.sleep(120)
        assert scene.orders() == 0
        assert len(scene.told(AlertKey.LOSS_BREAKER)) == 1

    # a taker's fee of 0.055 % of 30,000 USDT is 16.5, and it is paid twice
    play(story, caps=SafetyCaps(session_loss_limit=Decimal(25)))


@provokes(AlertKey.INTERNAL_ERROR)
def test_messages_that_cannot_be_handled_are_told_once_and_end_nothing() -> None:
    async def story(scene: Scene) -> None:
        world = scene.world
        handled: list[StreamUpdate] = []

        def record(update: StreamUpdate) -> None:
            handled.append(update)
            raise KeyError("a defect of whoever keeps it")

        def open_public(symbols: Sequence[str], callbacks: StreamCallbacks) -> InProcessStream:
            return InProcessStream(
                world.paper, Channel.PUBLIC, [f"tickers.{one}" for one in symbols], callbacks,
                world.clock, world.network, world.chance,
            )  # fmt: skip

        hub = MarketHub(
            "paper", open_public, [scene.runner()], world.clock, world.alerts, world.settings,
            record,
        )  # fmt: skip
        await hub.start()
        await asyncio.sleep(60)
        assert len(handled) > 30
        assert scene.health() == ("healthy", "")
        await hub.stop()

    scene = play(story)
    assert scene.world.alerts.all == [
        (AlertKey.INTERNAL_ERROR, "paper: a message of the market was not handled; see the log")
    ]
