"""How late the event loop is: the sign that something blocks it."""

from __future__ import annotations

import asyncio
import time
from collections import deque

_INTERVAL_S = 0.1
_KEPT = 600  # a minute


class LoopLag:
    """Measures while `run` runs. Lags are seconds, over the last minute."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=_KEPT)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + _INTERVAL_S
            await asyncio.sleep(_INTERVAL_S)
            self._lags.append(max(0.0, time.monotonic() - due))

    @property
    def worst_s(self) -> float:
        """The longest."""
        return max(tuple(self._lags), default=0.0)

    def percentile_s(self, share: float) -> float:
        """Return the lag that `share` (0 to 1) of the measurements do not exceed."""
        lags = sorted(self._lags)
        return lags[min(len(lags) - 1, int(len(lags) * share))] if lags else 0.0
