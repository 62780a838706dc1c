"""Capture daemon: from memory to committed row, and from socket to committed row.

    uv run python benchmarks/bench_event_saver.py --trades 300000 --seconds 15

The exchange of the second part runs in a process of its own, on the same machine, and speaks the
real protocol to the real client: six streams (trades and tickers of three symbols), once at a rate
that is more than both can do, for the rows per second, and once at the rate that is wanted, for the
lag, which is from the arrival of a frame in the process to the commit that holds its trades. Times
of the clock need a machine with nothing else to do; the processor times of both processes say what
limits, whatever else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import psycopg
from pydantic import SecretStr

from event_saver.daemon import SWITCH_INTERVAL_S
from event_saver.saver import EventSaver
from event_saver.settings.config import EventSaverConfig
from event_saver.spool.spool import Spool
from event_saver.writers import WriteLimits, WriteLoop, WriterSet
from grid_db import DatabaseFactory, DatabaseSettings
from grid_db.testing import EmbeddedPostgres, settings_for
from gridcore import PublicTradeEvent, SideType
from market_data.rules.instrument_info import default_rules
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.assembly import assemble, serve
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import listing_of_rules
from paper_exchange.market.market import FeedTrade, Market
from paper_exchange.rest.rate_limits import RateLimits

Row = tuple[str, float, str, str]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
WANTED, MOST = 10_000, 20_000  # trades a second
LEAD_S = 4.0  # for the daemon to connect
BATCH = 5_000  # rows that the daemon writes at once under load
COLUMNS = "symbol, trade_id, exchange_ts, local_ts, side, price, size"
FRAME = 20  # trades that arrive together in the first part


def make_events(count: int) -> list[PublicTradeEvent]:
    """Return trades as the normaliser makes them."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        PublicTradeEvent(
            symbol="BTCUSDT",
            exchange_ts=start + timedelta(milliseconds=number),
            local_ts=start + timedelta(milliseconds=number + 40),
            trade_id=f"{number * 2_654_435_761 % 2**64:016x}-bench",
            side=SideType.BUY if number % 3 else SideType.SELL,
            price=Decimal(600_000 + number % 977) / 10,
            size=Decimal(number % 400 + 1) / 1000,
        )
        for number in range(count)
    ]


def from_memory(database: DatabaseFactory, events: list[PublicTradeEvent], folder: Path) -> float:
    """Return rows per second from the writer's `add` to the last commit."""
    spool, writers = Spool(folder), WriterSet()
    loop = WriteLoop(database, spool, writers.all, WriteLimits(memory_rows=10**9))
    loop.start()
    begun = time.perf_counter()
    for first in range(0, len(events), FRAME):
        writers.trades.add_records(events[first : first + FRAME])
    while writers.trades.settled < len(events):
        time.sleep(0.005)
    took = time.perf_counter() - begun
    loop.stop()
    spool.close()
    assert writers.trades.stats().written == len(events)
    return len(events) / took


def run_exchange(seconds: float, offered: int, told: Any) -> None:
    """Serve a market that begins to trade after a while. In a process of its own."""

    def feed(start_ms: int) -> Iterator[FeedTrade]:
        for number in range(int(seconds * offered)):
            symbol = SYMBOLS[number % 3]
            base = {"BTCUSDT": 60_000, "ETHUSDT": 3_000, "LTCUSDT": 90}[symbol]
            yield FeedTrade(
                symbol=symbol,
                ts_ms=start_ms + number * 1000 // offered,
                price=Decimal(base * 100 + number % 97) / 100,
                qty=Decimal(number % 900 + 100) / 100,
                side=SideType.BUY if number % 5 else SideType.SELL,
                trade_id=f"{number:08x}-{offered}",
            )

    async def serve_it() -> None:
        now = wall_ms()
        markets = [
            Market(listing_of_rules(default_rules(one)), Depth(Decimal(20_000), 7), Decimal(0))
            for one in SYMBOLS
        ]
        parts = assemble(markets, [], start_ms=now, limits=RateLimits(0, 10**9))
        server = serve(parts, feed(now + int(LEAD_S * 1000)))
        await server.start()
        told.put(server.base_url)
        await asyncio.sleep(seconds + LEAD_S + 300)

    asyncio.run(serve_it())


@dataclass(frozen=True, slots=True)
class Run:
    """What the second part measures."""

    rows_per_s: float
    lags_s: list[float]
    loop_late_s: float  # the worst
    grown_mb: float
    cpu_s: float  # a trade, tickers included
    exchange_cpu_s: float  # a trade


