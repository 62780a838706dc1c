"""Blocking calls beside the event loop, on threads that do not hold up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call on a thread of its own and return what it returns.

    Cancelling stops the waiting, not the call.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def work() -> None:
        set_it: Callable[[Any], None] = future.set_result
        value: Any
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the call
            set_it, value = future.set_exception, error
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(settle, set_it, value)

    threading.Thread(target=work, name="blocking call", daemon=True).start()
    return await future
