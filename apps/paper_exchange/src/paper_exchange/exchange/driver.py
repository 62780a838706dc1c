"""Lets an exchange live in real time, or faster: feed events and due actions by the clock.

Market time is `start + (wall time since start) x speed`. At speed 0 the feed runs as fast as the
clients keep up. Nothing waits in a task of its own: one timer of the event loop is set to whatever
is due next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.market.market import FeedEvent

log = logging.getLogger(__name__)
SLICE_S = 0.01  # how long the loop may be kept from its connections
LOOK_AGAIN_S = 0.05
JUST_NOW_MS = 5_000


def wall_ms() -> int:
    """Return the time of this machine in ms."""
    return time.time_ns() // 1_000_000


class Driver:
    """Drives one exchange. `backlog` tells how many frames wait for slow clients."""

    def __init__(
        self,
        exchange: PaperExchange,
        events: Iterator[FeedEvent],
        speed: float = 1.0,
        *,
        most_backlog: int = 2_000,
    ) -> None:
        self.exchange = exchange
        self.backlog: Callable[[], int] = lambda: 0
        self.skew_ms = 0
        self.feed_ended = False
        self.events = 0
        self._feed = events
        self._speed = speed
        self._most_backlog = most_backlog
        self._next: FeedEvent | None = None
        self._start_ms = exchange.now_ms
        now = wall_ms()
        # an exchange that begins at the last whole second has the machine's time from the start
        is_now = 0 <= now - self._start_ms < JUST_NOW_MS
        self._start_wall = self._start_ms if is_now else now
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._stopped = False

    def server_ms(self) -> int:
        """Return the time that clients are checked against: the machine's, skewed on demand."""
        return wall_ms() + self.skew_ms

    def market_ms(self) -> int:
        """Return market time as of now."""
        if not self._speed:
            return self.exchange.now_ms
        return self._start_ms + int((wall_ms() - self._start_wall) * self._speed)

    def start(self) -> None:
        """Begin. Needs a running event loop."""
        self._next = next(self._feed, None)
        self.catch_up()

    def stop(self) -> None:
        """Stop for good."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def catch_up(self) -> None:
        """Let everything happen that is due by now, and plan to wake for what comes next."""
        if self._stopped:
            return
        until = time.monotonic() + SLICE_S
        now = self.market_ms()
        more = False
        while (event := self._next) is not None and (not self._speed or event.ts_ms <= now):
            if time.monotonic() > until or (
                not self._speed and self.backlog() > self._most_backlog
            ):
                more = True
                break
            self.exchange.feed(event)
            self.events += 1
            self._next = next(self._feed, None)
        if self._next is None and not self.feed_ended and self.events:
            self.feed_ended = True
            log.info("the feed has ended; the market stands still from here")
        if self._speed and not more:
            self.exchange.advance(now)
        elif not self._speed and self._next is None:
            # without a feed time goes on by the clock of the machine
            self._speed, self._start_ms, self._start_wall = 1.0, self.exchange.now_ms, wall_ms()
        self._plan(more)

    def push(self, event: FeedEvent) -> None:
        """Let an event of a live market happen now, whatever its own clock says."""
        if self._stopped:
            return
        now = max(self.market_ms(), self.exchange.now_ms)
        self.exchange.feed(replace(event, ts_ms=now))
        self.events += 1
        self.catch_up()

    def _plan(self, more: bool) -> None:
        loop = asyncio.get_running_loop()
        wait = LOOK_AGAIN_S
        if more:
            wait = 0.0 if self._speed or self.backlog() <= self._most_backlog else 0.001
        elif not self._speed:
            wait = 0.0
        else:
            dues = [self.exchange.schedule.next_ms]
            if self._next is not None:
                dues.append(self._next.ts_ms)
            soonest = min((due for due in dues if due is not None), default=None)
            if soonest is not None:
                wait = min(wait, max(0.0, (soonest - self.market_ms()) / 1000 / self._speed))
        due_at = loop.time() + wait
        if self._timer is not None:
            if self._due_at <= due_at:
                return  # it is early enough, and plans anew
            self._timer.cancel()
        self._due_at = due_at
        self._timer = loop.call_at(due_at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.catch_up()
