"""REST calls with a stopwatch: how long each took, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

from bybit_adapter import BybitError
from gridbot.views.metrics import BotMetrics


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

        def timed(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            # an order goes out with the call, not when somebody awaits it
            begun = time.monotonic()
            return _Timed(name, begun, call(*args, **kwargs), self._metrics)

        # found once, then an attribute like any other
        setattr(self, name, timed)
        return timed


@dataclass(slots=True)
class _Timed:
    """A call that somebody awaits."""

    name: str
    begun: float
    call: Awaitable[Any]
    metrics: BotMetrics

    def __await__(self) -> Generator[Any, None, Any]:
        outcome = "ok"
        try:
            return (yield from self.call.__await__())
        except BybitError as error:
            outcome = type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - self.begun
            self.metrics.rest_seconds.labels(self.name, outcome).observe(seconds)
