"""The bot on an exchange in process, in virtual time, through seeded storms.

`make test-simulation SEEDS=200` runs as many; a seed that fails is named, and runs the same again:
`SIMULATION_FIRST=17 make test-simulation SEEDS=1`.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from decimal import Decimal

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.settings.session_settings import SessionSettings
from gridcore import DirectionType
from paper_exchange.feeds import SyntheticFeed, SyntheticSettings, merged
from testkit.bot_storm import Storm, StormReport
from testkit.bot_world import BotWorld, StrategySpec, at_once
from testkit.paper import order_params, paper_account, paper_listing, paper_market
from testkit.virtual_loop import NothingWillHappenError, run_virtually

FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "16"))
CHUNK = 4
MINUTES = 6.0

pytestmark = [pytest.mark.simulation, pytest.mark.untraced]


def storm(seed: int, **how: object) -> StormReport:
    """Return what a storm brought; the text of a failure names the seed and what happened."""
    report = run_virtually(Storm(seed, **how).run())  # type: ignore[arg-type]
    story = "\n".join(report.faults)
    assert not report.problems, f"seed {seed}: {report.problems}\n{story}"
    for reason in report.stopped:
        assert reason, f"seed {seed}: stopped without a reason\n{story}"
    return report


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_the_bot_and_the_exchange_agree_after_a_storm(first: int) -> None:
    reports = [
        storm(seed, minutes=MINUTES) for seed in range(first, min(first + CHUNK, FIRST + SEEDS))
    ]
    assert sum(report.fills for report in reports) > 0


def test_two_symbols_on_one_account_agree_after_a_storm() -> None:
    report = storm(FIRST + 1_000, minutes=MINUTES, symbols=("BTCUSDT", "ETHUSDT"))
    assert report.fills > 0


@pytest.mark.slow
@pytest.mark.parametrize("symbols", [("BTCUSDT",), ("BTCUSDT", "ETHUSDT")])
def test_a_seed_replays_exactly(symbols: tuple[str, ...]) -> None:
    """Kills included, and in another process, where sets and dictionaries hash otherwise."""
    told = {seed: set[str]() for seed in REPLAYED}
    kills = 0
    for hash_seed in ("1", "2"):
        for seed, line in zip(REPLAYED, in_another_process(hash_seed, symbols), strict=True):
            digest, killed = line.split()
            told[seed].add(digest)
            kills += int(killed)
    assert all(len(digests) == 1 for digests in told.values()), told
    assert len(set.union(*told.values())) == len(REPLAYED)
    assert kills


REPLAYED = (21, 25, 31, 35)
REPLAY = """
import logging, sys
logging.disable(logging.CRITICAL)
from testkit.bot_storm import Storm
from testkit.virtual_loop import run_virtually
for seed in map(int, sys.argv[2].split(",")):
    report = run_virtually(Storm(seed, minutes=4.0, symbols=tuple(sys.argv[1].split(","))).run())
    print(report.digest, sum("killed" in fault for fault in report.faults))
"""


def in_another_process(hash_seed: str, symbols: tuple[str, ...]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", REPLAY, ",".join(symbols), ",".join(map(str, REPLAYED))],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")[: len(REPLAYED)]


# no weather at all

MARKETS = {"mean_reversion": 4.0, "gbm": 0.8, "sine": 2.0, "gbm+jumps": 4.0}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "volatility"), MARKETS.items())
def test_two_hours_without_a_fault_raise_no_alarm(kind: str, volatility: float) -> None:
    """Swinging markets fill a level, place it again and fill it again; small grids recross."""
    chance = random.Random(f"{kind} {volatility}")
    specs = [
        StrategySpec(grid_count=chance.choice([10, 20, 50]), grid_step=chance.choice(STEPS)),
        StrategySpec("ETHUSDT", "grid_eth", amount="b0.05", grid_step=chance.choice(STEPS)),
    ]
    world = BotWorld(
        [paper_market(one.symbol) for one in specs],
        [paper_account()],
        specs,
        seed=chance.randint(1, 10**6),
        settings=SessionSettings(blocking=at_once),
    )
    feeds = [
        SyntheticFeed(
            paper_listing(symbol).instrument,
            SyntheticSettings(
                start_price=Decimal(price),
                kind=kind,
                volatility=volatility,
                trades_per_s=0.2,
                jumps_per_day=200,
                jump_ratio=0.004,
                seed=world.seed,
            ),
        )
        for symbol, price in (("BTCUSDT", 60_000), ("ETHUSDT", 3_000))
    ]

    async def session() -> None:
        end = world.exchange.now_ms + 86_400_000
        player = asyncio.get_running_loop().create_task(world.play(merged(feeds), end))
        player.set_name("world market")
        await asyncio.sleep(1)
        await world.start()
        await asyncio.sleep(7_200)
        player.cancel()

    run_virtually(session())
    assert world.alerts.all == []
    assert len(world.paper.account.executions) > 20


STEPS = ("0.05", "0.1", "0.2")


def test_a_true_double_is_caught_at_once() -> None:
    """Somebody places an order of ours a second time, beside the one that rests; both fill."""
    world = BotWorld(
        [paper_market()], [paper_account()], [StrategySpec()], seed=1,
        settings=SessionSettings(blocking=at_once),
    )  # fmt: skip

    async def session() -> None:
        paper = world.paper
        paper.trade("60000")
        await world.start()
        await world.until(world.exchange.now_ms + 1_000)
        paper.trade("60000")
        await world.until(world.exchange.now_ms + 3_000)
        first = next(
            one for one in paper.account.orders_of("BTCUSDT")
            if one.direction is DirectionType.LONG and one.price > Decimal(59_900)
        )  # fmt: skip
        twice = order_params(
            price=str(first.price), qty=str(first.qty), orderLinkId=f"{first.link_id[:16]}-again"
        )
        paper.post("/v5/order/create", twice)
        paper.trade(first.price - 1, after_ms=3)
        await world.until(world.exchange.now_ms + 1_000)

    run_virtually(session())
    assert world.alerts.count(AlertKey.SAME_ORDER_ERROR) == 1


# the ground that the simulation stands on


def test_time_passes_only_while_everybody_waits() -> None:
    async def work() -> tuple[float, list[int]]:
        order: list[int] = []

        async def later(seconds: float, number: int) -> None:
            await asyncio.sleep(seconds)
            order.append(number)

        await asyncio.gather(later(3_600, 3), later(5, 1), later(60, 2))
        return asyncio.get_running_loop().time(), order

    assert run_virtually(work()) == (3_600.0, [1, 2, 3])


def test_waiting_for_nothing_is_an_error_and_not_for_ever() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappenError):
        run_virtually(work())