async def from_socket(database: DatabaseFactory, url: str, folder: Path, total: int) -> Run:
    """Capture what an exchange sends; the processor time of the exchange is left to the caller."""
    config = EventSaverConfig(
        symbols=",".join(SYMBOLS), environment=url, spool_dir=folder, metrics_port=None,
        flush_interval=0.5,
    )  # fmt: skip
    saver = EventSaver(config, database)
    writer = saver.writers.trades
    await saver.start()
    while not writer.received:  # noqa: ASYNC110 - a counter, nothing tells of it
        await asyncio.sleep(0.002)
    process = psutil.Process()
    cpu = sum(process.cpu_times()[:2])
    begun, lags, waiting = time.perf_counter(), [], []
    memory = 0
    quiet_since = begun
    while writer.settled < total and time.perf_counter() - quiet_since < 5:
        await asyncio.sleep(0.01)
        now = time.perf_counter()
        if not memory and now - begun > 2:
            memory = process.memory_info().rss
        if not waiting or waiting[-1][1] < writer.received:
            waiting.append((now, writer.received))
            quiet_since = now
        while waiting and writer.settled >= waiting[0][1]:
            lags.append(now - waiting.pop(0)[0])
    took = time.perf_counter() - begun
    grown = (process.memory_info().rss - memory) / 1e6
    rows, lag = writer.settled, saver.lag.worst_s
    cpu = (sum(process.cpu_times()[:2]) - cpu) / rows
    await saver.stop()
    return Run(rows / took, sorted(lags), lag, grown, cpu, 0.0)


def capture(database: DatabaseFactory, folder: Path, seconds: float, offered: int) -> Run:
    """Start an exchange and capture all that it sends."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    child = context.Process(target=run_exchange, args=(seconds, offered, told), daemon=True)
    child.start()
    try:
        url = told.get(timeout=60)
        before = sum(psutil.Process(child.pid).cpu_times()[:2])
        total = int(seconds * offered)
        run = asyncio.run(from_socket(database, url, folder, total))
        used = sum(psutil.Process(child.pid).cpu_times()[:2]) - before
        return replace(run, exchange_cpu_s=used / total)
    finally:
        child.kill()
        child.join()


def plain_copy(database: DatabaseFactory, events: list[PublicTradeEvent]) -> float:
    """Return rows per second of COPY into a staging table and INSERT, by the driver alone.

    The texts are ready before the clock runs.
    """
    lines = [
        f"{one.symbol}\tp{one.trade_id}\t{one.exchange_ts.isoformat()}\t{one.local_ts.isoformat()}"
        f"\t{one.side.value}\t{one.price}\t{one.size}\n"
        for one in events
    ]
    parts = ["".join(lines[at : at + BATCH]) for at in range(0, len(lines), BATCH)]
    url = database.engine.url.set(drivername="postgresql")
    begun = time.perf_counter()
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        for part in parts:
            cursor = connection.cursor()
            cursor.execute(
                "CREATE TEMP TABLE stage ON COMMIT DROP AS"
                f" SELECT {COLUMNS} FROM public_trades WITH NO DATA"
            )
            with cursor.copy(f"COPY stage ({COLUMNS}) FROM STDIN") as copy:
                copy.write(part)
            cursor.execute(
                f"INSERT INTO public_trades ({COLUMNS}) SELECT {COLUMNS} FROM stage"
                " ON CONFLICT (symbol, trade_id) DO NOTHING"
            )
            connection.commit()
    return len(events) / (time.perf_counter() - begun)


def measure(
    name: str,
    database: DatabaseFactory,
    events: list[PublicTradeEvent],
    seconds: float,
    target: str,
) -> Iterator[Row]:
    """Measure one database."""
    folder = Path(tempfile.mkdtemp(prefix="bench-event-saver-"))
    try:
        given = f"{len(events):,} trades"
        yield (
            f"{name}, memory to row (target {target})",
            from_memory(database, events, folder / "a"),
            "rows/s",
            given,
        )
        if database.dialect == "postgresql":
            rate = plain_copy(database, events)
            yield f"{name}, plain COPY, staging table, INSERT", rate, "rows/s", given
        most = capture(database, folder / "b", seconds, MOST)
        given = f"{MOST:,}/s offered for {seconds:.0f} s"
        yield f"{name}, socket to row (target {WANTED:,})", most.rows_per_s, "rows/s", given
        yield f"{name}, processor time a trade, tickers included", 1e6 * most.cpu_s, "us", given
        yield f"{name}, the same of the exchange", 1e6 * most.exchange_cpu_s, "us", given
        run = capture(database, folder / "c", seconds, WANTED)
        given = f"{WANTED:,}/s offered for {seconds:.0f} s"
        for share in (0.5, 0.99):
            lags = run.lags_s
            lag = lags[int(len(lags) * share)] if lags else float("nan")
            yield f"{name}, frame to commit, {share:.0%}", 1000 * lag, "ms", given
        yield f"{name}, event loop late, worst", 1000 * run.loop_late_s, "ms", given
        yield f"{name}, memory grown after the first 2 s", run.grown_mb, "MB", given
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows(count: int = 300_000, seconds: float = 15.0) -> list[Row]:
    """Return (name, value, unit, input) of every figure."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    events = make_events(count)
    gc.freeze()  # as the daemon does
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        url = SecretStr(f"sqlite:///{folder}/bench.db")
        with DatabaseFactory(DatabaseSettings(database_url=url)) as database:
            database.create_tables()
            table += measure("SQLite", database, events, seconds, "40,000")
    server = EmbeddedPostgres()
    try:
        with DatabaseFactory(settings_for(server.create_database(with_tables=True))) as database:
            table += measure("PostgreSQL", database, events, seconds, "60,000")
    finally:
        server.stop()
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trades", type=int, default=300_000, help="of the first part")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the second part")
    arguments = parser.parse_args()
    for name, value, unit, given in rows(arguments.trades, arguments.seconds):
        print(f"{name:<52} {value:>12,.1f} {unit:<7} {given}")


if __name__ == "__main__":
    main()
