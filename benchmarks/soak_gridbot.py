"""Whether the bot's memory is flat: a simulated day, and a day's worth of orders over sockets.

    uv run python benchmarks/soak_gridbot.py --hours 24
    uv run python benchmarks/soak_gridbot.py --minutes 20

With --hours the bot's core trades in virtual time on an exchange in its own process, which keeps
every order for ever; so what the bot holds is counted object by object, once in a simulated hour.
It grows until 5,000 ended orders and 20,000 executions are remembered, and then has to stay. With
--minutes the whole bot (streams, REST threads, database, log, metrics) trades with 50 strategies
against an exchange in another process; memory is what the bot's process holds. What grows to a
bound is given a smaller one there, because it would take hours to reach: a strategy remembers fewer
orders and executions (--remembered), SQLite keeps fewer pages (--cache-mb, usually 64).

The last lines compare the middle of the run with its end. Exit code 0: the bot grew by less than
--most-mb in between; 1: by more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any

from bench_gridbot import PRICES, market, rss_mb, session

import grid_db.database
import gridcore.past_orders
import gridcore.strategy_state
from paper_exchange.market.market import FeedEvent
from testkit.bot_world import BotWorld, StrategySpec
from testkit.paper import paper_account, paper_market
from testkit.virtual_loop import run_virtually

NOT_THE_BOT = ("paper_exchange", "backtest", "testkit", "asyncio", "logging", "threading")
NO_DATA = (ModuleType, FunctionType, BuiltinFunctionType, FrameType, type)


def held_by(*roots: object) -> Counter[str]:
    """Return the bytes of everything that can be reached from somewhere, by type.

    Code is left out, and whatever belongs to the exchange or to the machinery around the bot.
    """
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[Any] = list(roots)
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if id(one) in seen or isinstance(one, NO_DATA):
            continue
        if kind.__module__.partition(".")[0].lstrip("_") in NOT_THE_BOT:
            continue
        seen.add(id(one))
        found[kind.__name__] += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return found


class Waves:
    """One symbol's trades in waves."""

    name, symbols = "waves", ("BTCUSDT",)

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield trades without end."""
        return market(["BTCUSDT"], start_ms, per_s=self._per_s, period_s=60)


async def day(hours: int, per_s: float) -> list[Counter[str]]:
    """Trade for simulated hours; return what the bot held after each."""
    world = BotWorld([paper_market()], [paper_account()], [StrategySpec(grid_step="0.1")], seed=1)
    loop = asyncio.get_running_loop()
    end = world.exchange.now_ms + (hours + 1) * 3_600_000
    player = loop.create_task(world.play(Waves(per_s), end), name="world market")
    await asyncio.sleep(1)
    await world.start()
    samples = []
    begun = time.perf_counter()
    for hour in range(1, hours + 1):
        await asyncio.sleep(3_600)
        if player.done():
            await player  # a market that stands still shows nothing
        gc.collect()
        samples.append(held_by(world.session, world.hub))
        executions = len(world.exchange.accounts["one"].executions)
        print(
            f"hour {hour:3}: the bot holds {samples[-1].total() / 1e6:6.2f} MB;"
            f" {executions} executions, {time.perf_counter() - begun:.0f} s",
            flush=True,
        )
    player.cancel()
    await world.stop()
    return samples


def simulated(hours: int, per_s: float, most_mb: float) -> int:
    """Run the day; return the exit code."""
    samples = run_virtually(day(hours, per_s))
    middle, end = samples[hours // 2 - 1], samples[-1]
    change = (end.total() - middle.total()) / 1e6
    print(f"second half of the run: {change:+.2f} MB")
    for name, size in (end - middle).most_common(8):
        print(f"  {size / 1e3:+8.0f} kB  {name}")
    return int(change > most_mb)


def over_sockets(minutes: float, most_mb: float, remembered: int, cache_mb: int) -> int:
    """Run the whole bot; return the exit code."""
    grid_db.database._SQLITE_CACHE_KIB = cache_mb * 1024
    gridcore.strategy_state.REMEMBERED_EXECUTIONS = remembered
    gridcore.past_orders.REMEMBERED_ENDED_ORDERS = remembered
    sizes: list[float] = []

    async def look() -> None:
        begun = time.perf_counter()
        while True:
            await asyncio.sleep(30)
            gc.collect()
            sizes.append(rss_mb())
            print(f"{(time.perf_counter() - begun) / 60:5.1f} min: {sizes[-1]:.1f} MB", flush=True)

    accounts = [f"a{number}" for number in range(1, 6)]
    figures = session(list(PRICES), accounts, 10**9, minutes * 60, look, is_followed=False)
    print(
        f"{figures.orders_per_s * minutes * 60:.0f} orders, {figures.tickers_per_s:.0f} tickers/s"
    )
    change = sizes[-1] - sizes[len(sizes) // 2]
    print(f"second half of the run: {change:+.1f} MB")
    return int(change > most_mb)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hours", type=int, default=24, help="of virtual time")
    parser.add_argument("--per-second", type=float, default=0.5, help="trades of the market")
    parser.add_argument("--minutes", type=float, default=0, help="over sockets, in real time")
    parser.add_argument(
        "--remembered", type=int, default=200, help="ended orders and executions, with --minutes"
    )
    parser.add_argument("--cache-mb", type=int, default=1, help="of SQLite, with --minutes")
    parser.add_argument("--most-mb", type=float, default=1, help="growth in the second half")
    args = parser.parse_args()
    if args.minutes:
        return over_sockets(args.minutes, args.most_mb, args.remembered, args.cache_mb)
    return simulated(args.hours, args.per_second, args.most_mb)


if __name__ == "__main__":
    sys.exit(main())
