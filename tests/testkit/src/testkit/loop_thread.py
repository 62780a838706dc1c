"""An event loop on a thread of its own, which leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

ENOUGH_TURNS = 5  # of the loop, for a closed transport to tell its protocol


class LoopThread:
    """Runs coroutines for other threads. `close` ends what still runs there."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], timeout_s: float = 30.0) -> Any:
        """Run a coroutine there and return its result. Raises RuntimeError after `close`."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise
        return future.result(timeout_s)

    def close(self) -> None:
        """Cancel what still runs, cut what is still connected, end the thread."""
        self.run(self._finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _finish(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        # a client may have connected after the server was closed
        for transport in list(getattr(self.loop, "_transports", {}).values()):
            transport.abort()
        for _ in range(ENOUGH_TURNS):
            await asyncio.sleep(0)
