"""The live bot against a paper exchange in another process: latency and load.

Every order is followed by its link id along five moments, all on this machine's clock: the ticker
frame that led to it leaves the exchange's socket; the bot has read it; the intent is decided; the
request goes to the bot's socket; the exchange has accepted the order. The bot's own latency is from
the first to the fourth (the way through the kernel is in it); the rest is the exchange's, which
shares the machine's cores and is in nobody's way at Bybit.

Run by itself with `python benchmarks/bench_gridbot.py`, or with all others by `make bench`. Memory
over a long time is what soak_gridbot.py looks at.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import math
import multiprocessing
import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import paper_exchange.host.server
from grid_service.redaction import Redactor
from gridbot.actor.roles import Executor
from gridbot.actor.runner import StrategyRunner
from gridbot.interpreter import avoid_pauses
from gridbot.orchestrator import Orchestrator
from gridbot.settings.config import GridbotConfig
from gridbot.words.bot_logs import bot_logs
from gridcore import Intent, PlaceLimitIntent
from paper_exchange.market.market import FeedEvent, FeedTrade
from paper_exchange.rest.rate_limits import RateLimits
from testkit.bot_host import Witness, bot_settings, strategy
from testkit.paper import PaperHost, paper_account, paper_market

Row = tuple[str, float, str, str]

PRICES = {
    "BTCUSDT": 60_000.0, "ETHUSDT": 3_000.0, "SOLUSDT": 150.0, "XRPUSDT": 2.0, "BNBUSDT": 600.0,
    "DOGEUSDT": 0.2, "ADAUSDT": 0.5, "LTCUSDT": 90.0, "LINKUSDT": 15.0, "AVAXUSDT": 30.0,
}  # fmt: skip
TICKER = re.compile(rb'"tickers\.([A-Z]+)".*"ts":(\d+)')
LINK_ID = re.compile(rb'"orderLinkId": ?"([^"]+)"')
TICKERS_PER_S = 10.0  # of each symbol, which is what the exchange sends at most
# an account may place ten orders a second at first, and much more as its volume grows; with ten
# the figures would be those of the waiting
WARM_UP_S = 8.0
# how long a wave of 0.4 % up and down takes; in the short one half of all orders are sent in bursts
FAST_WAVE_S, SLOW_WAVE_S = 12.0, 60.0
LIMITS = RateLimits(factor=20, per_ip=0)


class ExchangeClockwork(Witness):
    """Notes when frames leave and orders are accepted, in seconds of this machine's clock."""

    def __init__(self, host: PaperHost) -> None:
        self.left: dict[tuple[str, int], float] = {}  # by symbol and time of the frame
        self.accepted: dict[str, float] = {}  # by link id
        super().__init__(host)
        plain = paper_exchange.host.server.as_text_frame

        def stamped(text: bytes) -> bytes:
            found = TICKER.search(text) if text.startswith(b'{"topic":"tickers', 0, 17) else None
            if found is not None:
                self.left[found[1].decode(), int(found[2])] = time.time()
            return plain(text)

        paper_exchange.host.server.as_text_frame = stamped

    def on_order(self, account: Any, order: Any) -> None:
        """Note the first word of an order."""
        self.accepted.setdefault(order.link_id, time.time())


def market(
    symbols: list[str],
    start_ms: int,
    *,
    per_s: float = TICKERS_PER_S,
    period_s: float = FAST_WAVE_S,
) -> Iterator[FeedEvent]:
    """Yield trades in waves without end, `per_s` of each symbol."""
    chance = random.Random(1)
    ticks = {one: paper_market(one).listing.instrument.tick_size for one in symbols}
    for number in range(10**9):
        seconds = number / per_s
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


