"""What is wrong with an account, a stream or a clock: told once, shown, over with its cause."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gridbot.alerts.alerts import AlertKey
from testkit.bot_books import disagreements
from testkit.bot_scene import Scene, play
from testkit.paper import KEY
from testkit.provokes import provokes

LEVELS = 20
TOLD_OVER_S = 75.0  # what blocked is over for a minute
SYNC_S = 61.0
HEALTHY = ("healthy", "")


async def healthy(scene: Scene, within_s: float = SYNC_S + 5) -> None:
    await scene.until(lambda: scene.health() == HEALTHY, within_s, "health")


def by_hand(scene: Scene, **order: Any) -> None:
    scene.act(do="place_order", account="one", symbol="BTCUSDT", **order)


@provokes(AlertKey.STREAM_DOWN)
def test_a_private_stream_that_is_gone_is_told_once_and_when_it_is_back() -> None:
    async def story(scene: Scene) -> None:
        assert scene.world.private is not None
        scene.world.private.cut(for_s=20)
        await asyncio.sleep(120)
        assert scene.kinds() == []  # nothing while short
        scene.world.private.cut(for_s=900)
        await asyncio.sleep(5)
        assert scene.health()[0] == "blocked"
        assert scene.health()[1].startswith("the private stream is gone; it goes on when")
        await asyncio.sleep(800)
        assert scene.kinds() == [AlertKey.STREAM_DOWN]
        await asyncio.sleep(100)
        await healthy(scene, 10)
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story)
    assert scene.kinds() == [AlertKey.STREAM_DOWN] * 2
    gone, back = scene.told()
    assert gone.startswith("account one: the private stream is gone for 3")
    assert back == "account one: the private stream was gone for 900 s"


@pytest.mark.slow
@provokes(AlertKey.CLOCK_DRIFT)
def test_a_clock_that_drifts_is_told_once_and_degrades() -> None:
    async def story(scene: Scene) -> None:
        scene.world.clock.skew = timedelta(seconds=-1.5)
        await scene.until(scene.told, 302, "the alert")
        assert scene.health()[0] == "degraded"
        assert "the clock differs from the exchange's by +1.5" in scene.health()[1]
        await asyncio.sleep(1_800)
        scene.world.clock.skew = timedelta(0)
        await healthy(scene, 302)

    scene = play(story)
    assert scene.kinds() == [AlertKey.CLOCK_DRIFT]
    assert scene.told()[0].startswith("account one: the clock differs from the exchange's by +1.5")


@provokes(AlertKey.NOT_COMPARED)
def test_that_nothing_can_be_compared_is_told_after_two_minutes() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("http_error", match="position/list")
        await asyncio.sleep(100)
        assert (scene.kinds(), scene.health()) == ([], HEALTHY)
        await scene.until(scene.told, SYNC_S + 30, "the alert")
        assert scene.health()[0] == "degraded"
        await asyncio.sleep(900)
        assert scene.health()[1].startswith("nothing could be compared with the exchange for 10")
        scene.heal()
        await healthy(scene, 20)

    scene = play(story)
    assert scene.kinds() == [AlertKey.NOT_COMPARED]
    assert scene.told()[0].startswith("btcusdt: nothing could be compared with the exchange for 12")


def test_an_account_that_stays_unknown_after_a_cut_is_told_by_one_alert() -> None:
    async def story(scene: Scene) -> None:
        assert scene.world.private is not None
        scene.fault("http_error", match="position/list")
        scene.world.private.cut(for_s=5)
        await asyncio.sleep(900)
        assert scene.health()[0] == "blocked"
        assert scene.health()[1].startswith("not confirmed: long leg, short leg, wallet")
        scene.heal()
        await healthy(scene, 20)
        await asyncio.sleep(TOLD_OVER_S)

    assert play(story).kinds() == [AlertKey.NOT_COMPARED]


def test_legs_that_no_answer_shows_are_told() -> None:
    """Every call succeeds, and the rows of the legs are not there."""

    async def story(scene: Scene) -> None:
        assert scene.world.private is not None
        scene.fault("hide", match="position/list")
        scene.world.private.cut(for_s=5)
        await asyncio.sleep(140)
        assert scene.kinds() == []
        await scene.until(scene.told, 60, "the alert")
        assert scene.health() == ("blocked", "not confirmed: long leg, short leg")
        await asyncio.sleep(600)
        scene.heal()
        await healthy(scene)
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story)
    assert scene.world.alerts.all == [
        (AlertKey.STRATEGY_BLOCKED, "btcusdt: not confirmed: long leg, short leg"),
        (AlertKey.STRATEGY_UNBLOCKED, "btcusdt: no longer blocked by account_unknown"),
    ]


@pytest.mark.slow
@provokes(AlertKey.MARGIN_MODE_CHANGED)
def test_another_margin_mode_blocks_until_it_is_switched_back() -> None:
    async def story(scene: Scene) -> None:
        scene.act(do="set_margin_mode", account="one", mode="ISOLATED_MARGIN")
        await scene.until(scene.told, SYNC_S, "the alert")
        why = "account one is in ISOLATED_MARGIN; it has to be in cross margin, switch it back"
        assert scene.health() == ("blocked", why)
        assert scene.told() == [f"btcusdt: {why}"]
        await asyncio.sleep(900)
        scene.act(do="set_margin_mode", account="one", mode="REGULAR_MARGIN")
        await healthy(scene)
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story)
    assert scene.kinds() == [AlertKey.MARGIN_MODE_CHANGED, AlertKey.STRATEGY_UNBLOCKED]


@provokes(AlertKey.LEVERAGE_CHANGED)
def test_another_leverage_is_told_once_and_degrades() -> None:
    async def story(scene: Scene) -> None:
        scene.act(do="set_leverage", account="one", symbol="BTCUSDT", leverage="7")
        await scene.until(scene.told, SYNC_S + 2, "the alert")
        assert scene.health() == ("degraded", "the leverage of BTCUSDT is 7, not 10")
        await asyncio.sleep(600)
        scene.act(do="set_leverage", account="one", symbol="BTCUSDT", leverage="10")
        await healthy(scene)

    assert play(story).world.alerts.all == [
        (AlertKey.LEVERAGE_CHANGED, "the leverage of BTCUSDT is 7, not 10")
    ]


@provokes(AlertKey.FOREIGN_ORDERS)
def test_orders_of_others_are_told_once_and_no_more_when_they_go() -> None:
    async def story(scene: Scene) -> None:
        for price in ("50000", "50100", "50200"):
            by_hand(scene, direction="long", side="Buy", qty="0.01", price=price)
            await asyncio.sleep(10)
        assert scene.health() == ("degraded", "3 orders on BTCUSDT are not of this strategy")
        await asyncio.sleep(600)
        for left in (2, 1):
            oldest = next(
                one for one in scene.world.paper.account.orders_of("BTCUSDT") if one.price < 51_000
            )
            scene.act(do="cancel_order", account="one", symbol="BTCUSDT", order_id=oldest.order_id)
            await asyncio.sleep(5)
            assert scene.health()[1].startswith(f"{left} orders")
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")
        await healthy(scene)

    assert play(story).world.alerts.all == [
        (AlertKey.FOREIGN_ORDERS, "btcusdt: 1 orders on BTCUSDT are not of this strategy")
    ]


@provokes(AlertKey.RECONCILE_DIFFERENCE)
def test_orders_that_went_unheard_are_told_and_placed_again() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("lose", channel="private", match="order", duration_s=5)
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")
        await scene.until(scene.told, SYNC_S + 5, "the alert")
        await scene.until(lambda: scene.orders() == LEVELS, 75, "the grid")
        await asyncio.sleep(300)
        assert scene.health() == HEALTHY

    assert play(story).world.alerts.all == [
        (
            AlertKey.RECONCILE_DIFFERENCE,
            "btcusdt: 20 orders were gone and 0 unknown ones were there",
        )
    ]


@pytest.mark.slow
@provokes(AlertKey.POSITION_MISMATCH)
@pytest.mark.parametrize("hears", [True, False], ids=["streamed", "unheard"])
def test_a_position_by_hand_is_told_once(hears: bool) -> None:
    async def story(scene: Scene) -> None:
        if not hears:
            scene.fault("lose", channel="private", duration_s=5)
        by_hand(scene, direction="long", side="Buy", qty="0.02")
        await scene.until(scene.told, SYNC_S + 5, "the alert")
        await asyncio.sleep(600)
        assert scene.health() == HEALTHY
        assert disagreements(scene.world) == []
        assert scene.runner().strategy.view.long.size > 0

    scene = play(story)
    assert scene.kinds() == [AlertKey.POSITION_MISMATCH]
    (text,) = scene.told()
    assert text.startswith("btcusdt: Buy 0.02")
    assert text.endswith("filled on the long leg by an order that is not the bot's")


@provokes(AlertKey.POSITION_MISMATCH)
def test_a_size_that_no_fill_explains_is_told_once() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("lose", channel="private", duration_s=5)
        scene.fault("hide", match="execution/list")
        by_hand(scene, direction="long", side="Buy", qty="0.02")
        await scene.until(scene.told, SYNC_S + 5, "the alert")
        await asyncio.sleep(600)
        assert scene.health() == HEALTHY
        assert disagreements(scene.world) == []

    assert play(story).world.alerts.all == [
        (
            AlertKey.POSITION_MISMATCH,
            "btcusdt: the long leg holds 0.020 on the exchange, 0 here; the exchange's size counts",
        )
    ]


@pytest.mark.slow
@provokes(AlertKey.HEDGE_MODE_OFF)
def test_a_contract_in_one_way_mode_stops_its_strategy_alone() -> None:
    async def story(scene: Scene) -> None:
        account = scene.world.paper.account
        scene.runner("ETHUSDT").hold("paused")  # the exchange switches no contract with orders
        scene.act(do="cancel_orders", account="one", symbol="ETHUSDT", cancel_type="CancelByUser")
        await asyncio.sleep(1)
        scene.world.exchange.switch_mode(account, ["ETHUSDT"], hedge=False)
        assert scene.health("ETHUSDT") == ("blocked", "paused; /resume lets it trade")
        await scene.until(lambda: scene.health("ETHUSDT")[0] == "stopped", SYNC_S + 5, "the end")
        assert scene.health("ETHUSDT")[1] == "ETHUSDT is not in hedge mode any more"
        await asyncio.sleep(600)
        assert scene.health("BTCUSDT") == HEALTHY

    scene = play(story, symbols=("BTCUSDT", "ETHUSDT"))
    assert scene.told(AlertKey.HEDGE_MODE_OFF) == ["ETHUSDT is not in hedge mode any more"]
    assert scene.told(AlertKey.STRATEGY_STOPPED) == [
        "ethusdt is stopped: ETHUSDT is not in hedge mode any more"
    ]
    assert len(scene.told()) == 2


@pytest.mark.slow
@provokes(AlertKey.AUTH_ERROR)
def test_a_key_that_is_refused_is_one_alert_and_the_end_of_the_account() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("latency", match="order/", delay_ms=500, executed=True)
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")
        scene.act(do="revoke_key", key=KEY)
        await scene.until(lambda: scene.health()[0] == "stopped", SYNC_S + 5, "the end")
        await asyncio.sleep(600)

    scene = play(story, symbols=("BTCUSDT", "ETHUSDT"))
    assert scene.kinds()[0] is AlertKey.AUTH_ERROR
    assert sorted(scene.kinds()[1:]) == [AlertKey.STRATEGY_STOPPED] * 2
    assert scene.told()[0].startswith("account one: ")
    assert KEY not in str(scene.told())
    for symbol in scene.symbols:
        assert "the exchange refuses the key" in scene.health(symbol)[1]
