"""Keeps the calls of one account below Bybit's rate limits, and waits out what it refuses.

Bybit counts per account and endpoint over a rolling second, and per address 600 calls over five
seconds. One limiter belongs to one account; the window of the address is shared by all limiters
of a process that call the same exchange. Source: docs/exchange.md, "Rate limits".
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from bybit_adapter.basics.clock import SYSTEM_CLOCK, Clock
from bybit_adapter.basics.errors import RateLimited
from bybit_adapter.basics.row import time_of_ms
from bybit_adapter.http.endpoints import Endpoint

ADDRESS_LIMIT = 550  # of Bybit's 600: other programs of this machine call too
ADDRESS_SPAN_S = 5.0
ADDRESS_BAN_S = 600.0  # Bybit lifts a 403 after ten minutes without calls

_SPAN_S = 1.05  # a little over Bybit's second: calls do not arrive as evenly as they leave
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0


class SlidingWindow:
    """At most `limit` units in any `span_s` seconds. Not thread-safe."""

    def __init__(self, limit: int, span_s: float) -> None:
        self.limit = limit
        self._span_s = span_s
        self._used: deque[tuple[float, int]] = deque()
        self._sum = 0

    def used(self, now: float) -> int:
        """Return the units that count at `now` (monotonic seconds)."""
        while self._used and self._used[0][0] + self._span_s <= now:
            self._sum -= self._used.popleft()[1]
        return self._sum

    def delay(self, now: float, cost: int) -> float:
        """Return the seconds until `cost` units fit; a guess for more than the limit."""
        excess = self.used(now) + cost - self.limit
        if excess <= 0:
            return 0.0
        for moment, used in self._used:
            excess -= used
            if excess <= 0:
                return moment + self._span_s - now
        return self._span_s / 10

    def add(self, now: float, cost: int) -> None:
        """Count `cost` units at `now`."""
        if cost > 0:
            self._used.append((now, cost))
            self._sum += cost


class AddressWindow:
    """What all accounts of this machine share: the window of the address, and a ban of it."""

    def __init__(self, limit: int = ADDRESS_LIMIT, span_s: float = ADDRESS_SPAN_S) -> None:
        self.lock = threading.Lock()
        self.window = SlidingWindow(limit, span_s)
        self.paused_until = 0.0  # monotonic seconds
        self.tickets: set[tuple[int, int]] = set()  # who waits, most urgent first


_ticket_numbers = itertools.count()
_addresses: dict[str, AddressWindow] = {}
_addresses_lock = threading.Lock()


def address_window(rest_url: str) -> AddressWindow:
    """Return the window that all clients of this process share towards one exchange."""
    with _addresses_lock:
        return _addresses.setdefault(rest_url, AddressWindow())


@dataclass(slots=True)
class _Group:
    """One endpoint of one account."""

    window: SlidingWindow | None
    paused_until: float = 0.0  # monotonic seconds
    refusals: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """What an answer says about the limit of its endpoint; None where it does not."""

    limit: int | None = None  # units per second
    remaining: int | None = None
    reset: datetime | None = None

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> LimitHeaders:
        """Read X-Bapi-Limit, -Status and -Reset-Timestamp (ms); odd values count as absent."""

        def whole(name: str) -> int | None:
            text = headers.get(name) or ""
            return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None

        reset = whole("X-Bapi-Limit-Reset-Timestamp")
        return cls(
            limit=whole("X-Bapi-Limit"),
            remaining=whole("X-Bapi-Limit-Status"),
            reset=None if not reset or reset > 4_000_000_000_000 else time_of_ms(reset),
        )


@dataclass(slots=True)
class RateLimiter:
    """Lets calls of one account go in the order of their urgency. Thread-safe.

    Of the calls that wait for the window of the address, cancels go before places and places
    before queries. Windows of different endpoints do not hold each other up.
    """

    clock: Clock = SYSTEM_CLOCK
    random: Random = field(default_factory=Random)
    address: AddressWindow = field(default_factory=AddressWindow)
    address_ban_s: float = ADDRESS_BAN_S
    _groups: dict[str, _Group] = field(default_factory=dict)

    def acquire(self, endpoint: Endpoint, *, cost: int = 1, max_wait_s: float = 10.0) -> None:
        """Return when the call may go; `cost` is the number of orders in it.

        Raises RateLimited at once when that would take longer than max_wait_s.
        """
        deadline = self.clock.monotonic() + max_wait_s
        ticket = (int(endpoint.priority), next(_ticket_numbers))
        try:
            while True:
                with self.address.lock:
                    now = self.clock.monotonic()
                    delay = self._delay(endpoint, cost, ticket, now)
                    if delay <= 0:
                        self._count(endpoint, cost, now)
                        return
                if now + delay > deadline:
                    raise self._refusal(endpoint, delay)
                self.clock.sleep(delay)
        finally:
            with self.address.lock:
                self.address.tickets.discard(ticket)

    def may_go(self, endpoint: Endpoint, cost: int = 1) -> bool:
        """Count a call that may go at once; False, and nothing is counted, where it has to wait."""
        ticket = (int(endpoint.priority), next(_ticket_numbers))
        with self.address.lock:
            now = self.clock.monotonic()
            is_free = self._delay(endpoint, cost, ticket, now) <= 0
            self.address.tickets.discard(ticket)
            if is_free:
                self._count(endpoint, cost, now)
            return is_free

    def _delay(self, endpoint: Endpoint, cost: int, ticket: tuple[int, int], now: float) -> float:
        """Return the seconds to wait, 0 to go. A ticket waits only for the shared window."""
        group = self._group(endpoint)
        own = max(group.paused_until, self.address.paused_until) - now
        if group.window is not None:
            # A batch above the limit goes when nothing else counts: Bybit refuses its rest.
            own = max(own, group.window.delay(now, min(cost, group.window.limit)))
        if own > 0:
            self.address.tickets.discard(ticket)
            return own
        ahead = [other for other in self.address.tickets if other < ticket]
        shared = self.address.window.delay(now, 1 + len(ahead))
        if shared > 0:
            self.address.tickets.add(ticket)
        return shared

    def _count(self, endpoint: Endpoint, cost: int, now: float) -> None:
        window = self._group(endpoint).window
        if window is not None:
            window.add(now, cost)
        self.address.window.add(now, 1)

    def _refusal(self, endpoint: Endpoint, delay: float) -> RateLimited:
        error = RateLimited(
            f"not sent: the rate limit leaves no room for another {delay:.1f} s",
            endpoint=str(endpoint),
        )
        error.retry_at = self.clock.now() + timedelta(seconds=delay)
        return error

    def observe(self, endpoint: Endpoint, headers: LimitHeaders) -> None:
        """Learn from an answer that was no refusal: the real limit, and what others used of it."""
        with self.address.lock:
            group = self._group(endpoint)
            group.refusals = 0
            window = group.window
            if window is None:
                return
            if headers.limit:
                window.limit = headers.limit
            if headers.remaining is not None:
                now = self.clock.monotonic()
                # Calls of ours that are on their way are counted here but not there, so only a
                # smaller number there means that somebody else uses the account.
                window.add(now, window.limit - window.used(now) - headers.remaining)

    def refused(self, endpoint: Endpoint, code: int | None, headers: LimitHeaders) -> datetime:
        """Note a refusal (10006, 403, 429 and their like); return when calls may go on.

        10006 concerns the endpoint, 403 the address for ten minutes, everything else the whole
        exchange. The pause doubles with every refusal in a row, up to 30 s, with jitter.
        """
        with self.address.lock:
            now = self.clock.monotonic()
            group = self._group(endpoint)
            longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2**group.refusals)
            group.refusals = min(group.refusals + 1, 10)
            pause = longest * (0.5 + self.random.random() / 2)
            if headers.reset is not None:
                until_reset = (headers.reset - self.clock.now()).total_seconds()
                pause = max(pause, min(until_reset, _LONGEST_BACKOFF_S))
            if code in (403, 10018):
                pause = self.address_ban_s * (1 + self.random.random() / 10)
            if code == 10006:
                group.paused_until = max(group.paused_until, now + pause)
            else:
                self.address.paused_until = max(self.address.paused_until, now + pause)
            return self.clock.now() + timedelta(seconds=pause)

    def _group(self, endpoint: Endpoint) -> _Group:
        group = self._groups.get(endpoint.path)
        if group is None:
            limit = endpoint.per_second
            window = None if limit is None else SlidingWindow(limit, _SPAN_S)
            group = self._groups[endpoint.path] = _Group(window)
        return group


def backoff_s(attempt: int, random: Random) -> float:
    """Return the pause before repeating a query: 0.25, 0.5, 1 ... 4 s, with jitter.

    attempt is 0 after the first failure.
    """
    longest: float = min(4.0, 0.25 * 2**attempt)
    return longest * (0.5 + random.random() / 2)