def exchange(symbols: list[str], accounts: list[str], period_s: float, pipe: Connection) -> None:
    """Run an exchange in a process of its own until told to stop."""
    host = PaperHost(
        [paper_market(one) for one in symbols],
        [
            paper_account(name, "1000000", key=f"key-{name}", secret=f"secret-{name}", uid=number)
            for number, name in enumerate(accounts, 1001)
        ],
        feed=lambda start_ms: market(symbols, start_ms, period_s=period_s),
        limits=LIMITS,
    )
    with host:
        clockwork = ExchangeClockwork(host)
        pipe.send(host.server.port)
        while pipe.recv() != "stop":
            found = host.do(lambda: (dict(clockwork.left), dict(clockwork.accepted)))
            pipe.send((*found, time.process_time()))


@dataclass(slots=True)
class Decided:
    """One intent: the ticker it answers, when that was read and when the intent was there."""

    symbol: str
    ts_ms: int
    read: float
    decided: float


@dataclass(slots=True)
class BotClockwork:
    """Notes when intents are decided and when their requests go out."""

    decided: dict[str, Decided] = field(default_factory=dict)  # the newest, by client order id
    written: dict[str, tuple[float, Decided]] = field(default_factory=dict)  # by link id

    async def has_written(self, samples: int) -> None:
        """Return when so many orders went out."""
        while len(self.written) < samples:  # noqa: ASYNC110 - it is written by many threads
            await asyncio.sleep(0.5)

    def watch_requests(self) -> None:
        """Look at what goes to sockets; before the first connection."""
        plain = http.client.HTTPConnection.send

        def stamped(connection: Any, data: Any) -> None:
            if isinstance(data, bytes) and b"orderLinkId" in data:
                now = time.time()
                for link in LINK_ID.findall(data):
                    decided = self.decided.get(link[:16].decode())
                    if decided is not None:
                        self.written.setdefault(link.decode(), (now, decided))
            plain(connection, data)

        http.client.HTTPConnection.send = stamped  # type: ignore[method-assign, assignment]


class Tap:
    """Hands everything on to an executor, and notes the moment of each intent."""

    def __init__(self, inner: Executor, runner: StrategyRunner, clockwork: BotClockwork) -> None:
        self._inner = inner
        self._runner = runner
        self._clockwork = clockwork

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def submit(self, intents: list[Intent]) -> None:
        """Note, then submit."""
        now, ticker = time.time(), self._runner.last_ticker
        if ticker is not None:
            ts_ms = round(ticker.exchange_ts.timestamp() * 1000)
            noted = Decided(ticker.symbol, ts_ms, ticker.local_ts.timestamp(), now)
            for intent in intents:
                if isinstance(intent, PlaceLimitIntent):
                    self._clockwork.decided[intent.client_order_id] = noted
        self._inner.submit(intents)


@dataclass(slots=True)
class Figures:
    """What one session brought. Waits are ms, shares parts of one core, memory MB."""

    waits: dict[str, list[float]]
    tickers_per_s: float
    orders_per_s: float
    bot_share: float
    exchange_share: float
    memory_mb: float


STAGES = ("frame read", "decided", "request written", "accepted", "frame to request")


def session(
    symbols: list[str],
    accounts: list[str],
    samples: int,
    most_s: float,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    *,
    is_followed: bool = True,
    period_s: float = FAST_WAVE_S,
) -> Figures:
    """Trade until there are so many samples, or for so long; `beside` runs with the bot.

    Orders that are not followed leave no notes behind, and there are no waits then.
    """
    mine, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=exchange, args=(symbols, accounts, period_s, theirs))
    child.start()
    try:
        port = mine.recv()
        with tempfile.TemporaryDirectory() as folder:
            settings = bot_settings(
                Path(folder),
                port,
                [
                    strategy("BTCUSDT", name)
                    | {
                        "symbol": symbol, "strat_id": f"{name}_{symbol}", "grid_count": 10,
                        # the same step everywhere would let all accounts act at the same ticks
                        "grid_step": round(0.2 + 0.017 * number, 3), "amount": "200",
                    }
                    for number, name in enumerate(accounts)
                    for symbol in symbols
                ],
                {name: (f"key-{name}", f"secret-{name}") for name in accounts},
                order_sync_interval=61, position_check_interval=63, status_interval=10,
                wallet_cache_interval=300, health_check_interval=10, clock_check_interval=300,
                log={"file": str(Path(folder) / "bot.log"), "level": "info", "console": False},
            )  # fmt: skip
            config = GridbotConfig.model_validate(settings)
            logs = bot_logs(config.log, Redactor())
            try:
                return asyncio.run(_trade(config, mine, samples, most_s, beside, is_followed))
            finally:
                logs.close()
    finally:
        mine.send("stop")
        child.join(10)


