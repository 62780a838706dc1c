"""What lies between a bot and an exchange in process: delays, and a clock of virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Delays of the way to the exchange and back, ms, each between a least and a most."""

    up_ms: tuple[int, int] = (5, 40)
    down_ms: tuple[int, int] = (5, 40)
    stream_ms: tuple[int, int] = (3, 30)
    timeout_ms: int = 15_000
    reconnect_ms: tuple[int, int] = (500, 3_000)


class LoopTime:
    """The bot's clock: virtual, and off from the exchange's by `skew`."""

    def __init__(self, start_ms: int) -> None:
        self._start = EPOCH + timedelta(milliseconds=start_ms)
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """Return the moment, aware UTC."""
        return self._start + timedelta(seconds=asyncio.get_running_loop().time()) + self.skew

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return asyncio.get_running_loop().time()

    def sleep(self, seconds: float) -> None:
        """Return at once: a call in process has no thread that could wait."""
