"""The capture daemon as an object: connections, writers, reconciliation, and their upkeep."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bybit_adapter import BybitAsyncClient, BybitRestClient, RateLimiter, StreamTiming
from event_saver.accounts.awaited import AwaitedAccounts, FindAccount
from event_saver.accounts.contexts import AccountContext, beat
from event_saver.basics.loop_lag import LoopLag
from event_saver.collectors import PrivateCollector, PublicCollector, StreamCollector
from event_saver.collectors.listing import Listings
from event_saver.collectors.market_watch import MarketWatch, market_keys
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.health.health import saver_stats, summary, totals
from event_saver.health.metrics import SaverMetrics, health_report
from event_saver.reconcile.account import AccountFeed
from event_saver.reconcile.market import TradeSource
from event_saver.reconcile.reconciler import GapReconciler, Patience, Stretch
from event_saver.settings.config import EventSaverConfig
from event_saver.spool.spans import StreamOf, account_streams
from event_saver.spool.spool import Spool
from event_saver.writers import WriteLoop, WriterSet
from grid_db import CaptureStream, DatabaseFactory, GridDbError
from grid_service.endpoint import MetricsEndpoint
from grid_service.tasks import TaskSet
from grid_service.threads import in_thread

log = logging.getLogger(__name__)

STOP_S = 9.5  # an ordered end takes less; after that the process ends all the same
MINUTE_S = 60.0
DOUBT_S = 10.0
_MARKET = "the market"  # among the doubts; no id of an account


class EventSaver:
    """Captures market and private streams of any number of accounts into one database.

        saver = EventSaver(config, database)
        await saver.add_account(context)
        await saver.run_until_shutdown()

    Lives on one event loop, which is never blocked. Accounts may come and go at any time. Raises
    ConfigError for wrong settings; `start` raises SpoolError and EndpointError.
    """

    def __init__(
        self,
        config: EventSaverConfig,
        db: DatabaseFactory,
        *,
        timing: StreamTiming | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience
        self._config = config
        self._database = db
        self._timing = timing
        self._symbols = config.get_symbols()
        self._environment = config.get_environment()
        self._contexts: dict[str, AccountContext] = {}
        self._feeds: dict[str, AccountFeed] = {}
        self._collectors: dict[str, StreamCollector] = {}
        self._tasks = TaskSet(_task_failed)
        self._closings: dict[StreamCollector, set[asyncio.Task[None]]] = {}
        self._is_running = False
        self._started = 0.0
        self._doubts: dict[str, datetime] = {}
        self._audited: dict[str, datetime] = {}
        self._awaited = AwaitedAccounts(self.add_account)
        self.lag = LoopLag()
        self.writers = WriterSet()

    # accounts

    async def add_account(self, context: AccountContext) -> None:
        """Capture one more account, at once if the daemon runs. Its id must be new."""
        account_id = str(context.account_id)
        if account_id in self._contexts:
            raise ValueError(f"account {account_id} is captured already; remove it first")
        if not context.symbols:
            raise ValueError(f"account {account_id} has no symbols; name those to be captured")
        owner = context.owner
        if owner.run_id is None:
            log.warning(
                "account %s has no run: positions and wallet are captured, executions and orders"
                " are not",
                account_id,
            )
        self._contexts[account_id] = context
        if self._is_running:
            await self._begin_account(context)

    def await_account(self, name: str, find: FindAccount, why: str) -> None:
        """Capture an account once it can be found; until then `why` stands among the alarms.

        `find` blocks, and raises ConfigError or GridDbError with a sentence as long as it cannot.
        """
        self._awaited.add(name, find, why)

    @property
    def contexts(self) -> list[AccountContext]:
        """The accounts that are captured."""
        return list(self._contexts.values())

    async def remove_account(self, account_id: object) -> bool:
        """Stop capturing an account; False if it was not captured."""
        name = str(account_id)
        if self._contexts.pop(name, None) is None:
            return False
        collector, feed = self._collectors.pop(name, None), self._feeds.pop(name, None)
        if collector is not None:
            await self._end_collector(collector)
        if feed is not None:
            feed.client.close()
        return True

    async def _begin_account(self, context: AccountContext) -> None:
        name = str(context.account_id)
        limiter = RateLimiter()
        rest = BybitRestClient(context.api_key, context.api_secret, context.place, limiter=limiter)
        feed = AccountFeed(context.owner, frozenset(context.symbols), BybitAsyncClient(rest))
        self._feeds[name] = feed

        async def close(stretch: Stretch) -> None:
            await self._reconciler.close_account(feed, stretch)

        collector = PrivateCollector(
            context,
            self.writers,
            self._progress,
            on_gap=lambda lost, back: self._close_gap(
                collector, close, Stretch(lost, back, "disconnected")
            ),
            on_doubt=lambda: self._doubt(feed),
            timing=self._timing,
        )
        await self._begin_collector(name, collector, close)

    # start and stop

    async def start(self) -> None:
        """Open spool and progress, connect everything, close what an earlier end left open."""
        config = self._config
        self._spool = Spool(config.spool_dir, config.spool_max_mb << 20)
        self._spool.may_hold = self._streams
        self._progress = Progress(config.spool_dir)
        self._loop = asyncio.get_running_loop()
        self._write_loop = WriteLoop(
            self._database,
            self._spool,
            self.writers.all,
            config.get_limits(),
        )
        self._market_client = BybitAsyncClient(BybitRestClient(environment=self._environment))
        self._trades = TradeSource(
            self._market_client,
            self._database,
            self.writers.trades,
            self._write_loop,
            config.get_archive_url(),
        )
        self._reconciler = GapReconciler(
            self._database,
            self.writers,
            self._write_loop,
            self._trades,
            threshold_s=config.gap_threshold_seconds,
            patience=self._patience,
        )
        self._endpoint = None
        if config.metrics_port is not None:
            try:
                self._endpoint = MetricsEndpoint(
                    SaverMetrics(self.get_stats).page,
                    lambda: health_report(self.get_stats()),
                    host=config.metrics_host,
                    port=config.metrics_port,
                    advice="correct EVENTSAVER_METRICS_HOST, or set EVENTSAVER_METRICS_PORT to a"
                    " free port or to nothing",
                )
                self._endpoint.start()
            except BaseException:
                self._spool.close()
                raise
        self._write_loop.start()
        self._started = time.monotonic()
        self._is_running = True
        await self._begin_market()
        for context in tuple(self._contexts.values()):
            await self._begin_account(context)
        for upkeep in (
            self.lag.run(),
            self._repeat(max(1.0, config.flush_interval), self._keep_progress),
            self._repeat(MINUTE_S, self._every_minute),
            self._repeat(config.audit_interval, self._audit),
            self._repeat(config.symbol_interval, self._watch.look),
            self._repeat(config.symbol_interval, self._awaited.look),
        ):
            self._tasks.spawn(upkeep)

    async def _begin_market(self) -> None:
        starts = {symbol: await self._market_start(symbol) for symbol in self._symbols}
        for symbol, known in starts.items():
            if known is not None:  # where the file was lost, a crash must not lose this too
                self._progress.begin(StreamKey(CaptureStream.TRADES, symbol), known)
        listings = Listings(self._market_client, self._symbols)
        self._watch = MarketWatch(
            self._symbols,
            listings,
            self._progress,
            lambda symbol, why: self._close_symbol(symbol, why, starts),
        )
        followed = await self._watch.begin()
        known_starts = {symbol: starts.pop(symbol) for symbol in followed}

        async def close_start(stretch: Stretch) -> None:
            # a symbol that was never captured has missed nothing
            for symbol, known in known_starts.items():
                if known is not None:
                    missed = Stretch(min(known, stretch.end), stretch.end, stretch.cause)
                    await self._reconciler.close_market({symbol: known}, missed)

        def on_gap(lost: datetime, back: datetime) -> None:
            known = {one: collector.last_trade_before(one, lost) for one in collector.followed}

            async def close(stretch: Stretch) -> None:
                await self._reconciler.close_market(known, stretch)

            self._close_gap(collector, close, Stretch(lost, back, "disconnected"))
            # a contract that is traded no more looks like a connection that is dead
            self._tasks.spawn(self._watch.look())

        collector = PublicCollector(
            self._environment,
            self._symbols,
            followed,
            self.writers,
            self._progress,
            on_gap=on_gap,
            on_doubt=lambda: self._doubt_market(collector),
            timing=self._timing,
        )
        self._watch.follow_with(collector)
        await self._begin_collector("public", collector, close_start)

    def _close_symbol(self, symbol: str, why: str, starts: dict[str, datetime | None]) -> None:
        """Fetch what a symbol missed while it was out; `starts` has those that never were in."""
        keys = market_keys(symbol)
        trades, tickers = (self._progress.of(key) for key in keys)
        known = starts.pop(symbol) if symbol in starts else trades
        now = datetime.now(UTC)

        async def work() -> None:
            if known is not None:
                missed = Stretch(min(tickers or known, now), now, f"not captured, {why}")
                await self._reconciler.close_market({symbol: known}, missed)
            for key in keys:
                self._progress.begin(key, now)
            self._progress.release(keys)

        self._tasks.spawn(work())

    async def _market_start(self, symbol: str) -> datetime | None:
        """Return until when the symbol's trades are certain to be there, None if it is new."""
        key = StreamKey(CaptureStream.TRADES, symbol)
        known = self._progress.of(key)
        if known is not None and self._progress.has_left(key):
            return known
        try:
            stored = await self._trades.last_stored(symbol)
        except GridDbError as error:
            log.warning("%s: what is stored cannot be read now: %s", symbol, error)
            stored = None
        return max((one for one in (known, stored) if one is not None), default=None)

    async def _begin_collector(
        self, name: str, collector: StreamCollector, close: Callable[[Stretch], Awaitable[None]]
    ) -> None:
        """Connect, and fetch what was not received since the last process stood still."""
        self._progress.hold(collector.keys)
        now = datetime.now(UTC)
        before = [self._progress.of(key) for key in collector.keys]
        start = min((moment for moment in before if moment is not None), default=now)
        for key in collector.live_keys():
            self._progress.begin(key, now)
        # a crash from here on is a stretch that the next start knows of
        await in_thread(self._progress.save)
        self._collectors[name] = collector
        await collector.start()

        async def close_start() -> None:
            await collector.wait_connected()
            end = datetime.now(UTC)
            await close(Stretch(min(start, end), end, "not running"))

        self._spawn_closing(collector, close_start)

    async def stop(self) -> None:
        """Disconnect, write everything down, note how far it went. Takes at most 9 s."""
        if not self._is_running:
            return
        self._is_running = False
        await self._tasks.cancel()
        moments = self._moments()
        await asyncio.gather(*(collector.stop() for collector in self._collectors.values()))
        is_written = await in_thread(lambda: self._write_loop.stop(3.5))
        if not self._write_loop.losses.pending:
            self._advance(moments)
        self._progress.save()
        is_written = is_written and not self._write_loop.losses.pending
        log.log(
            logging.INFO if is_written else logging.WARNING,
            "stopped; %s",
            self._what_waits(is_written=is_written),
            extra={"fields": totals(self.get_stats())},
        )
        for feed in self._feeds.values():
            feed.client.close()
        self._market_client.close()
        if self._endpoint is not None:
            self._endpoint.close()
        self._collectors.clear()
        self._feeds.clear()
        self._spool.close()

    def _what_waits(self, *, is_written: bool) -> str:
        losses = self._write_loop.losses.pending
        if losses:
            return f"{losses} losses could not be written down; the next start looks at them"
        if is_written and self._spool.is_empty:
            return "all rows are in the database"
        return f"{self._spool.batches} batches wait on disk for the next start"

    async def run_until_shutdown(self) -> None:
        """Start, run until SIGTERM or SIGINT, stop. A second signal ends the process at once."""
        stopping = asyncio.Event()

        def on_signal() -> None:
            if stopping.is_set():
                log.critical("second signal: ending at once; the next start closes the gap")
                os._exit(1)
            log.info("signal received: stopping")
            stopping.set()
            guard = threading.Timer(STOP_S, os._exit, [1])
            guard.daemon = True
            guard.start()
            self._guard = guard

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        try:
            await self.start()
            await stopping.wait()
        finally:
            await self.stop()
            if stopping.is_set():
                self._guard.cancel()

    # gaps

    def _streams(self) -> Iterator[StreamOf]:
        """Name every stream that rows may be of; called on the writing thread."""
        for symbol in self._symbols:
            yield StreamOf(CaptureStream.TRADES, symbol)
            yield StreamOf(CaptureStream.TICKERS, symbol)
        for context in tuple(self._contexts.values()):
            yield from account_streams(context.owner)

    def _close_gap(
        self,
        collector: StreamCollector,
        close: Callable[[Stretch], Awaitable[None]],
        stretch: Stretch,
    ) -> None:
        log.warning(
            "%s: nothing received for %.1f s", collector.name, stretch.length.total_seconds()
        )

        self._spawn_closing(collector, lambda: close(stretch))

    def _spawn_closing(
        self, collector: StreamCollector, close: Callable[[], Awaitable[None]]
    ) -> None:
        """Work on a stretch; its streams are held until that is done."""

        async def work() -> None:
            await close()
            self._progress.release(collector.keys)

        task = self._tasks.spawn(work())
        closings = self._closings.setdefault(collector, set())
        closings.add(task)
        task.add_done_callback(closings.discard)

    def _doubt(self, feed: AccountFeed) -> None:
        """A frame could not be read: ask REST soon what it may have said, once for many."""
        name = feed.owner.account_id
        now = datetime.now(UTC)
        if name in self._doubts:
            return
        self._doubts[name] = now

        async def ask() -> None:
            while True:
                await asyncio.sleep(DOUBT_S)
                # what comes from here on is a doubt of its own
                since = self._doubts.pop(name)
                if await self._reconciler.audit_account(feed, since):
                    return
                if name in self._doubts:
                    self._doubts[name] = since
                    return  # it was doubted again meanwhile, and that is asked for
                self._doubts[name] = since

        self._tasks.spawn(ask())

    def _doubt_market(self, collector: PublicCollector) -> None:
        """The same of market data: the trades are asked for, and the streams held until then."""
        if _MARKET in self._doubts:
            return
        now = self._doubts[_MARKET] = datetime.now(UTC)
        known = {one: collector.last_trade_before(one, now) for one in collector.followed}
        self._progress.hold(collector.keys)

        async def ask() -> None:
            await asyncio.sleep(DOUBT_S)
            self._doubts.pop(_MARKET, None)
            stretch = Stretch(now, datetime.now(UTC), "a frame could not be read")
            await self._reconciler.close_market(known, stretch)

        self._spawn_closing(collector, ask)

    async def retry_gaps(self) -> int:
        """Try now, due or not, what the ledger has as open; return how many gaps were filled.

        Raises GridDbError.
        """
        return await self._reconciler.retry(tuple(self._feeds.values()), force=True)

    async def flushed(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that has arrived is in the database or on disk; False after timeout."""
        return await self._write_loop.durable(timeout_s)

    # upkeep

    def _moments(self) -> list[tuple[StreamKey, datetime]]:
        """Return until when each stream is complete, as far as the writers have it."""
        moments = [
            (one.live_keys(), one.complete_until()) for one in tuple(self._collectors.values())
        ]
        return [(key, moment) for keys, moment in moments if moment is not None for key in keys]

    def _advance(self, moments: Iterable[tuple[StreamKey, datetime]]) -> None:
        for key, moment in moments:
            self._progress.advance(key, moment)

    async def _keep_progress(self) -> None:
        moments = self._moments()
        if not await self._write_loop.durable():
            return
        self._advance(moments)
        await in_thread(self._progress.save)

    async def _every_minute(self) -> None:
        log.info("captured", extra={"fields": summary(self.get_stats())})
        contexts = tuple(self._contexts.values())
        try:
            await in_thread(lambda: beat(self._database, contexts))
            await self._reconciler.retry(tuple(self._feeds.values()))
        except GridDbError as error:
            log.warning("the ledger was not read: %s", error)

    async def _audit(self) -> None:
        interval = timedelta(seconds=self._config.audit_interval)
        for name, feed in tuple(self._feeds.items()):
            now = datetime.now(UTC)
            # one that failed is made up for by the next that does not
            since = min(now, self._audited.setdefault(name, now - interval)) - interval
            if await self._reconciler.audit_account(feed, since):
                self._audited[name] = now

    async def _repeat(self, interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await work()
            except Exception:  # upkeep goes on, whatever one round meets
                log.exception("upkeep failed this time")

    async def _end_collector(self, collector: StreamCollector) -> None:
        moment = collector.complete_until()
        await collector.stop()
        # what is left to be fetched is left to whoever follows the streams next
        closings = tuple(self._closings.get(collector, ()))
        for task in closings:
            task.cancel()
        await asyncio.gather(*closings, return_exceptions=True)
        self._closings.pop(collector, None)
        if await self._write_loop.durable() and moment is not None:
            self._advance((key, moment) for key in collector.keys)
        self._progress.abandon(collector.keys)
        await in_thread(self._progress.save)

    def get_stats(self) -> dict[str, Any]:
        """Return all counters and states, ready for JSON. From any thread, once started."""
        return saver_stats(
            uptime_s=time.monotonic() - self._started if self._started else 0.0,
            writers=self.writers.stats(),
            spool=self._spool,
            database=self._write_loop.database_state(),
            is_writing=self._write_loop.is_alive,
            losses_waiting=self._write_loop.losses.pending,
            out={**self._watch.out, **self._awaited.out()},
            streams=[one.status() for one in tuple(self._collectors.values())],
            reconciler=self._reconciler,
            working=sum(len(one) for one in tuple(self._closings.values())),
            lag=self.lag,
        )


def _task_failed(error: BaseException) -> None:
    # its streams stay held, so the next start looks at the stretch once more
    log.error("a task failed", exc_info=error)
