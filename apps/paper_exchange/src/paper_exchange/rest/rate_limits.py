"""How often an account may call: per endpoint, a rolling second. Per address: 600 in 5 s.

Source: docs/exchange.md, "Rate limits".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

WINDOW_MS = 1_000
IP_WINDOW_MS = 5_000
IP_BLOCK_MS = 600_000
LEAST_WAIT_MS = 50  # a client that sleeps until a reset in the past breaks


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many of the wanted calls pass, and what the limit headers say."""

    passed: int
    limit: int
    remaining: int
    reset_ms: int


class RateLimits:
    """Rolling windows. `factor` scales every limit; 0 lifts them."""

    def __init__(
        self, factor: float = 1, per_ip: int = 600, limits: Mapping[str, int] | None = None
    ) -> None:
        self._factor = factor
        self._per_ip = per_ip
        self._limits = dict(limits or {})
        self._calls: dict[tuple[int, str], deque[int]] = {}
        self._ip_calls: dict[str, deque[int]] = {}
        self._blocked_until: dict[str, int] = {}

    def take(self, uid: int, path: str, limit: int, now_ms: int, count: int = 1) -> Verdict:
        """Count calls of an account to an endpoint."""
        limit = self._limits.get(path, limit)
        if not self._factor:
            return Verdict(count, limit, limit, now_ms)
        most = max(1, round(limit * self._factor))
        calls = self._calls.setdefault((uid, path), deque())
        while calls and calls[0] <= now_ms - WINDOW_MS:
            calls.popleft()
        passed = min(count, most - len(calls))
        calls.extend([now_ms] * passed)
        reset = now_ms
        if passed < count:
            reset = max(calls[0] + WINDOW_MS, now_ms + LEAST_WAIT_MS)
        return Verdict(passed, most, most - len(calls), reset)

    def admits_ip(self, ip: str, now_ms: int) -> bool:
        """Count a call of an address; False while it is blocked for having called too often."""
        if not self._factor or not self._per_ip:
            return True
        if now_ms < self._blocked_until.get(ip, 0):
            return False
        calls = self._ip_calls.setdefault(ip, deque())
        while calls and calls[0] <= now_ms - IP_WINDOW_MS:
            calls.popleft()
        if len(calls) >= self._per_ip:
            self._blocked_until[ip] = now_ms + IP_BLOCK_MS
            return False
        calls.append(now_ms)
        return True
