"""What keeps orders from resting is told once, shows in the health, and ends with its cause."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.settings.session_settings import SessionSettings
from gridcore import SafetyCaps
from testkit.bot_scene import Scene, play
from testkit.bot_world import at_once
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


@pytest.mark.slow
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
    assert scene.kinds() == [
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


@pytest.mark.slow
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
    assert scene.kinds() == [
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
    assert sorted(scene.kinds()) == [
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

    assert play(story).kinds() == []


@pytest.mark.slow
def test_orders_that_never_stay_are_no_health() -> None:
    """The exchange takes each order, and cancels it a moment later."""

    async def story(scene: Scene) -> None:
        loop = asyncio.get_running_loop()
        begun, blocked = loop.time(), 0
        while loop.time() < begun + 600:
            scene.act(
                do="cancel_orders", account="one", symbol="BTCUSDT",
                cancel_type="CancelByPrepareLiq",
            )  # fmt: skip
            await asyncio.sleep(0.2)
            if loop.time() > begun + 90:
                blocked += scene.health()[0] == "blocked"
        assert blocked > 0.9 * 510 / 0.2
        assert "as soon as it has taken it" in scene.health()[1]
        await healed(scene)

    scene = play(story)
    assert scene.kinds() == [
        AlertKey.ORDERS_CANCELLED, AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED,
    ]  # fmt: skip


# kept from placing by its own limits


@pytest.mark.slow
@pytest.mark.parametrize("deposit", ["60", "5"])
def test_a_wallet_without_room_blocks_until_there_is_some(deposit: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health()[0] == "blocked", 75, "the block")
        assert "opens nothing since" in scene.health()[1]
        available = "5.0" if deposit == "5" else "11."
        assert f"the available balance of {available}" in scene.health()[1]
        await asyncio.sleep(900)
        (text,) = scene.told()
        assert text.startswith("btcusdt: the ")
        assert f"the available balance of {available}" in text
        scene.act(do="deposit", account="one", amount="5000")
        await healed(scene)

    scene = play(story, deposit=deposit)
    assert scene.kinds() == [AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED]
    assert scene.told(AlertKey.STRATEGY_UNBLOCKED) == ["btcusdt: no longer blocked by starved"]


def test_an_available_balance_that_is_not_told_blocks_until_it_is() -> None:
    async def story(scene: Scene) -> None:
        # in isolated margin the exchange tells no available balance; nobody looks at the mode here
        scene.act(do="set_margin_mode", account="one", mode="ISOLATED_MARGIN")
        await asyncio.sleep(301)  # the wallet is read anew
        clear(scene)
        await scene.until(lambda: scene.health()[0] == "blocked", 75, "the block")
        assert "the available balance is not known" in scene.health()[1]
        await asyncio.sleep(300)
        scene.act(do="set_margin_mode", account="one", mode="REGULAR_MARGIN")
        await healed(scene, within_s=301)

    scene = play(story, settings=SessionSettings(blocking=at_once, account_interval_s=0))
    assert scene.kinds() == [AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED]
    assert "the available balance is not known" in scene.told(AlertKey.STRATEGY_BLOCKED)[0]


def test_max_margin_blocks_until_the_wallet_has_grown() -> None:
    async def story(scene: Scene) -> None:
        for direction, side in (("long", "Buy"), ("short", "Sell")):
            scene.act(
                do="place_order", account="one", symbol="BTCUSDT", direction=direction,
                side=side, qty="0.05",
            )  # fmt: skip
        await asyncio.sleep(2)
        scene.from_now()  # positions by hand are told
        clear(scene)
        await scene.until(lambda: scene.health()[0] == "blocked", 75, "the block")
        why = "the leg is 1.5 times the wallet, max_margin is 1"
        assert "the long leg opens nothing since" in scene.health()[1]
        assert scene.health()[1].count(why) == 2
        assert scene.orders() > 10  # closing goes on
        await asyncio.sleep(600)
        assert scene.kinds() == [AlertKey.STRATEGY_BLOCKED]
        assert why in scene.told()[0]
        scene.act(do="deposit", account="one", amount="50000")
        await scene.until(lambda: scene.health() == ("healthy", ""), 90, "health")
        await asyncio.sleep(TOLD_OVER_S)

    scene = play(story, deposit="2000", max_margin=1.0)
    assert scene.kinds() == [AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED]


@pytest.mark.parametrize(
    ("caps", "told"),
    [
        (SafetyCaps(max_notional=Decimal(1_000)), "max_notional of 1000 USDT is used up"),
        (SafetyCaps(max_open_orders=7), "max_open_orders of 7 is reached"),
    ],
    ids=["max_notional", "max_open_orders"],
)
def test_a_safety_cap_is_named(caps: SafetyCaps, told: str) -> None:
    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.health()[0] == "blocked", 30, "the block")
        assert f"wanted orders wait: {told}" in scene.health()[1]
        await asyncio.sleep(600)
        assert scene.orders() in (7, 8)

    scene = play(story, settle_s=1, caps=caps)
    ((key, text),) = scene.world.alerts.all
    assert key is AlertKey.STRATEGY_BLOCKED
    assert text.startswith("btcusdt: 1")
    assert text.endswith(told)


def test_a_limit_of_orders_in_a_minute_is_told_once_and_over_when_all_rest() -> None:
    caps = SafetyCaps(max_orders_per_minute=5)

    async def story(scene: Scene) -> None:
        assert scene.health()[0] == "blocked"
        assert "15 wanted orders wait: max_orders_per_minute of 5" in scene.health()[1]
        await scene.until(lambda: scene.orders() == LEVELS, 200, "the grid")
        await asyncio.sleep(TOLD_OVER_S)
        assert scene.health() == ("healthy", "")

    scene = play(story, caps=caps)
    assert scene.kinds() == [AlertKey.STRATEGY_BLOCKED, AlertKey.STRATEGY_UNBLOCKED]
