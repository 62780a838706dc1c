"""A funding rate beyond the limit: told once, with who pays and how much, while a leg is held."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.settings.session_settings import SessionSettings
from gridcore import DirectionType
from testkit.bot_scene import Scene, play
from testkit.bot_world import at_once
from testkit.provokes import provokes

HEALTHY = ("healthy", "")


def expected(scene: Scene, rate: Decimal) -> str:
    """Return what the exchange itself would settle, in words."""
    book = scene.world.paper.account.books["BTCUSDT"]
    mark = scene.world.exchange.market("BTCUSDT").mark
    assert mark is not None
    sizes = [book.pair.leg(one).size for one in (DirectionType.LONG, DirectionType.SHORT)]
    paid = ((sizes[0] - sizes[1]) * mark * rate).quantize(Decimal("0.01"))
    verb = "pay" if paid > 0 else "receive"
    return (
        f"the held legs ({sizes[0]:f} long, {sizes[1]:f} short) {verb} about {abs(paid)} USDT at"
        " the settlement"
    )


async def hold_a_leg(scene: Scene) -> None:
    """Let the nearest buys of the long leg fill, and the market rest there."""
    scene.act(do="jump_price", symbol="BTCUSDT", percent="-0.25")
    await asyncio.sleep(5)
    view = scene.runner().strategy.view
    assert view.long.size > view.short.size


@provokes(AlertKey.FUNDING_RATE_HIGH)
def test_a_high_rate_of_a_held_contract_is_told_once_and_ends_by_itself() -> None:
    async def story(scene: Scene) -> None:
        paper = scene.world.paper
        paper.quote(funding_rate="0.0015")
        await asyncio.sleep(30)
        assert (scene.told(), scene.health()) == ([], HEALTHY)  # nothing is held yet
        await hold_a_leg(scene)
        await scene.until(scene.told, 2, "the alert")
        (text,) = scene.told(AlertKey.FUNDING_RATE_HIGH)
        assert text == (
            "btcusdt: the next funding rate of BTCUSDT is 0.15 %, beyond 0.1 %: long pays short;"
            f" {expected(scene, Decimal('0.0015'))}"
        )
        await asyncio.sleep(900)
        paper.quote(funding_rate="0.002")
        await asyncio.sleep(2)
        health, reason = scene.health()
        assert health == "degraded"
        assert reason.startswith("the next funding rate of BTCUSDT is 0.2 %")
        paper.quote(funding_rate="0.001")  # the limit itself is not beyond it
        await scene.until(lambda: scene.health() == HEALTHY, 3, "health")
        paper.quote(funding_rate="0.0011")
        await asyncio.sleep(60)
        assert scene.health()[0] == "degraded"
        assert scene.kinds() == [AlertKey.FUNDING_RATE_HIGH]  # the same occasion
        paper.quote(funding_rate="-0.003")
        await scene.until(lambda: len(scene.told()) == 2, 3, "that the other side pays")
        assert scene.told()[1] == (
            "btcusdt: the next funding rate of BTCUSDT is -0.3 %, beyond 0.1 %: short pays long;"
            f" {expected(scene, Decimal('-0.003'))}"
        )
        paper.quote(funding_rate="0.0001")
        await scene.until(lambda: scene.health() == HEALTHY, 3, "health")

    scene = play(story)
    assert scene.kinds() == [AlertKey.FUNDING_RATE_HIGH] * 2


@pytest.mark.parametrize(("limit", "told"), [("0", 0), ("0.0004", 1), ("0.0006", 0)])
def test_the_limit_is_the_setting_and_0_is_none(limit: str, told: int) -> None:
    async def story(scene: Scene) -> None:
        await hold_a_leg(scene)
        scene.world.paper.quote(funding_rate="0.0005")
        await asyncio.sleep(10)

    settings = SessionSettings(blocking=at_once, funding_alert_rate=Decimal(limit))
    assert len(play(story, settings=settings).told(AlertKey.FUNDING_RATE_HIGH)) == told


@pytest.mark.slow  # some hours of virtual time
def test_the_settlement_takes_what_was_told() -> None:
    async def story(scene: Scene) -> None:
        await hold_a_leg(scene)
        scene.market_ends()
        scene.world.paper.quote(funding_rate="0.0015")
        await asyncio.sleep(2)
        next_ms = scene.world.exchange.market("BTCUSDT").next_funding_ms
        assert next_ms is not None
        await scene.world.until(next_ms + 2_000)
        (text,) = scene.told(AlertKey.FUNDING_RATE_HIGH)
        told = Decimal(text.partition(" pay about ")[2].partition(" ")[0])
        assert told > 0
        paid = scene.runner().tally.funding
        assert abs(paid - told) <= Decimal("0.01")

    play(story)
