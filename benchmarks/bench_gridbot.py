"""The live bot against a paper exchange in another process: latency, load, memory.

Latency is taken at the exchange, from a ticker frame that it sends to the first order that answers
it, so the way over the sockets and both ends' parsing are in it.

Run by itself with `python benchmarks/bench_gridbot.py`, or with all others by `make bench`.
"""

from __future__ import annotations

import asyncio
import gc
import math
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gridbot.config import GridbotConfig
from gridbot.orchestrator import Orchestrator
from gridbot.redaction import Redactor
from paper_exchange.market import FeedEvent, FeedTrade
from testkit.bot_host import Witness, bot_settings, strategy
from testkit.bot_world import BotWorld, StrategySpec
from testkit.paper import PaperHost, paper_account, paper_market
from testkit.virtual_loop import run_virtually

Row = tuple[str, float, str, str]

PRICES = {
    "BTCUSDT": 60_000.0, "ETHUSDT": 3_000.0, "SOLUSDT": 150.0, "XRPUSDT": 2.0, "BNBUSDT": 600.0,
    "DOGEUSDT": 0.2, "ADAUSDT": 0.5, "LTCUSDT": 90.0, "LINKUSDT": 15.0, "AVAXUSDT": 30.0,
}  # fmt: skip
TOPIC = b'"tickers.'
SECONDS = 15.0
TICKERS_PER_S = 10.0  # of each symbol, which is what the exchange sends at most


class Stopwatch(Witness):
    """Takes the time from a ticker frame to the first order of its symbol after it."""

    def __init__(self, host: PaperHost) -> None:
        self.sent: dict[str, float] = {}
        self.waits_ms: list[float] = []
        self.tickers = 0
        super().__init__(host)
        deliver = host.parts.hub.deliver

        def timed(session: Any, frame: bytes) -> None:
            at = frame.find(TOPIC, 0, 40)
            if at >= 0:
                self.tickers += 1
                symbol = frame[at + len(TOPIC) : frame.index(b'"', at + len(TOPIC))].decode()
                self.sent[symbol] = time.perf_counter()
            deliver(session, frame)

        host.parts.hub.deliver = timed

    def on_order(self, account: Any, order: Any) -> None:
        """Count an order that is new."""
        begun = self.sent.pop(order.symbol, None) if order.filled_qty == 0 else None
        if begun is not None and order.status.value in ("Accepted", "New"):
            self.waits_ms.append((time.perf_counter() - begun) * 1000)


def market(symbols: list[str], start_ms: int) -> Iterator[FeedEvent]:
    """Yield trades in waves, ten a second for each symbol, without end."""
    chance = random.Random(1)
    # an account may place ten orders a second: many symbols move slower, so that none waits for it
    period_s = 5 * len(symbols) + 2
    ticks = {one: paper_market(one).listing.instrument.tick_size for one in symbols}
    for number in range(10**9):
        seconds = number / TICKERS_PER_S
        for place, symbol in enumerate(symbols):
            move = 0.004 * math.sin(2 * math.pi * seconds / period_s + place) + chance.gauss(
                0, 0.0001
            )
            price = round(PRICES[symbol] * (1 + move) / float(ticks[symbol])) * ticks[symbol]
            yield FeedTrade(
                symbol=symbol,
                ts_ms=start_ms + int(seconds * 1000) + place * 100 // len(symbols),
                price=price,
                qty=Decimal(1),
                side=None,
                trade_id=f"{symbol}-{number}",
            )


def exchange(symbols: list[str], accounts: list[str], pipe: Connection) -> None:
    """Run an exchange in a process of its own until told to stop."""
    host = PaperHost(
        [paper_market(one) for one in symbols],
        [
            paper_account(name, "1000000", key=f"key-{name}", secret=f"secret-{name}", uid=number)
            for number, name in enumerate(accounts, 1001)
        ],
        feed=lambda start_ms: market(symbols, start_ms),
    )
    with host:
        watch = Stopwatch(host)
        pipe.send(host.server.port)
        while pipe.recv() != "stop":
            pipe.send((watch.waits_ms[:], watch.tickers))
            watch.waits_ms.clear()