async def _trade(
    config: GridbotConfig,
    pipe: Connection,
    samples: int,
    most_s: float,
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
    is_followed: bool,
) -> Figures:
    clockwork = BotClockwork()
    looking = None if beside is None else asyncio.create_task(beside())
    if is_followed:
        clockwork.watch_requests()
    bot = Orchestrator(config, Redactor())
    await bot.start()
    for runner in bot.runners:
        if runner.executor is not None and is_followed:
            runner.use(Tap(runner.executor, runner, clockwork))
    avoid_pauses()
    await asyncio.sleep(WARM_UP_S)
    left, _, exchange_cpu = await _look(pipe)
    clockwork.written.clear()
    tickers = len(left)
    before = _placed(bot)
    begun, cpu = time.perf_counter(), time.process_time()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(clockwork.has_written(samples), most_s)
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    written = dict(clockwork.written)
    left, accepted, exchange_cpu_then = await _look(pipe)
    placed = len(written) if is_followed else _placed(bot) - before
    memory = rss_mb()
    if looking is not None:
        looking.cancel()
    bot.request_stop()
    await bot.stop()
    waits: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for link, (sent, one) in written.items():
        frame, taken = left.get((one.symbol, one.ts_ms)), accepted.get(link)
        if frame is None or taken is None:
            continue
        moments = (frame, one.read, one.decided, sent, taken)
        for stage, (first, second) in zip(STAGES, itertools.pairwise(moments), strict=False):
            waits[stage].append((second - first) * 1000)
        waits[STAGES[-1]].append((sent - frame) * 1000)
    return Figures(
        waits,
        (len(left) - tickers) / seconds,
        placed / seconds,
        used / seconds,
        (exchange_cpu_then - exchange_cpu) / seconds,
        memory,
    )


def _placed(bot: Orchestrator) -> int:
    return sum(one.counts.placed for one in bot.snapshot().strategies)


async def _look(pipe: Connection) -> Any:
    pipe.send("look")
    return await asyncio.to_thread(pipe.recv)


def rss_mb() -> float:
    """Return what this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def quantile(values: list[float], share: float) -> float:
    """Return the value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def rows(samples: int = 2_000, most_s: float = 120.0) -> list[Row]:
    """Return all figures."""
    found: list[Row] = []
    symbols = list(PRICES)
    five = ["a1", "a2", "a3", "a4", "a5"]
    for names, accounts, wanted, period_s in (
        # one strategy places a few orders a second: all samples would take a quarter of an hour
        (symbols[:1], five[:1], samples // 8, FAST_WAVE_S),
        (symbols, five, samples, FAST_WAVE_S),
        (symbols, five, samples // 2, SLOW_WAVE_S),
    ):
        figures = session(names, accounts, wanted, most_s, period_s=period_s)
        given = (
            f"{len(names) * len(accounts)} strategies, {figures.tickers_per_s:.0f} tickers/s,"
            f" waves of {period_s:g} s"
        )
        count = len(figures.waits[STAGES[-1]])
        for stage, waits in figures.waits.items():
            name = "ticker frame to request" if stage == STAGES[-1] else f"  until {stage}"
            found += [
                (f"{name}, p50", quantile(waits, 0.5), "ms", f"{given}, n={count}"),
                (f"{name}, p99", quantile(waits, 0.99), "ms", f"{given}, n={count}"),
            ]
        given += f", {figures.orders_per_s:.0f} orders/s"
        found += [
            ("bot, share of one core", figures.bot_share * 100, "%", given),
            ("exchange, share of one core", figures.exchange_share * 100, "%", given),
            ("memory", figures.memory_mb, "MB", given),
        ]
    return found


if __name__ == "__main__":
    for row in rows():
        print(*row)
