"""Work of an event loop that has begun already, whether somebody waits for it or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Scheduled(Generic[T]):
    """What becomes of work that was asked for: awaited on any event loop, or left alone.

    Leaving it alone changes nothing: the work is done, and what goes wrong is in the log. A thread
    without an event loop waits with `result`. Whoever stops waiting does not stop the work.
    """

    def __init__(self) -> None:
        self._future: Future[T] = Future()
        self._future.set_running_or_notify_cancel()

    @classmethod
    def done(cls, value: T) -> Scheduled[T]:
        """Return what was done at once."""
        made = cls()
        made._future.set_result(value)
        return made

    @classmethod
    def on(
        cls,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        work: Callable[[], Coroutine[Any, Any, T]],
    ) -> Scheduled[T]:
        """Begin work on a loop, from any thread; `spawn` keeps its task, and tells of its failure.

        Raises RuntimeError where the loop is closed.
        """
        made = cls()
        try:
            is_there = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_there = False
        if is_there:
            spawn(made._carry_out(work))
        else:
            loop.call_soon_threadsafe(lambda: spawn(made._carry_out(work)))
        return made

    async def _carry_out(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            self._future.set_result(await work())
        except asyncio.CancelledError:
            self._future.set_exception(RuntimeError("it was stopped before that was done"))
            raise
        except BaseException as error:
            self._future.set_exception(error)
            raise

    def __await__(self) -> Generator[Any, None, T]:
        if self._future.done():
            return self._future.result()
        return (yield from asyncio.shield(asyncio.wrap_future(self._future)).__await__())

    def result(self, timeout_s: float | None = None) -> T:
        """Wait on a thread that runs no event loop, and return what came of it.

        Raises TimeoutError, and RuntimeError on a thread that runs one: it would wait for itself.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._future.result(timeout_s)
        if not self._future.done():
            raise RuntimeError("an event loop runs on this thread; await it instead")
        return self._future.result()
