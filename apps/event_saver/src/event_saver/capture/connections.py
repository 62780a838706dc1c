"""The connections that are captured, and until when their streams are complete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from event_saver.capture.closings import Close, Closings
from event_saver.collectors import CollectorStatus, StreamCollector
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.reconcile.reconciler import Stretch
from grid_service.threads import in_thread

Moments = list[tuple[StreamKey, datetime]]


class CaptureConnections:
    """Collectors by name, with the progress of their streams. On the event loop.

    `durable` waits until what has arrived is in the database or on disk, and tells whether it is.
    """

    def __init__(
        self, progress: Progress, closings: Closings, durable: Callable[[], Awaitable[bool]]
    ) -> None:
        self._progress = progress
        self._closings = closings
        self._durable = durable
        self._collectors: dict[str, StreamCollector] = {}

    async def begin(self, name: str, collector: StreamCollector, close: Close) -> None:
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

        self._closings.spawn(collector, close_start)

    async def end(self, name: str) -> None:
        """Disconnect one for good; what is left to be fetched is left to whoever comes next."""
        collector = self._collectors.pop(name, None)
        if collector is None:
            return
        moment = collector.complete_until()
        await collector.stop()
        await self._closings.give_up(collector)
        if await self._durable() and moment is not None:
            self.advance((key, moment) for key in collector.keys)
        self._progress.abandon(collector.keys)
        await in_thread(self._progress.save)

    async def stop(self) -> Moments:
        """Disconnect all, hand what has arrived to the writers; return until when it was all."""
        moments = self.moments()
        await asyncio.gather(*(collector.stop() for collector in self._collectors.values()))
        return moments

    def forget(self) -> None:
        """Follow none any more, after `stop`."""
        self._collectors.clear()

    def moments(self) -> Moments:
        """Return until when each stream is complete, as far as the writers have it."""
        found = [
            (one.live_keys(), one.complete_until()) for one in tuple(self._collectors.values())
        ]
        return [(key, moment) for keys, moment in found if moment is not None for key in keys]

    def advance(self, moments: Iterable[tuple[StreamKey, datetime]]) -> None:
        """Note that streams are complete until then; what is held stays."""
        for key, moment in moments:
            self._progress.advance(key, moment)

    async def keep_progress(self) -> None:
        """Write down how far the streams are, once that is safe."""
        moments = self.moments()
        if not await self._durable():
            return
        self.advance(moments)
        await in_thread(self._progress.save)

    def status(self) -> list[CollectorStatus]:
        """Return how each is. From any thread."""
        return [one.status() for one in tuple(self._collectors.values())]