def rss_mb() -> float:
    """Return what this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def session(symbols: list[str], accounts: list[str]) -> tuple[list[float], float, float, float]:
    """Return waits in ms, tickers a second, the share of one CPU, and memory in MB."""
    mine, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=exchange, args=(symbols, accounts, theirs))
    child.start()
    try:
        port = mine.recv()
        with tempfile.TemporaryDirectory() as folder:
            amounts = {one: str(200) for one in symbols}
            settings = bot_settings(
                Path(folder),
                port,
                [
                    strategy("BTCUSDT", name)
                    | {
                        "symbol": symbol, "strat_id": f"{name}_{symbol}", "grid_step": 0.2,
                        "grid_count": 10, "amount": amounts[symbol],
                    }
                    for name in accounts
                    for symbol in symbols
                ],
                {name: (f"key-{name}", f"secret-{name}") for name in accounts},
                order_sync_interval=61, position_check_interval=63, status_interval=10,
            )  # fmt: skip
            config = GridbotConfig.model_validate(settings)
            return asyncio.run(_trade(config, mine))
    finally:
        mine.send("stop")
        child.join(10)


async def _trade(
    config: GridbotConfig, pipe: Connection
) -> tuple[list[float], float, float, float]:
    bot = Orchestrator(config, Redactor())
    await bot.start()
    # the first grids of an account take as long as its limit of orders a second says
    await asyncio.sleep(3 + 1.5 * len(config.strategies) / len(config.accounts))
    pipe.send("look")
    _, tickers_before = await asyncio.to_thread(pipe.recv)
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(SECONDS)
    pipe.send("look")
    waits, tickers = await asyncio.to_thread(pipe.recv)
    seconds = time.perf_counter() - begun
    share = (time.process_time() - cpu) / seconds
    memory = rss_mb()
    await bot.stop()
    return waits, (tickers - tickers_before) / seconds, share, memory


def quantile(values: list[float], share: float) -> float:
    """Return the value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def memory_growth(hours: float) -> tuple[float, float]:
    """Return MB that a simulated bot grows by in the first hour and in those after it."""

    async def live() -> tuple[float, float]:
        world = BotWorld(
            [paper_market()], [paper_account()], [StrategySpec(grid_step="0.1")], seed=1
        )

        class Feed:
            name, symbols = "waves", ("BTCUSDT",)

            def events(self, start_ms: int) -> Iterator[FeedEvent]:
                return market(["BTCUSDT"], start_ms)

        loop = asyncio.get_running_loop()
        end = world.exchange.now_ms + int((hours + 2) * 3_600_000)
        player = loop.create_task(world.play(Feed(), end), name="world market")
        await asyncio.sleep(1)
        await world.start()
        sizes = []
        for _ in range(2):
            await asyncio.sleep(hours * 1_800)
            gc.collect()
            sizes.append(rss_mb())
        player.cancel()
        await world.stop()
        return sizes[0], sizes[1]

    return run_virtually(live())


def rows() -> list[Row]:
    """Return all figures."""
    found: list[Row] = []
    symbols = list(PRICES)
    for names, accounts in ((symbols[:1], ["a1"]), (symbols, ["a1", "a2", "a3", "a4", "a5"])):
        waits, tickers, share, memory = session(names, accounts)
        given = f"{len(names) * len(accounts)} strategies, {tickers:.0f} tickers/s"
        found += [
            ("ticker frame to order, p50", quantile(waits, 0.5), "ms", f"{given}, n={len(waits)}"),
            ("ticker frame to order, p99", quantile(waits, 0.99), "ms", f"{given}, n={len(waits)}"),
            ("share of one CPU", share * 100, "%", given),
            ("memory", memory, "MB", given),
        ]
    half, whole = memory_growth(0.5)
    found.append(
        ("memory after half a simulated hour", whole, "MB", f"{half:.1f} MB at half of it")
    )
    return found


if __name__ == "__main__":
    for row in rows():
        print(*row)
