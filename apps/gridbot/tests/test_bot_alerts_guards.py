"""What stops trading by a rule of its own: told once, kept through a kill, ended as promised."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from gridbot.alerts.alerts import AlertKey
from gridbot.settings.session_settings import SessionSettings
from gridcore import ResetLossBreaker, ResetReduceOnly, SafetyCaps
from testkit.bot_books import disagreements
from testkit.bot_scene import LIVELY, Scene, play
from testkit.bot_world import at_once
from testkit.provokes import provokes

LEVELS = 20
TOLD_OVER_S = 75.0  # what blocked is over for a minute
HEALTHY = ("healthy", "")
LOSS = SafetyCaps(session_loss_limit=Decimal("1.5"))


def placed(scene: Scene) -> int:
    """Return how many orders there ever were."""
    account = scene.world.paper.account
    return len(account.open_orders) + len(account.closed_orders)


async def restarted(scene: Scene) -> int:
    """Kill the bot and start it again; return how many orders it placed in the next seconds."""
    before = placed(scene)
    scene.world.kill()
    await asyncio.sleep(1)
    await scene.world.start()
    await asyncio.sleep(8)
    return placed(scene) - before


async def lose(scene: Scene) -> None:
    """Fill the nearest buys, and let the price go on falling."""
    scene.act(do="jump_price", symbol="BTCUSDT", percent="-0.4")
    await asyncio.sleep(2)
    scene.act(do="jump_price", symbol="BTCUSDT", percent="-0.5")
    await scene.until(lambda: scene.health()[0] == "blocked", 10, "the breaker")


@provokes(AlertKey.LOSS_BREAKER)
def test_a_session_that_lost_its_limit_places_nothing_until_midnight() -> None:
    async def story(scene: Scene) -> None:
        await lose(scene)
        assert scene.health()[1].startswith("session profit -")
        assert scene.health()[1].endswith(
            " USDT, limit -1.5 USDT; it ends at UTC midnight, or by a reset"
        )
        await scene.until(lambda: scene.orders() == 0, 10, "no orders")
        for _ in range(2):
            scene.from_now()  # each process tells of it
            assert await restarted(scene) == 0
            assert scene.health()[0] == "blocked"
            assert scene.kinds() == [AlertKey.LOSS_BREAKER]
            assert scene.told()[0].startswith(
                "btcusdt: the session has lost its limit of 1.5 USDT; it ends at UTC midnight"
            )
        scene.from_now()
        # it is 17:20 UTC at the beginning; the bot is down until shortly before midnight
        scene.world.kill()
        await asyncio.sleep(6.6 * 3_600)
        await scene.world.start()
        await asyncio.sleep(60)
        assert scene.health()[0] == "blocked"
        assert scene.orders() == 0
        assert scene.kinds() == [AlertKey.LOSS_BREAKER]
        scene.from_now()
        await scene.until(lambda: scene.health() == HEALTHY, 900, "midnight")
        assert scene.world.clock.now().hour == 0
        await scene.until(lambda: scene.orders() >= LEVELS, 60, "the grid")
        await asyncio.sleep(TOLD_OVER_S)
        assert scene.world.alerts.all[-1] == (
            AlertKey.STRATEGY_UNBLOCKED, "btcusdt: no longer blocked by loss_breaker",
        )  # fmt: skip
        assert scene.kinds() == [AlertKey.STRATEGY_UNBLOCKED]

    rarely = SessionSettings(
        blocking=at_once, sync_interval_s=900, account_interval_s=900, clock_interval_s=900
    )
    play(story, caps=LOSS, trades_per_s=0.03, settle_s=60, settings=rarely)


def test_a_session_that_lost_its_limit_goes_on_by_hand() -> None:
    async def story(scene: Scene) -> None:
        await lose(scene)
        assert await restarted(scene) == 0
        scene.runner().tell(ResetLossBreaker())
        await scene.until(lambda: scene.health() == HEALTHY, 10, "health")
        await scene.until(lambda: scene.orders() >= LEVELS, 60, "the grid")

    play(story, caps=LOSS)


def test_a_pause_is_kept_through_a_kill_and_told_by_the_next_start() -> None:
    async def story(scene: Scene) -> None:
        scene.runner().hold("paused", keep=True)
        await asyncio.sleep(1)
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")
        await asyncio.sleep(5)
        assert scene.kinds() == []  # somebody wanted it
        for _ in range(2):
            scene.from_now()
            assert await restarted(scene) == 0
            assert scene.health() == ("blocked", "paused; /resume lets it trade")
            assert scene.world.alerts.all[-1] == (
                AlertKey.STRATEGY_BLOCKED,
                "btcusdt is paused since before this start; /resume lets it trade",
            )
            assert len(scene.kinds()) == 1
        scene.runner().release("paused")
        await scene.until(lambda: scene.orders() == LEVELS, 30, "the grid")
        assert scene.health() == HEALTHY
        await restarted(scene)
        assert scene.health() == HEALTHY

    play(story)


def test_the_orders_of_the_last_minute_are_kept_through_a_kill() -> None:
    caps = SafetyCaps(max_orders_per_minute=5)

    async def story(scene: Scene) -> None:
        assert placed(scene) == 5
        for _ in range(3):
            assert await restarted(scene) == 0
            assert "max_orders_per_minute of 5 is reached" in scene.health()[1]
        await asyncio.sleep(60)
        assert placed(scene) == 10

    play(story, caps=caps, settle_s=3)


@provokes(AlertKey.REDUCE_ONLY_BREAKER)
def test_a_leg_whose_closing_is_refused_stops_both_ways_and_heals_by_itself() -> None:
    async def story(scene: Scene) -> None:
        pair = scene.world.paper.account.books["BTCUSDT"].pair
        await scene.until(lambda: pair.long.size and pair.short.size, 3_600, "both legs")
        scene.from_now()
        before = scene.runner().strategy
        scene.fault("ret_code", match="order/create", code=110017, message="no position")
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")
        await scene.until(lambda: len(scene.told()) >= 2, 200, "both legs' alerts")
        await asyncio.sleep(400)
        assert scene.health()[0] == "blocked"
        for leg in ("long", "short"):
            why = f"closing orders of the {leg} leg were refused three times; the leg places"
            assert why in scene.health()[1]
            assert sum(why in text for text in scene.told(AlertKey.REDUCE_ONLY_BREAKER)) == 1
        # both ways: nothing of a leg is sent while it is tripped
        assert await restarted(scene) == 0
        assert len(scene.runner().strategy.view.reduce_only_stopped) == 2
        scene.heal()
        scene.from_now()
        await scene.until(lambda: scene.health()[0] != "blocked", 3_700, "the end")
        await scene.until(lambda: scene.orders() >= LEVELS - 4, 120, "the grid")
        await asyncio.sleep(TOLD_OVER_S)
        assert before is not scene.runner().strategy
        over = sorted(scene.told(AlertKey.STRATEGY_UNBLOCKED))
        assert over == [
            "btcusdt: no longer blocked by reduce_only_long",
            "btcusdt: no longer blocked by reduce_only_short",
        ]

    play(story, volatility=LIVELY)


def test_a_leg_whose_closing_was_refused_goes_on_by_hand() -> None:
    async def story(scene: Scene) -> None:
        scene.fault("ret_code", match="order/create", code=110017, message="no position")
        scene.act(do="cancel_orders", account="one", symbol="BTCUSDT", cancel_type="CancelByUser")
        await asyncio.sleep(400)
        assert scene.health()[0] == "blocked"
        scene.heal()
        scene.runner().tell(ResetReduceOnly())
        await scene.until(lambda: scene.health() == HEALTHY, 5, "health")
        await scene.until(lambda: scene.orders() == LEVELS, 90, "the grid")

    play(story)


@provokes(AlertKey.SAME_ORDER_ERROR)
def test_two_orders_at_once_that_both_fill_stop_placing_until_a_list_shows_none() -> None:
    async def story(scene: Scene) -> None:
        account = scene.world.paper.account
        nearest = max(
            (one for one in account.orders_of("BTCUSDT") if one.side.value == "Buy"),
            key=lambda one: one.price,
        )
        prefix = nearest.link_id.partition("-")[0]
        # cancels take a while, as on an exchange that is busy
        scene.fault("latency", match="order/cancel", delay_ms=3_000)
        scene.world.paper.place(
            price=str(nearest.price), qty="0.002", orderLinkId=f"{prefix}-ff", settle=False
        )
        await asyncio.sleep(0.02)
        scene.act(do="jump_price", symbol="BTCUSDT", percent="-0.12")
        await scene.until(scene.told, 5, "the alert")
        assert scene.kinds() == [AlertKey.SAME_ORDER_ERROR]
        (text,) = scene.told()
        assert text.startswith("btcusdt: two orders of one leg, price and side were live at once")
        assert "it ends with a list of open orders that shows no double" in text
        await scene.until(lambda: scene.health() == HEALTHY, 70, "health")
        await asyncio.sleep(TOLD_OVER_S)
        assert scene.orders() >= LEVELS - 2
        assert disagreements(scene.world) == []

    scene = play(story)
    assert scene.kinds() == [AlertKey.SAME_ORDER_ERROR, AlertKey.STRATEGY_UNBLOCKED]
