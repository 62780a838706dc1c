"""The hand-off from the threads of the streams to the event loop, in order of arrival."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from bybit_adapter.records.normalizer import StreamKind, StreamUpdate

T = TypeVar("T")


@dataclass(slots=True)
class _Cell(Generic[T]):
    item: T
    key: str | None


def ticker_symbol(update: StreamUpdate) -> str | None:
    """Return the symbol of a ticker, whose newest replaces an older one; None for all else."""
    return update.symbol if update.kind is StreamKind.TICKER else None


class EventQueue(Generic[T]):
    """One bounded line from any number of threads to one consumer in an event loop.

    When the consumer is more than `conflate_from` items behind, a new item takes the place in
    the line of the older one with its key (a ticker of the same symbol). Items without a key are
    never dropped: at `max_size` a thread that puts one waits for room, so that the pressure goes
    back to the socket. The loop's own thread never waits.
    """

    def __init__(
        self,
        key_of: Callable[[T], str | None],
        *,
        max_size: int = 20_000,
        conflate_from: int = 200,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._key_of = key_of
        self._max_size = max_size
        self._conflate_from = conflate_from
        self._room = threading.Condition()
        self._line: deque[_Cell[T]] = deque()
        self._newest: dict[str, _Cell[T]] = {}
        self._filled = asyncio.Event()
        self._is_awaited = False  # the consumer waits and nobody is on the way to wake it
        self._is_closed = False
        self.conflated = 0  # items that a newer one replaced
        self.waits = 0  # times that a thread had to wait for room

    def __len__(self) -> int:
        return len(self._line)

    def put(self, item: T) -> None:
        """Append an item, from any thread. After `close` it goes nowhere."""
        key = self._key_of(item)
        with self._room:
            older = None if key is None else self._newest.get(key)
            if older is not None and len(self._line) >= self._conflate_from:
                older.item = item
                self.conflated += 1
                return
            if key is None and len(self._line) >= self._max_size:
                self._wait_for_room()
            if self._is_closed:
                return
            cell = _Cell(item, key)
            self._line.append(cell)
            if key is not None:
                self._newest[key] = cell
            # a consumer that is busy looks here by itself; waking the loop costs more than an item
            if not self._is_awaited:
                return
            self._is_awaited = False
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be woken
            self._loop.call_soon_threadsafe(self._wake)

    async def get(self) -> T | None:
        """Return the oldest item; None when the queue is closed and empty. One consumer only."""
        while True:
            with self._room:
                if self._line:
                    return self._take()
                if self._is_closed:
                    return None
                self._filled.clear()
                self._is_awaited = True
            await self._filled.wait()

    def get_nowait(self) -> T | None:
        """Return the oldest item, None when there is none."""
        with self._room:
            return self._take() if self._line else None

    def close(self) -> None:
        """Take no further items and let nobody wait any longer, from any thread."""
        with self._room:
            self._is_closed = True
            self._room.notify_all()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake)

    def _take(self) -> T:
        cell = self._line.popleft()
        if cell.key is not None and self._newest.get(cell.key) is cell:
            del self._newest[cell.key]
        self._room.notify()
        return cell.item

    def _wait_for_room(self) -> None:
        if threading.get_ident() == self._loop_thread:
            return  # the consumer's own thread: waiting for itself would last for ever
        self.waits += 1
        self._room.wait_for(lambda: self._is_closed or len(self._line) < self._max_size)

    def _wake(self) -> None:
        self._filled.set()
