"""What keeps orders from resting is told once, shows in the health, and ends with its cause."""

from __future__ import annotations

import asyncio

from gridbot.alerts import AlertKey
from testkit.bot_scene import Scene, play
from testkit.provokes import provokes

LEVELS = 20
TOLD_OVER_S = 75.0  # what blocked is over for a minute


def clear(scene: Scene) -> None:
    """Let the holder cancel all orders, so that the whole grid has to be placed again."""
    scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")


async def healed(scene: Scene, within_s: float = 90.0) -> None:
    """Wait for health and the whole grid, and for what is told a minute later."""
    await scene.until(lambda: scene.health() == ("healthy", ""), within_s, "health")
    await scene.until(lambda: scene.orders() == LEVELS, within_s, "the grid")
    await asyncio.sleep(TOLD_OVER_S)
    assert scene.health() == ("healthy", "")


# refused by the exchange


@provokes(AlertKey.ORDER_REJECTED, AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED)
def test_orders_that_are_all_refused_are_told_once_and_block_after_a_minute() -> None:
    said = "Order price exceeds the allowable range."

    async def story(scene: Scene) -> None:
        scene.fault("ret_code", match="order/create", code=110003, message=said)
        clear(scene)
        await asyncio.sleep(45)
        (text,) = scene.told(AlertKey.ORDER_REJECTED)
        assert text.startswith("btcusdt: ")
        assert " at 5" in text or " at 6" in text
        assert text.endswith(f"{said} (code 110003)")
        await scene.until(lambda: scene.health()[0] == "blocked", 30, "the block")
        assert "the long leg opens nothing since" in scene.health()[1]
        assert f"the exchange takes none: {said}" in scene.health()[1]
        await asyncio.sleep(900)
        assert scene.health()[0] == "blocked"
        assert len(scene.told(AlertKey.STRATEGY_BLOCKED)) == 1
        assert said in scene.told(AlertKey.STRATEGY_BLOCKED)[0]
        assert scene.told(AlertKey.STRATEGY_UNBLOCKED) == []
        scene.heal()
        await healed(scene)

    scene = play(story)
    assert scene.keys() == [
        AlertKey.ORDER_REJECTED, AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED,
    ]  # fmt: skip


def test_another_refusal_is_another_occasion() -> None:
    async def story(scene: Scene) -> None:
        for code in (110003, 110094, 110003):
            scene.fault("ret_code", match="order/create", code=code, message="no", count=3)
            clear(scene)
            await healed(scene)
        await asyncio.sleep(301)
        scene.fault("ret_code", match="order/create", code=110003, message="no", count=3)
        clear(scene)
        await healed(scene)

    told = play(story).told(AlertKey.ORDER_REJECTED)
    assert [text[-8:] for text in told] == [" 110003)", " 110094)", " 110003)"]


@provokes(AlertKey.BALANCE_INSUFFICIENT)
def test_a_balance_that_the_exchange_finds_too_small_is_told_once() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("ret_code", match="order/create", code=110007, message="ab not enough")
        clear(scene)
        await asyncio.sleep(45)
        (text,) = scene.told(AlertKey.BALANCE_INSUFFICIENT)
        assert text.startswith("btcusdt: the balance does not carry further opening orders")
        assert "ab not enough" in text
        await scene.until(lambda: scene.health()[0] == "blocked", 30, "the block")
        await asyncio.sleep(900)
        assert scene.health()[0] == "blocked"
        scene.heal()
        await healed(scene)

    scene = play(story)
    assert scene.keys() == [
        AlertKey.BALANCE_INSUFFICIENT, AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED,
    ]  # fmt: skip


@provokes(AlertKey.AMBIGUOUS_UNRESOLVED)
def test_orders_that_nobody_knows_of_are_told_once() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("timeout", match="order/create", executed=False)
        scene.fault("http_error", match="order/realtime")
        clear(scene)
        await asyncio.sleep(300)
        (text,) = scene.told(AlertKey.AMBIGUOUS_UNRESOLVED)
        assert text.startswith("btcusdt: whether ")
        assert "is not known for 6" in text
        assert scene.health()[0] == "blocked"
        assert "the exchange has taken none yet" in scene.health()[1]
        scene.heal()
        # within half a minute of the exchange answering again
        await scene.until(lambda: scene.orders() == LEVELS, 30, "the grid")
        await healed(scene)

    scene = play(story)
    assert sorted(scene.keys()) == [
        AlertKey.AMBIGUOUS_UNRESOLVED, AlertKey.NOT_COMPARED, AlertKey.STRATEGY_BLOCKED,
        AlertKey.STRATEGY_UNBLOCKED,
    ]  # fmt: skip


# cancelled by the exchange


@provokes(AlertKey.ORDERS_CANCELLED)
def test_orders_that_the_exchange_cancels_are_told_once_for_all() -> None:
    async def story(scene: Scene) -> None:
        for _ in range(3):
            scene.act(
                do="cancel_orders", account="one", symbol="BTCUSDT",
                cancel_type="CancelByPrepareLiq",
            )  # fmt: skip
            await healed(scene)

    scene = play(story)
    assert scene.world.alerts.all == [
        (
            AlertKey.ORDERS_CANCELLED,
            "btcusdt: the exchange cancelled orders: CancelByPrepareLiq",
        )
    ]


def test_what_the_holder_cancels_is_no_alert() -> None:
    async def story(scene: Scene) -> None:
        clear(scene)
        await healed(scene)

    assert play(story).keys() == []
