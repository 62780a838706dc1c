"""Threads of one account for blocking calls, with the urgent ones first.

The threads are daemons: a call that hangs does not hold up the end of the process. Each kind of
call leaves threads free for the more urgent ones, so that a cancel and the look-up of an order in
doubt never wait behind queries and places that hang.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bybit_adapter.http.endpoints import Priority

log = logging.getLogger(__name__)

_MOST_ABANDONED = 32  # threads whose calls never return; more of them would be a leak without end


@dataclass(order=True, slots=True)
class Job:
    """One call that somebody awaits."""

    priority: int
    number: int
    call: Callable[[], Any] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)
    begun: float | None = field(default=None, compare=False)  # time.monotonic()
    is_over: bool = field(default=False, compare=False)
    is_abandoned: bool = field(default=False, compare=False)

    @property
    def has_started(self) -> bool:
        """Whether a thread has taken the call."""
        return self.begun is not None


class PoolClosedError(RuntimeError):
    """The pool was closed before the call began."""


class _Worker:
    """One thread, and how it is woken: alone, and with its job in hand.

    A condition that all threads wait at would wake all of them for every job, and each would want
    the interpreter's lock while the one that has work to do waits for it.
    """

    __slots__ = ("_parked", "job")

    def __init__(self) -> None:
        self.job: Job | None = None
        self._parked = threading.Lock()
        self._parked.acquire()

    def park(self) -> None:
        """Wait until somebody calls `wake`; once for each call."""
        self._parked.acquire()

    def wake(self) -> None:
        """Let the thread go on; its `job` says with what, None ends it."""
        self._parked.release()


class DaemonPool:
    """At most `workers` (4 or more) calls at once, most urgent first. Thread-safe."""

    def __init__(self, workers: int = 8, name: str = "bybit") -> None:
        if workers < 4:
            raise ValueError(f"{workers} workers; 4 is the least that keeps room for cancels")
        self._workers = workers
        # how many calls of a kind, and of the less urgent ones with it, may be under way
        self._most = {
            Priority.CANCEL: workers,
            Priority.LOOK_UP: workers - 1,
            Priority.PLACE: workers - 2,
            Priority.QUERY: workers // 2,
        }
        self._name = name
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._idle: list[_Worker] = []  # the one that worked last is the next to work
        self._running: Counter[int] = Counter()
        self._threads = 0  # those that serve
        self._abandoned = 0  # those that a call keeps which was given up
        self._numbers = itertools.count()
        self._is_closed = False

    def submit(self, priority: Priority, call: Callable[[], Any]) -> Job:
        """Queue a call from a running event loop; await the job's future for its outcome."""
        loop = asyncio.get_running_loop()
        job = Job(int(priority), next(self._numbers), call, loop, loop.create_future())
        with self._lock:
            if self._is_closed:
                raise PoolClosedError("the pool is closed")
            heapq.heappush(self._waiting, job)
            self._dispatch()
        return job

    def has_room(self, priority: Priority) -> bool:
        """Tell whether a call would find a thread at once."""
        with self._lock:
            return not self._is_closed and not self._waiting and self._may_begin(int(priority))

    def withdraw(self, job: Job) -> bool:
        """Take a job back; False when its call has begun and cannot be."""
        with self._lock:
            if job.has_started:
                return False
            if job in self._waiting:
                self._waiting.remove(job)
                heapq.heapify(self._waiting)
            return True

    def abandon(self, job: Job) -> None:
        """Give up a call that hangs: its place goes to others, its thread ends when it returns."""
        with self._lock:
            if not job.has_started or job.is_over or job.is_abandoned or self._is_closed:
                return
            if self._abandoned >= _MOST_ABANDONED:
                log.error("%d calls hang for ever; this one keeps its thread", self._abandoned)
                return
            job.is_abandoned = True
            self._abandoned += 1
            self._running[job.priority] -= 1
            self._threads -= 1
            self._dispatch()

    def close(self) -> None:
        """Begin no further call; those that wait fail, those under way are not waited for."""
        with self._lock:
            self._is_closed = True
            dropped, self._waiting = self._waiting, []
            idle, self._idle = self._idle, []
            for worker in idle:
                worker.wake()
        for job in dropped:
            self._tell(job, None, PoolClosedError("the pool was closed before the call began"))

    def _dispatch(self) -> None:
        """Give what may begin to threads; with the lock held."""
        while (self._idle or self._threads < self._workers) and (job := self._next()) is not None:
            if self._idle:
                worker = self._idle.pop()
                worker.job = job
                worker.wake()
            else:
                worker = _Worker()
                worker.job = job
                name = f"{self._name}-{self._threads}"
                self._threads += 1
                threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()

    def _work(self, worker: _Worker) -> None:
        while (job := worker.job) is not None:
            worker.job = None
            result, error = None, None
            try:
                result = job.call()
            except BaseException as failure:  # noqa: BLE001 -- it belongs to whoever awaits the call
                error = failure
            self._tell(job, result, error)
            is_replaced = self._end(job)
            del job, result, error
            if is_replaced or not self._go_on(worker):
                return
            worker.park()

    def _end(self, job: Job) -> bool:
        """Note that a call is over; True where another thread has taken the place of this one."""
        with self._lock:
            job.is_over = True
            if job.is_abandoned:
                self._abandoned -= 1
                return True
            self._running[job.priority] -= 1
            return False

    def _go_on(self, worker: _Worker) -> bool:
        """Take the next job, or stand by; False when the pool is closed."""
        with self._lock:
            if self._is_closed:
                return False
            worker.job = self._next()
            if worker.job is None:
                self._idle.append(worker)
            else:
                worker.wake()  # itself: it parks at once
            self._dispatch()
            return True

    def _next(self) -> Job | None:
        """Take the most urgent job whose kind may have another thread, None if there is none."""
        for job in sorted(self._waiting):
            if self._may_begin(job.priority):
                self._waiting.remove(job)
                heapq.heapify(self._waiting)
                job.begun = time.monotonic()
                self._running[job.priority] += 1
                return job
        return None

    def _may_begin(self, priority: int) -> bool:
        """Tell whether one more call leaves the more urgent kinds the threads kept for them."""
        under_way = 0
        for kind in reversed(Priority):
            under_way += self._running[kind]
            if kind <= priority and under_way >= self._most[kind]:
                return False
        return True

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
