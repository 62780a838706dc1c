"""What connections missed, and is being looked at; their streams are held until that is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from event_saver.collectors import PublicCollector, StreamCollector
from event_saver.collectors.progress import Progress
from event_saver.reconcile.account import AccountFeed
from event_saver.reconcile.reconciler import GapReconciler, Stretch
from grid_service.tasks import TaskSet

log = logging.getLogger(__name__)

_MARKET = "the market"  # among the doubts; no id of an account

Close = Callable[[Stretch], Awaitable[None]]


class Closings:
    """Closes stretches, and doubts: frames that could not be read. On the event loop.

    REST is asked about a doubt `doubt_s` later.
    """

    def __init__(
        self, tasks: TaskSet, progress: Progress, reconciler: GapReconciler, doubt_s: float
    ) -> None:
        self._doubt_s = doubt_s
        self._tasks = tasks
        self._progress = progress
        self._reconciler = reconciler
        self._under_way: dict[StreamCollector, set[asyncio.Task[None]]] = {}
        self._doubts: dict[str, datetime] = {}

    @property
    def working(self) -> int:
        """How many are under way. From any thread."""
        return sum(len(one) for one in tuple(self._under_way.values()))

    def spawn(self, collector: StreamCollector, close: Callable[[], Awaitable[None]]) -> None:
        """Work on a stretch, then release the collector's streams."""

        async def work() -> None:
            await close()
            self._progress.release(collector.keys)

        task = self._tasks.spawn(work())
        closings = self._under_way.setdefault(collector, set())
        closings.add(task)
        task.add_done_callback(closings.discard)

    def gap(
        self, collector: StreamCollector, close: Close, lost_at: datetime, back_at: datetime
    ) -> None:
        """Work on a break."""
        stretch = Stretch(lost_at, back_at, "disconnected")
        log.warning(
            "%s: nothing received for %.1f s", collector.name, stretch.length.total_seconds()
        )
        self.spawn(collector, lambda: close(stretch))

    async def give_up(self, collector: StreamCollector) -> None:
        """End what is under way for a collector."""
        closings = tuple(self._under_way.get(collector, ()))
        for task in closings:
            task.cancel()
        await asyncio.gather(*closings, return_exceptions=True)
        self._under_way.pop(collector, None)

    def doubt_account(self, feed: AccountFeed) -> None:
        """A frame could not be read: ask REST soon what it may have said, once for many."""
        name = feed.owner.account_id
        now = datetime.now(UTC)
        if name in self._doubts:
            return
        self._doubts[name] = now

        async def ask() -> None:
            while True:
                await asyncio.sleep(self._doubt_s)
                # what comes from here on is a doubt of its own
                since = self._doubts.pop(name)
                if await self._reconciler.audit_account(feed, since):
                    return
                if name in self._doubts:
                    self._doubts[name] = since
                    return  # it was doubted again meanwhile, and that is asked for
                self._doubts[name] = since

        self._tasks.spawn(ask())

    def doubt_market(self, collector: PublicCollector) -> None:
        """The same of market data: the trades are asked for, and the streams held until then."""
        if _MARKET in self._doubts:
            return
        now = self._doubts[_MARKET] = datetime.now(UTC)
        known = {one: collector.last_trade_before(one, now) for one in collector.followed}
        self._progress.hold(collector.keys)

        async def ask() -> None:
            await asyncio.sleep(self._doubt_s)
            self._doubts.pop(_MARKET, None)
            stretch = Stretch(now, datetime.now(UTC), "a frame could not be read")
            await self._reconciler.close_market(known, stretch)

        self.spawn(collector, ask)
