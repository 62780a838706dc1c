"""REST calls with a stopwatch: how long each took, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bybit_adapter import BybitError
from gridbot.metrics import BotMetrics


class TimedRest:
    """Hands every call on to a client of `ports.Rest`'s form, and measures it."""

    def __init__(self, rest: Any, metrics: BotMetrics) -> None:
        self._rest = rest
        self._metrics = metrics

    def close(self) -> None:
        """Close the client."""
        self._rest.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._rest, name)

        async def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.monotonic()
            outcome = "ok"
            try:
                return await call(*args, **kwargs)
            except BybitError as error:
                outcome = type(error).__name__
                raise
            finally:
                seconds = time.monotonic() - begun
                self._metrics.rest_seconds.labels(name, outcome).observe(seconds)

        # found once, then an attribute like any other
        setattr(self, name, timed)
        return timed
