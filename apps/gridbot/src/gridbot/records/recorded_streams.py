"""The streams that are recorded: until when each is complete, and what a break of one asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bybit_adapter import StreamUpdate
from event_saver.basics.owner import Owner
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.reconcile.account import AccountFeed
from event_saver.reconcile.reconciler import GapReconciler, Stretch
from grid_db import CaptureStream
from gridbot.ports import Rest, Stream, StreamCallbacks

# Between the last sign of life of a connection and what is sure to have reached the writers.
MARGIN = timedelta(seconds=5)
_PRIVATE = (
    CaptureStream.EXECUTIONS, CaptureStream.ORDERS, CaptureStream.POSITIONS, CaptureStream.WALLET,
)  # fmt: skip


class RecordedStream:
    """One stream that is recorded. Callbacks come on the stream's threads.

    `parts` are what it brings, each with a progress of its own; `waiting` are private updates that
    have not reached the recorder.
    """

    def __init__(
        self, name: str, parts: Iterable[StreamKey], progress: Progress, reconciler: GapReconciler
    ) -> None:
        self.name = name
        self.keys = tuple(parts)
        self.reconciler = reconciler
        self.stream: Stream | None = None
        self.waiting: set[int] = set()
        self._progress = progress
        progress.hold(self.keys)

    def known_since(self) -> datetime | None:
        """Return since when nothing was recorded, None where there is nothing from before."""
        known = [self._progress.of(key) for key in self.keys]
        return min((moment for moment in known if moment is not None), default=None)

    def lost(self) -> None:
        """Hold the progress where it is, on disk before the connection is back."""
        self._progress.hold(self.keys)
        self._progress.save()

    def is_alive(self) -> bool:
        """Tell whether the stream is there and its subscriptions are in force."""
        return self.stream is not None and self.stream.get_connection_state().is_alive

    def complete_until(self) -> datetime | None:
        """Return until when all that was sent has reached the writers, None while broken."""
        state = None if self.stream is None else self.stream.get_connection_state()
        if state is None or not state.is_alive or state.traffic_age_s is None or self.waiting:
            return None
        return datetime.now(UTC) - timedelta(seconds=state.traffic_age_s) - MARGIN

    async def fetch(self, stretch: Stretch) -> None:
        """Fetch what a stretch lacks, and note what is lost; returns when that is safe."""
        raise NotImplementedError

    async def close(self, stretch: Stretch | None) -> None:
        """Fetch what a stretch lacks, if there is one, and let the progress go on."""
        if stretch is not None:
            await self.fetch(stretch)
        self._progress.release(self.keys)


class AccountStream(RecordedStream):
    """The private stream of an account. `owners` has (symbol, owner) of its runs."""

    def __init__(
        self,
        name: str,
        account_id: str,
        rest: Rest,
        progress: Progress,
        reconciler: GapReconciler,
        owners: Callable[[], Iterable[tuple[str, Owner]]],
    ) -> None:
        keys = [StreamKey(one, account_id=account_id) for one in _PRIVATE]
        super().__init__(name, keys, progress, reconciler)
        self._rest: Any = rest
        self._owners = owners

    def feeds(self) -> list[AccountFeed]:
        """Return the account once for each of its symbols: each has a run of its own."""
        return [
            AccountFeed(owner, frozenset({symbol}), self._rest, scope=symbol)
            for symbol, owner in self._owners()
        ]

    async def fetch(self, stretch: Stretch) -> None:
        for feed in self.feeds():
            await self.reconciler.close_account(feed, stretch)


class RecordedMarketStream(RecordedStream):
    """The public stream of an exchange."""

    def __init__(
        self, name: str, symbols: Sequence[str], progress: Progress, reconciler: GapReconciler
    ) -> None:
        keys = [
            StreamKey(stream, symbol)
            for stream in (CaptureStream.TRADES, CaptureStream.TICKERS)
            for symbol in symbols
        ]
        super().__init__(name, keys, progress, reconciler)
        self.symbols = tuple(symbols)
        self.last_trades: dict[str, datetime] = {}

    async def fetch(self, stretch: Stretch) -> None:
        for symbol in self.symbols:
            # the newest trade from before: later ones came after the break, or with this answer
            known = min(self.last_trades.get(symbol, stretch.start), stretch.start)
            await self.reconciler.close_market({symbol: known}, stretch)


class StreamTap:
    """Stands between a stream and whom it is for. On the stream's threads.

    `back` is told of a break that is over.
    """

    def __init__(
        self,
        inner: StreamCallbacks,
        recorded: RecordedStream,
        back: Callable[[RecordedStream, Stretch], None],
        *,
        counts_events: bool,
    ) -> None:
        self._inner = inner
        self._recorded = recorded
        self._back = back
        self._counts_events = counts_events

    def on_event(self, update: StreamUpdate) -> None:
        """Hand an update on."""
        if self._counts_events:
            self._recorded.waiting.add(id(update))
        self._inner.on_event(update)

    def on_disconnect(self, ts: datetime) -> None:
        """Hand the news on, and hold the progress."""
        self._recorded.lost()
        self._inner.on_disconnect(ts)

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        """Hand the news on, and look at the break."""
        self._inner.on_reconnect(disconnected_at, reconnected_at)
        self._back(self._recorded, Stretch(disconnected_at, reconnected_at, "disconnected"))
