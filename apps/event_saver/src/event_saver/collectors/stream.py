"""What both collectors share: one connection, one line of updates, and what is known of both.

Updates come from the connection's thread through a bounded line into the event loop, and from
there into the writers, a frame's worth at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bybit_adapter import (
    ConnectionState,
    EventQueue,
    MalformedFrame,
    PrivateWebSocketClient,
    PublicWebSocketClient,
    StreamKind,
    StreamUpdate,
    ticker_symbol,
)
from event_saver.basics.owner import Owner
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.writers import BatchWriter
from grid_service.threads import in_thread

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500  # updates that are handled before others get their turn
REST_S = 0.01
# Every state of a market is wanted, so a newer one replaces one that waits only where memory is at
# stake: that is half of what the line holds.
CONFLATE_FROM = 10_000
CLOCK_MARGIN = timedelta(seconds=2)  # how far the clocks of exchange and machine may differ

OnGap = Callable[[datetime, datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorStatus:
    """One connection as it is now; lag is from the arrival of a frame to its writer."""

    name: str
    is_connected: bool
    down_s: float
    lag_s: float
    waiting: int
    conflated: int
    is_paused: bool  # there is nothing to follow, so nobody connects
    ignored: int  # updates of symbols that are not wanted
    unhandled: int  # updates that could not be made rows
    connection: ConnectionState


class StreamCollector:
    """Feeds writers from one connection.

    on_gap is told, on the event loop, from when until when nothing was received; the keys are
    held in `progress` from the break until whoever is told releases them. on_doubt is told, on the
    event loop, of a frame or an update that could not be read.
    """

    def __init__(
        self,
        name: str,
        keys: Iterable[StreamKey],
        writers: dict[StreamKind, BatchWriter],
        progress: Progress,
        *,
        owner: Owner | None,
        symbols: Iterable[str],
        on_gap: OnGap,
        on_doubt: Callable[[], None],
    ) -> None:
        self.name = name
        self.keys = tuple(keys)
        self._writers = writers
        self._progress = progress
        self._owner = owner
        self._symbols = frozenset(symbols)
        self._on_gap = on_gap
        self._on_doubt = on_doubt
        self._loop = asyncio.get_running_loop()
        self._queue: EventQueue[StreamUpdate] = EventQueue(
            ticker_symbol, conflate_from=CONFLATE_FROM
        )
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._is_paused = False
        self._lag_s = 0.0
        self._ignored = 0
        self._unhandled = 0
        self._down_since: datetime | None = datetime.now(UTC)
        self._client = self._make_client()

    def _make_client(self) -> PublicWebSocketClient | PrivateWebSocketClient:
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to connect, and go on trying; see `wait_connected`."""
        self._task = self._loop.create_task(self._consume())
        if not self._is_paused:
            await in_thread(lambda: self._client.connect(0))

    async def wait_connected(self) -> None:
        """Return once the subscriptions are in force; never, where the collector is stopped."""
        while not await in_thread(lambda: self._client.wait_ready(5.0)):
            pass

    async def stop(self) -> None:
        """Disconnect and hand what has arrived to the writers. No gap is told of afterwards."""
        self._is_stopped = True
        await in_thread(self._client.disconnect)
        self._queue.close()
        if self._task is not None:
            await self._task

    def live_keys(self) -> tuple[StreamKey, ...]:
        """Return those of the keys that the connection brings now."""
        return self.keys

    def complete_until(self) -> datetime | None:
        """Return until when all that was sent has reached the writers, None while broken."""
        state = self._client.get_connection_state()
        if not state.is_alive or state.traffic_age_s is None:
            return None
        behind = timedelta(seconds=state.traffic_age_s + (self._lag_s if len(self._queue) else 0))
        return datetime.now(UTC) - behind - CLOCK_MARGIN

    def status(self) -> CollectorStatus:
        """Return what is known of the connection."""
        is_connected = self._client.is_connected()
        now = datetime.now(UTC)
        if is_connected:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        return CollectorStatus(
            name=self.name,
            is_connected=is_connected,
            down_s=0.0 if self._down_since is None else (now - self._down_since).total_seconds(),
            lag_s=self._lag_s,
            waiting=len(self._queue),
            conflated=self._queue.conflated,
            is_paused=self._is_paused,
            ignored=self._ignored,
            unhandled=self._unhandled,
            connection=self._client.get_connection_state(),
        )

    async def _consume(self) -> None:
        while (update := await self._queue.get()) is not None:
            updates = [update]
            while len(updates) < MOST_AT_ONCE:
                more = self._queue.get_nowait()
                if more is None:
                    break
                updates.append(more)
            self._lag_s = (datetime.now(UTC) - updates[0].local_ts).total_seconds()
            self._hand_on_guarded(updates)
            # a full batch: there is more; else what comes in the meantime is handled together,
            # because waking the loop for each frame costs more than the frame
            await asyncio.sleep(0 if len(updates) == MOST_AT_ONCE else REST_S)

    def _hand_on_guarded(self, updates: list[StreamUpdate]) -> None:
        """Hand updates on; one that cannot be is asked for elsewhere, and holds nobody up."""
        try:
            self._hand_on(updates)
        except Exception:
            log.exception("%s: an update could not be made a row", self.name)
            for update in updates:  # those that were handed on already are known as duplicates
                try:
                    self._hand_on([update])
                except Exception:  # noqa: BLE001 - the log has it
                    self._unhandled += 1
                    self._on_doubt()

    def _hand_on(self, updates: list[StreamUpdate]) -> None:
        by_kind: dict[StreamKind, list[StreamUpdate]] = {}
        for update in updates:
            if update.symbol is not None and self._symbols and update.symbol not in self._symbols:
                self._ignored += 1
                continue
            by_kind.setdefault(update.kind, []).append(update)
        for kind, wanted in by_kind.items():
            writer = self._writers.get(kind)
            if writer is not None:
                writer.add(wanted, self._owner)

    # Callbacks of the client, on its threads.

    def _lost(self, at: datetime) -> None:
        # on disk before the connection is back: rows of afterwards must not hide the hole
        self._progress.hold(self.keys)
        self._progress.save()

    def _back(self, lost_at: datetime, back_at: datetime) -> None:
        self._loop.call_soon_threadsafe(self._tell_gap, lost_at, back_at)

    def _malformed(self, error: MalformedFrame, text: str) -> None:
        self._loop.call_soon_threadsafe(self._on_doubt)

    # The same on the event loop.

    def _tell_gap(self, lost_at: datetime, back_at: datetime) -> None:
        if not self._is_stopped:
            self._on_gap(lost_at, back_at)
