"""What becomes of a contract: told once, on the one symbol, and over when it is over."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gridbot.alerts.alerts import AlertKey
from paper_exchange.market.listing import ContractStatus
from testkit.bot_books import disagreements
from testkit.bot_scene import LIVELY, Scene, play
from testkit.provokes import provokes

LEVELS = 20
TOLD_OVER_S = 75.0  # what blocked is over for a minute
SYMBOLS = ("BTCUSDT", "ETHUSDT")
SYNC_S = 61.0


@pytest.mark.slow
@provokes(AlertKey.EXCHANGE_MAINTENANCE)
@pytest.mark.parametrize("code", [110063, 110066, 110074])
def test_a_contract_that_takes_no_orders_stops_nobody_else(code: int) -> None:
    async def story(scene: Scene) -> None:
        world = scene.world
        btc = scene.runner("BTCUSDT")
        scene.act(do="halt", symbol="ETHUSDT", code=code, tickers=True)
        world.exchange.cancel_all(world.paper.account, ["ETHUSDT"], "CancelBySettle")
        await scene.until(lambda: scene.health("ETHUSDT")[0] == "blocked", 10, "the pause")
        (text,) = scene.told(AlertKey.EXCHANGE_MAINTENANCE)
        assert text.startswith("ethusdt: ETHUSDT: the exchange takes no orders: ")
        assert text.endswith("tried again every 30 s")
        placed, fills = btc.executor.placed, btc.tally.fills  # type: ignore[union-attr]
        longest = quiet = 0
        for _ in range(700):
            await asyncio.sleep(1)
            assert scene.health("BTCUSDT") == ("healthy", "")
            now = btc.executor.placed  # type: ignore[union-attr]
            quiet, placed = (0, now) if now != placed else (quiet + 1, placed)
            longest = max(longest, quiet)
        assert btc.tally.fills > fills + 10
        assert longest < 600  # seconds without any order of the other contract
        assert scene.health("ETHUSDT")[0] == "blocked"
        assert "tried again every 300 s" in scene.health("ETHUSDT")[1]
        scene.act(do="halt", symbol="ETHUSDT", halted=False)
        await scene.until(lambda: scene.health("ETHUSDT") == ("healthy", ""), 301, "health")
        await scene.until(lambda: scene.orders("ETHUSDT") >= LEVELS - 4, 90, "the grid")
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story, symbols=SYMBOLS, volatility=LIVELY)
    assert scene.kinds() == [
        AlertKey.ORDERS_CANCELLED, AlertKey.EXCHANGE_MAINTENANCE, AlertKey.STRATEGY_UNBLOCKED,
    ]  # fmt: skip
    assert scene.told()[0] == "ethusdt: the exchange cancelled orders: CancelBySettle"
    assert scene.told()[2] == "ethusdt: no longer blocked by exchange_maintenance"


@provokes(AlertKey.RULES_CHANGED)
def test_other_rules_are_told_once_and_followed() -> None:
    async def story(scene: Scene) -> None:
        scene.act(do="change_rules", symbol="BTCUSDT", qty_step="0.01", min_qty="0.01")
        await scene.until(scene.told, SYNC_S + 2, "the alert")
        assert scene.health() == ("healthy", "")
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")

        def is_in_steps() -> bool:
            orders = list(scene.world.paper.account.orders_of("BTCUSDT"))
            return len(orders) == LEVELS and {one.qty for one in orders} == {Decimal("0.01")}

        await scene.until(is_in_steps, 75, "a grid of the new step")
        await asyncio.sleep(600)
        assert scene.health() == ("healthy", "")

    scene = play(story)
    assert scene.kinds() == [AlertKey.RULES_CHANGED]
    (text,) = scene.told()
    assert text == (
        "btcusdt: rules of BTCUSDT changed: qty_step 0.001 is 0.01 now, min_qty 0.001 is 0.01 now;"
        " orders follow it from here on"
    )


@provokes(AlertKey.TICK_SIZE_CHANGED)
def test_another_tick_size_is_one_alert_and_another_grid() -> None:
    async def story(scene: Scene) -> None:
        scene.act(do="change_rules", symbol="BTCUSDT", tick_size="0.5")
        await scene.until(scene.told, SYNC_S + 2, "the alert")

        def is_on_ticks() -> bool:
            orders = list(scene.world.paper.account.orders_of("BTCUSDT"))
            return len(orders) == LEVELS and not any(one.price % Decimal("0.5") for one in orders)

        await scene.until(is_on_ticks, 30, "a grid on the new ticks")
        await scene.until(lambda: scene.health() == ("healthy", ""), 30, "health")
        await asyncio.sleep(600)
        assert scene.health() == ("healthy", "")
        assert disagreements(scene.world) == []

    # its own orders of before are no unknown ones
    scene = play(story)
    assert scene.kinds() == [AlertKey.TICK_SIZE_CHANGED]
    assert scene.told() == [
        "btcusdt: rules of BTCUSDT changed: tick_size 0.10 is 0.5 now; the grid is built anew on it"
    ]


@provokes(AlertKey.NO_MARKET_DATA)
def test_a_market_that_is_silent_for_a_minute_is_told() -> None:
    async def story(scene: Scene) -> None:
        scene.market_ends()
        await scene.until(lambda: scene.health()[0] == "blocked", 62, "the block")
        assert scene.health()[1].startswith("no ticker of BTCUSDT for 6")
        await asyncio.sleep(600)
        assert scene.health()[1].startswith("no ticker of BTCUSDT for 66")
        assert scene.kinds() == [AlertKey.NO_MARKET_DATA]
        scene.market_goes_on()
        await scene.until(lambda: scene.health() == ("healthy", ""), 5, "health")
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story)
    assert scene.kinds() == [AlertKey.NO_MARKET_DATA, AlertKey.STRATEGY_UNBLOCKED]
    assert scene.told()[0].startswith("btcusdt: no ticker of BTCUSDT for 6")


@pytest.mark.slow
@provokes(AlertKey.CONTRACT_ENDS, AlertKey.STRATEGY_STOPPED)
def test_a_delisting_is_told_ahead_degrades_and_ends_one_strategy() -> None:
    async def story(scene: Scene) -> None:
        scene.act(do="announce_delisting", symbol="ETHUSDT", in_s=1_200, settling_s=30)
        await scene.until(scene.told, SYNC_S + 2, "the alert")
        assert scene.kinds() == [AlertKey.CONTRACT_ENDS]
        (text,) = scene.told()
        assert text.startswith("ethusdt: ETHUSDT is delisted at 2026-07-25 17:40 UTC: ")
        assert scene.health("ETHUSDT") == (
            "degraded", "ETHUSDT is delisted at 2026-07-25 17:40 UTC",
        )  # fmt: skip
        await asyncio.sleep(900)
        assert scene.kinds() == [AlertKey.CONTRACT_ENDS]
        assert scene.health("ETHUSDT")[0] == "degraded"
        assert scene.orders("ETHUSDT") == LEVELS
        await scene.until(lambda: scene.health("ETHUSDT")[0] == "stopped", 600, "the end")
        assert scene.health("ETHUSDT")[1].startswith("ETHUSDT is delisted (Delivering)")
        await asyncio.sleep(300)
        assert scene.health("BTCUSDT") == ("healthy", "")
        assert scene.orders("BTCUSDT") == LEVELS

    scene = play(story, symbols=SYMBOLS, trades_per_s=0.3)
    (text,) = scene.told(AlertKey.STRATEGY_STOPPED)
    assert text == (
        "ethusdt is stopped: ETHUSDT is delisted (Delivering); take the strategy out of the"
        " configuration"
    )
    assert len(scene.told(AlertKey.CONTRACT_ENDS)) == 1
    assert not any(text.startswith("btcusdt") for text in scene.told())


@pytest.mark.slow
@provokes(AlertKey.CONTRACT_HALTED)
def test_a_contract_that_is_not_traded_waits_alone_and_goes_on() -> None:
    async def story(scene: Scene) -> None:
        market = scene.world.exchange.market("ETHUSDT")
        market.listing = market.listing.with_status(ContractStatus.PRE_LAUNCH)
        await scene.until(scene.told, SYNC_S + 2, "the alert")
        assert scene.world.alerts.all == [
            (
                AlertKey.CONTRACT_HALTED,
                "ethusdt: ETHUSDT is not traded, the exchange says PreLaunch; it ends by itself",
            )
        ]
        assert scene.health("ETHUSDT") == (
            "blocked", "ETHUSDT is not traded, the exchange says PreLaunch; it ends by itself",
        )  # fmt: skip
        await asyncio.sleep(600)
        assert scene.health("BTCUSDT") == ("healthy", "")
        scene.act(do="list_contract", symbol="ETHUSDT")
        await scene.until(lambda: scene.health("ETHUSDT") == ("healthy", ""), SYNC_S + 2, "health")
        await scene.until(lambda: scene.orders("ETHUSDT") == LEVELS, 75, "the grid")
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story, symbols=SYMBOLS)
    assert scene.kinds() == [AlertKey.CONTRACT_HALTED, AlertKey.STRATEGY_UNBLOCKED]
    assert scene.told()[1] == "ethusdt: no longer blocked by contract"


# what REST lists say late


@pytest.mark.slow
def test_a_list_that_lags_is_no_mismatch() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("lag", match="position/list", delay_ms=20_000)
        await asyncio.sleep(600)
        assert scene.runner().tally.fills > 15
        assert scene.health() == ("healthy", "")
        scene.heal()
        await asyncio.sleep(SYNC_S)
        assert disagreements(scene.world) == []

    assert play(story, volatility=LIVELY).told() == []
