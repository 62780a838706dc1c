"""The capture daemon as an object: connections, writers, reconciliation, and their upkeep."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

from bybit_adapter import BybitAsyncClient, BybitRestClient, StreamTiming
from event_saver.accounts.awaited import AwaitedAccounts, FindAccount
from event_saver.accounts.contexts import AccountContext, beat
from event_saver.basics.loop_lag import LoopLag
from event_saver.basics.scheduled import Scheduled
from event_saver.capture.accounts import AccountCapture
from event_saver.capture.closings import Closings
from event_saver.capture.connections import CaptureConnections
from event_saver.capture.market import MarketCapture
from event_saver.collectors.progress import Progress
from event_saver.health.health import saver_stats, summary, totals
from event_saver.health.metrics import SaverMetrics, health_report
from event_saver.reconcile.market import TradeSource
from event_saver.reconcile.reconciler import GapReconciler, RestPatience
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
DOUBT_S = 10.0  # between a frame that cannot be read and the question what it said


class EventSaver:
    """Captures market and private streams of any number of accounts into one database.

        saver = EventSaver(config, database)
        saver.add_account(context)
        await saver.run_until_shutdown()

    Made complete, on any thread; it lives on the event loop that runs `start`, and never blocks
    it. Accounts may come and go at any time, from any thread. Raises ConfigError for wrong
    settings; `start` raises SpoolError and PortTakenError.
    """

    def __init__(
        self,
        config: EventSaverConfig,
        db: DatabaseFactory,
        *,
        timing: StreamTiming | None = None,
        patience: RestPatience | None = None,
    ) -> None:
        self._config = config
        self._database = db
        self._timing = timing
        self._patience = patience
        self._symbols = config.get_symbols()
        self._contexts: dict[str, AccountContext] = {}
        self._turn = threading.Lock()  # of the contexts, and of whether it runs
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs
        self._started = 0.0
        self._tasks = TaskSet(_task_failed)
        self._awaited = AwaitedAccounts(self.add_account)
        self.lag = LoopLag()
        self.writers = WriterSet()
        self._make_parts()

    def _make_parts(self) -> None:
        """Make what can be started once: with the object, and before every further start."""
        config, db = self._config, self._database
        self._is_spent = False
        self._spool = Spool(config.spool_dir, config.spool_max_mb << 20, open_now=False)
        self._spool.may_hold = self._streams
        self._progress = Progress(config.spool_dir, read_now=False)
        self._write_loop = WriteLoop(db, self._spool, self.writers.all, config.get_limits())
        environment = config.get_environment()
        self._market_client = BybitAsyncClient(BybitRestClient(environment=environment))
        trades = TradeSource(
            self._market_client,
            db,
            self.writers.trades,
            self._write_loop,
            config.get_archive_url(),
            config.spool_dir / "archive",
        )
        self._reconciler = GapReconciler(
            db,
            self.writers,
            self._write_loop,
            trades,
            threshold_s=config.gap_threshold_seconds,
            patience=self._patience,
        )
        self._closings = Closings(self._tasks, self._progress, self._reconciler, DOUBT_S)
        self._connections = CaptureConnections(
            self._progress, self._closings, self._write_loop.durable
        )
        self._market = MarketCapture(
            environment,
            self._symbols,
            self._market_client,
            trades,
            self.writers,
            self._progress,
            self._reconciler,
            self._closings,
            self._connections,
            self._tasks,
            self._timing,
        )
        self._accounts = AccountCapture(
            self._contexts,
            self.writers,
            self._progress,
            self._reconciler,
            self._closings,
            self._connections,
            self._timing,
            timedelta(seconds=config.audit_interval),
        )
        self._endpoint = self._make_endpoint()

    def _make_endpoint(self) -> MetricsEndpoint | None:
        config = self._config
        if config.metrics_port is None:
            return None
        return MetricsEndpoint(
            SaverMetrics(self.get_stats).page,
            lambda: health_report(self.get_stats()),
            host=config.metrics_host,
            port=config.metrics_port,
            advice="correct EVENTSAVER_METRICS_HOST, or set EVENTSAVER_METRICS_PORT to a free"
            " port or to nothing",
        )

    # accounts

    def add_account(self, context: AccountContext) -> Scheduled[None]:
        """Capture one more account, at once if the daemon runs; nothing for one that is there.

        From any thread. It need not be awaited; who does waits until it begins to connect.
        Raises ValueError for an account that is captured in another way already.
        """
        account_id = str(context.account_id)
        has_run = context.owner.run_id is not None
        with self._turn:
            known = self._contexts.get(account_id)
            if known == context:
                return Scheduled.done(None)  # who asks twice has what was asked for
            if known is not None:
                raise ValueError(f"account {account_id} is captured already; remove it first")
            self._contexts[account_id] = context
            loop = self._loop
        if not has_run:
            log.warning(
                "account %s has no run: positions and wallet are captured, executions and orders"
                " are not",
                account_id,
            )
        if loop is None:
            return Scheduled.done(None)
        return Scheduled.on(loop, self._tasks.spawn, lambda: self._accounts.begin(context))

    def await_account(self, name: str, find: FindAccount, why: str) -> None:
        """Capture an account once it can be found; until then `why` stands among the alarms.

        `find` blocks, and raises ConfigError or GridDbError with a sentence as long as it cannot.
        """
        self._awaited.add(name, find, why)

    @property
    def contexts(self) -> list[AccountContext]:
        """The accounts that are captured."""
        return list(self._contexts.values())

    def remove_account(self, account_id: object) -> Scheduled[bool]:
        """Stop capturing an account; False if it was not captured.

        From any thread. It need not be awaited; who does waits until it is disconnected.
        """
        with self._turn:
            context = self._contexts.pop(str(account_id), None)
            loop = self._loop
        if context is None or loop is None:
            return Scheduled.done(context is not None)
        gone = context

        async def end() -> bool:
            await self._accounts.end(gone)
            return True

        return Scheduled.on(loop, self._tasks.spawn, end)

    # start and stop

    async def start(self) -> None:
        """Connect everything, close what an earlier end left open.

        Raises SpoolError, PortTakenError, and RuntimeError where it runs already.
        """
        if self._loop is not None:
            raise RuntimeError("it runs already; stop it before it is started again")
        if self._is_spent:
            self._make_parts()
        self._is_spent = True
        self._spool.open()
        try:
            self._progress.read()
            if self._endpoint is not None:
                self._endpoint.start()
        except BaseException:
            self._spool.close()
            raise
        self._write_loop.start()
        self._started = time.monotonic()
        with self._turn:
            self._loop = asyncio.get_running_loop()
            known = tuple(self._contexts.values())
        await self._market.begin()
        for context in known:
            await self._accounts.begin(context)
        config = self._config
        for upkeep in (
            self.lag.run(),
            _repeat(max(1.0, config.flush_interval), self._connections.keep_progress),
            _repeat(MINUTE_S, self._every_minute),
            _repeat(config.audit_interval, self._accounts.audit),
            _repeat(config.symbol_interval, self._market.look),
            _repeat(config.symbol_interval, self._awaited.look),
        ):
            self._tasks.spawn(upkeep)

    async def stop(self) -> None:
        """Disconnect, write everything down, note how far it went. Takes at most 9 s."""
        with self._turn:
            is_running, self._loop = self._loop is not None, None
        if not is_running:
            self._is_spent = True
            self._market_client.close()
            return
        await self._tasks.cancel()
        moments = await self._connections.stop()
        is_written = await in_thread(lambda: self._write_loop.stop(3.5))
        if not self._write_loop.losses.pending:
            self._connections.advance(moments)
        self._progress.save()
        is_written = is_written and not self._write_loop.losses.pending
        log.log(
            logging.INFO if is_written else logging.WARNING,
            "stopped; %s",
            self._what_waits(is_written=is_written),
            extra={"fields": totals(self.get_stats())},
        )
        self._accounts.close()
        self._market_client.close()
        if self._endpoint is not None:
            self._endpoint.close()
        self._connections.forget()
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
        guard = threading.Timer(STOP_S, os._exit, [1])
        guard.daemon = True

        def on_signal() -> None:
            if stopping.is_set():
                log.critical("second signal: ending at once; the next start closes the gap")
                os._exit(1)
            log.info("signal received: stopping")
            stopping.set()
            guard.start()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        try:
            await self.start()
            await stopping.wait()
        finally:
            await self.stop()
            guard.cancel()

    # gaps

    def _streams(self) -> Iterator[StreamOf]:
        """Name every stream that rows may be of; called on the writing thread."""
        for symbol in self._symbols:
            yield StreamOf(CaptureStream.TRADES, symbol)
            yield StreamOf(CaptureStream.TICKERS, symbol)
        for context in tuple(self._contexts.values()):
            yield from account_streams(context.owner)

    async def retry_gaps(self) -> int:
        """Try now, due or not, what the ledger has as open; return how many gaps were filled.

        Raises GridDbError.
        """
        return await self._reconciler.retry(self._accounts.feeds, force=True)

    async def flushed(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that has arrived is in the database or on disk; False after timeout."""
        return await self._write_loop.durable(timeout_s)

    # upkeep

    async def _every_minute(self) -> None:
        log.info("captured", extra={"fields": summary(self.get_stats())})
        contexts = tuple(self._contexts.values())
        try:
            await in_thread(lambda: beat(self._database, contexts))
            await self._reconciler.retry(self._accounts.feeds)
        except GridDbError as error:
            log.warning("the ledger was not read: %s", error)

    def get_stats(self) -> dict[str, Any]:
        """Return all counters and states, ready for JSON. From any thread."""
        return saver_stats(
            uptime_s=time.monotonic() - self._started if self._started else 0.0,
            writers=self.writers.stats(),
            spool=self._spool,
            database=self._write_loop.database_state(),
            is_writing=self._write_loop.is_alive,
            losses_waiting=self._write_loop.losses.pending,
            out={**self._market.out, **self._awaited.out()},
            streams=self._connections.status(),
            reconciler=self._reconciler,
            working=self._closings.working,
            lag=self.lag,
        )


async def _repeat(interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await work()
        except Exception:  # upkeep goes on, whatever one round meets
            log.exception("upkeep failed this time")


def _task_failed(error: BaseException) -> None:
    # its streams stay held, so the next start looks at the stretch once more
    log.error("a task failed", exc_info=error)
