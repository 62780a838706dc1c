"""Threads of one account for blocking calls, with the urgent ones first.

The threads are daemons: a call that hangs does not hold up the end of the process. Some threads
are kept free of queries and of places, so that a cancel never waits behind either.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bybit_adapter.endpoints import Priority

log = logging.getLogger(__name__)


@dataclass(order=True, slots=True)
class Job:
    """One call that somebody awaits."""

    priority: int
    number: int
    call: Callable[[], Any] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)
    has_started: bool = field(default=False, compare=False)


class PoolClosedError(RuntimeError):
    """The pool was closed before the call began."""


class DaemonPool:
    """At most `workers` (4 or more) calls at once, most urgent first. Thread-safe."""

    def __init__(self, workers: int = 8, name: str = "bybit") -> None:
        if workers < 4:
            raise ValueError(f"{workers} workers; 4 is the least that keeps room for cancels")
        self._workers = workers
        self._name = name
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: Counter[int] = Counter()
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()
        self._is_closed = False

    def submit(self, priority: Priority, call: Callable[[], Any]) -> Job:
        """Queue a call from a running event loop; await the job's future for its outcome."""
        loop = asyncio.get_running_loop()
        job = Job(int(priority), next(self._numbers), call, loop, loop.create_future())
        with self._changed:
            if self._is_closed:
                raise PoolClosedError("the pool is closed")
            heapq.heappush(self._waiting, job)
            if len(self._threads) < self._workers:
                thread = threading.Thread(
                    target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()
        return job

    def withdraw(self, job: Job) -> bool:
        """Take a job back; False when its call has begun and cannot be."""
        with self._changed:
            if job.has_started:
                return False
            if job in self._waiting:
                self._waiting.remove(job)
                heapq.heapify(self._waiting)
            return True

    def close(self) -> None:
        """Begin no further call; those that wait fail, those under way are not waited for."""
        with self._changed:
            self._is_closed = True
            dropped, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in dropped:
            self._tell(job, None, PoolClosedError("the pool was closed before the call began"))

    def _work(self) -> None:
        while True:
            with self._changed:
                while (job := self._next()) is None:
                    if self._is_closed:
                        return
                    self._changed.wait()
                job.has_started = True
                self._running[job.priority] += 1
            result, error = None, None
            try:
                result = job.call()
            except BaseException as failure:  # noqa: BLE001 -- it belongs to whoever awaits the call
                error = failure
            with self._changed:
                self._running[job.priority] -= 1
                self._changed.notify_all()
            self._tell(job, result, error)
            del job, result, error

    def _next(self) -> Job | None:
        """Take the most urgent job whose kind may have another thread, None if there is none."""
        queries = self._running[Priority.QUERY]
        places = self._running[Priority.PLACE]
        for job in sorted(self._waiting):
            if job.priority == Priority.QUERY and queries >= self._workers // 2:
                continue
            if job.priority != Priority.CANCEL and queries + places >= self._workers - 1:
                continue
            self._waiting.remove(job)
            heapq.heapify(self._waiting)
            return job
        return None

    @staticmethod
    def _tell(job: Job, result: Any, error: BaseException | None) -> None:
        def settle() -> None:
            if job.future.done():
                if error is not None:
                    log.warning("a call that nobody awaits any more failed: %s", error)
                return
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)

        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            job.loop.call_soon_threadsafe(settle)
