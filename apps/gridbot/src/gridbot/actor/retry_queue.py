"""Commands that failed in a way that may heal: tried again a few times, while they are wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bybit_adapter import BybitError, RateLimited
from gridbot.ports import ExchangeClock

log = logging.getLogger(__name__)
Item = TypeVar("Item")

BACKOFF_S = (1.0, 2.0, 4.0)
MOST_ATTEMPTS = 3
LONGEST_S = 30.0


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    item: Item
    since: float  # monotonic
    attempts: int = 0


class RetryQueue(Generic[Item]):
    """Sends items again after 1, 2 and 4 s, three times at most and for no longer than 30 s.

    An item that is not wanted any more when its turn comes is given up without being sent. `key`
    names an item, so that its attempts are counted together.
    """

    def __init__(
        self,
        clock: ExchangeClock,
        key: Callable[[Item], str],
        is_wanted: Callable[[Item], bool],
        resend: Callable[[Item], None],
        give_up: Callable[[Item, BybitError], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._clock = clock
        self._key = key
        self._is_wanted = is_wanted
        self._resend = resend
        self._give_up = give_up
        self._spawn = spawn
        self._waiting: dict[str, _Waiting[Item]] = {}
        self.retries = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item, error: BybitError) -> None:
        """Take an item whose sending failed; it is given up when its attempts are used up."""
        key = self._key(item)
        entry = self._waiting.setdefault(key, _Waiting(item, self._clock.monotonic()))
        if entry.attempts >= MOST_ATTEMPTS:
            self._end(entry, error)
            return
        delay = BACKOFF_S[entry.attempts]
        if isinstance(error, RateLimited) and error.retry_at is not None:
            delay = max(delay, (error.retry_at - self._clock.now()).total_seconds())
        age = self._clock.monotonic() - entry.since
        if age + delay > LONGEST_S:
            self._end(entry, error)
            return
        entry.attempts += 1
        self._spawn(self._later(entry, delay, error))

    def done(self, item: Item) -> None:
        """Forget an item that has its outcome."""
        self._waiting.pop(self._key(item), None)

    async def _later(self, entry: _Waiting[Item], delay: float, error: BybitError) -> None:
        await asyncio.sleep(delay)
        if not self._is_wanted(entry.item):
            log.info("%s is not wanted any more; not sent again", self._key(entry.item))
            self._end(entry, error)
            return
        self.retries += 1
        self._resend(entry.item)

    def _end(self, entry: _Waiting[Item], error: BybitError) -> None:
        self.done(entry.item)
        self._give_up(entry.item, error)
