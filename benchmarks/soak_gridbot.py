"""Whether the bot's memory is flat: a simulated day, and a day's worth of orders over sockets.

    uv run python benchmarks/soak_gridbot.py --hours 24
    uv run python benchmarks/soak_gridbot.py --minutes 20

With --hours the bot's core trades in virtual time on an exchange in its own process. Python's own
account of memory is taken every simulated hour and divided between the bot's packages (what counts)
and the exchange, which keeps every order for ever. With --minutes the whole bot (streams, REST
threads, database, log, metrics) trades with 50 strategies against an exchange in another process;
memory is what the bot's process holds.

The last line compares the middle of the run with its end. Exit code 0: the bot grew by less than
--most-mb in between; 1: by more, and the places that hold more are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench_gridbot import PRICES, market, rss_mb, session

from paper_exchange.market import FeedEvent
from testkit.bot_world import BotWorld, StrategySpec
from testkit.paper import paper_account, paper_market
from testkit.virtual_loop import run_virtually

BOT = ("gridbot", "gridcore", "bybit_adapter", "event_saver", "grid_db")
EXCHANGE = ("paper_exchange", "backtest", "testkit")


def owner(path: str) -> str:
    """Return which part of the program a source file belongs to."""
    parts = Path(path).parts
    for name in (*BOT, *EXCHANGE):
        if name in parts and "src" in parts:
            return name
    return "others"


def held_mb(snapshot: tracemalloc.Snapshot) -> Counter[str]:
    """Return MB by the package whose code asked for them."""
    found: Counter[str] = Counter()
    for line in snapshot.statistics("filename"):
        found[owner(line.traceback[0].filename)] += line.size
    return Counter({name: size / 1e6 for name, size in found.items()})


class Waves:
    """One symbol's trades in waves."""

    name, symbols = "waves", ("BTCUSDT",)

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield trades without end."""
        return market(["BTCUSDT"], start_ms, per_s=self._per_s, period_s=60)


async def day(hours: float, per_s: float) -> list[tuple[Counter[str], tracemalloc.Snapshot | None]]:
    """Trade for simulated hours; return what was held after each."""
    world = BotWorld([paper_market()], [paper_account()], [StrategySpec(grid_step="0.1")], seed=1)
    loop = asyncio.get_running_loop()
    end = world.exchange.now_ms + int((hours + 1) * 3_600_000)
    player = loop.create_task(world.play(Waves(per_s), end), name="world market")
    await asyncio.sleep(1)
    await world.start()
    samples = []
    begun = time.perf_counter()
    for hour in range(1, int(hours) + 1):
        await asyncio.sleep(3_600)
        gc.collect()
        snapshot = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(False, tracemalloc.__file__)]
        )
        held = held_mb(snapshot)
        samples.append((held, snapshot if hour in (int(hours) // 2, int(hours)) else None))
        account = world.exchange.accounts["one"]
        mine = sum(held[name] for name in BOT)
        print(
            f"hour {hour:3}: bot {mine:6.2f} MB, exchange"
            f" {sum(held[name] for name in EXCHANGE):7.2f} MB, others {held['others']:6.2f} MB;"
            f" {len(account.executions)} executions, {time.perf_counter() - begun:.0f} s",
            flush=True,
        )
    player.cancel()
    await world.stop()
    return samples


def grown(first: tracemalloc.Snapshot, last: tracemalloc.Snapshot) -> list[str]:
    """Return the lines of the bot's packages that hold more at the end than before."""
    found = []
    for change in last.compare_to(first, "lineno"):
        frame = change.traceback[0]
        if owner(frame.filename) not in EXCHANGE and change.size_diff > 20_000:
            where = "/".join(Path(frame.filename).parts[-2:])
            found.append(f"  {change.size_diff / 1e3:+8.0f} kB  {where}:{frame.lineno}")
    return found[:25]


def simulated(hours: float, per_s: float, most_mb: float) -> int:
    """Run the day; return the exit code."""
    tracemalloc.start()
    samples = run_virtually(day(hours, per_s))
    (middle, before), (end, after) = samples[int(hours) // 2 - 1], samples[-1]
    change = sum(end[name] - middle[name] for name in (*BOT, "others"))
    print(f"second half of the run: {change:+.2f} MB outside of the exchange")
    if before is not None and after is not None:
        print("\n".join(grown(before, after)))
    return int(change > most_mb)


def over_sockets(minutes: float, most_mb: float) -> int:
    """Run the whole bot; return the exit code."""
    sizes: list[float] = []

    async def look() -> None:
        begun = time.perf_counter()
        while True:
            await asyncio.sleep(30)
            gc.collect()
            sizes.append(rss_mb())
            print(f"{(time.perf_counter() - begun) / 60:5.1f} min: {sizes[-1]:.1f} MB", flush=True)

    accounts = [f"a{number}" for number in range(1, 6)]
    figures = session(list(PRICES), accounts, 10**9, minutes * 60, look)
    print(
        f"{figures.orders_per_s * minutes * 60:.0f} orders, {figures.tickers_per_s:.0f} tickers/s"
    )
    change = sizes[-1] - sizes[len(sizes) // 2]
    print(f"second half of the run: {change:+.1f} MB")
    return int(change > most_mb)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hours", type=float, default=24, help="of virtual time")
    parser.add_argument("--per-second", type=float, default=1, help="trades of the market")
    parser.add_argument("--minutes", type=float, default=0, help="over sockets, in real time")
    parser.add_argument("--most-mb", type=float, default=2, help="growth in the second half")
    args = parser.parse_args()
    if args.minutes:
        return over_sockets(args.minutes, args.most_mb)
    return simulated(args.hours, args.per_second, args.most_mb)


if __name__ == "__main__":
    sys.exit(main())
