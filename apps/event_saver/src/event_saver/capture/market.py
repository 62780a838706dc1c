"""Market data: one connection for all symbols, each of which may come and go."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bybit_adapter import BybitAsyncClient, Environment, StreamTiming
from event_saver.capture.closings import Closings
from event_saver.capture.connections import CaptureConnections
from event_saver.collectors import PublicCollector
from event_saver.collectors.listing import Listings
from event_saver.collectors.market_watch import MarketWatch, market_keys
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.reconcile.market import TradeSource
from event_saver.reconcile.reconciler import GapReconciler, Stretch
from event_saver.writers import WriterSet
from grid_db import CaptureStream, GridDbError
from grid_service.tasks import TaskSet

log = logging.getLogger(__name__)


class MarketCapture:
    """Captures trades and tickers of `symbols` from `begin` on. On the event loop."""

    def __init__(
        self,
        environment: Environment,
        symbols: Sequence[str],
        client: BybitAsyncClient,
        trades: TradeSource,
        writers: WriterSet,
        progress: Progress,
        reconciler: GapReconciler,
        closings: Closings,
        connections: CaptureConnections,
        tasks: TaskSet,
        timing: StreamTiming | None,
    ) -> None:
        self._environment = environment
        self._symbols = tuple(symbols)
        self._trades = trades
        self._writers = writers
        self._progress = progress
        self._reconciler = reconciler
        self._closings = closings
        self._connections = connections
        self._tasks = tasks
        self._timing = timing
        # until when the trades of symbols are there that never were in since the start
        self._starts: dict[str, datetime | None] = {}
        self._watch = MarketWatch(
            self._symbols, Listings(client, self._symbols), progress, self._close_symbol
        )

    @property
    def out(self) -> Mapping[str, str]:
        """Symbols that cannot be captured now, with reasons."""
        return self._watch.out

    async def look(self) -> None:
        """Look at all symbols again: leave the dead, follow those that live."""
        await self._watch.look()

    async def begin(self) -> None:
        """Connect, and close what an earlier end left open."""
        starts = self._starts = {one: await self._start_of(one) for one in self._symbols}
        for symbol, known in starts.items():
            if known is not None:  # where the file was lost, a crash must not lose this too
                self._progress.begin(StreamKey(CaptureStream.TRADES, symbol), known)
        followed = await self._watch.begin()
        if not self._symbols:
            return  # accounts alone
        known_starts = {symbol: starts.pop(symbol) for symbol in followed}

        async def close_start(stretch: Stretch) -> None:
            # a symbol that was never captured has missed nothing
            for symbol, known in known_starts.items():
                if known is not None:
                    missed = Stretch(min(known, stretch.end), stretch.end, stretch.cause)
                    await self._reconciler.close_market({symbol: known}, missed)

        collector = PublicCollector(
            self._environment,
            self._symbols,
            followed,
            self._writers,
            self._progress,
            on_gap=lambda lost, back: self._close_gap(collector, lost, back),
            on_doubt=lambda: self._closings.doubt_market(collector),
            timing=self._timing,
        )
        self._watch.follow_with(collector)
        await self._connections.begin("public", collector, close_start)

    async def _start_of(self, symbol: str) -> datetime | None:
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

    def _close_gap(self, collector: PublicCollector, lost: datetime, back: datetime) -> None:
        known = {one: collector.last_trade_before(one, lost) for one in collector.followed}

        async def close(stretch: Stretch) -> None:
            await self._reconciler.close_market(known, stretch)

        self._closings.gap(collector, close, lost, back)
        # a contract that is traded no more looks like a connection that is dead
        self._tasks.spawn(self._watch.look())

    def _close_symbol(self, symbol: str, why: str) -> None:
        """Fetch what a symbol missed while it was out."""
        keys = market_keys(symbol)
        trades, tickers = (self._progress.of(key) for key in keys)
        known = self._starts.pop(symbol) if symbol in self._starts else trades
        now = datetime.now(UTC)

        async def work() -> None:
            if known is not None:
                missed = Stretch(min(tickers or known, now), now, f"not captured, {why}")
                await self._reconciler.close_market({symbol: known}, missed)
            for key in keys:
                self._progress.begin(key, now)
            self._progress.release(keys)

        self._tasks.spawn(work())
