"""Candles of one market: minutes are kept, longer ones are put together from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

MINUTE_MS = 60_000
DAY_MS = 86_400_000
KEPT_MINUTES = 10_080  # a week
FIXED_MINUTES = {
    "1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60,
    "120": 120, "240": 240, "360": 360, "720": 720, "D": 1_440,
}  # fmt: skip
INTERVALS = (*FIXED_MINUTES, "W", "M")
MONDAY_MS = 4 * DAY_MS  # 1970-01-05, the first Monday


@dataclass(slots=True)
class Candle:
    """Open, high, low, close in ticks; volume in base coin, turnover in USDT."""

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: Decimal
    turnover: Decimal

    def add(self, later: Candle) -> None:
        """Take in a candle that follows."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.turnover += later.turnover


def period(interval: str, ts_ms: int) -> tuple[int, int]:
    """Return start and end (exclusive), both ms, of the candle that holds a moment."""
    minutes = FIXED_MINUTES.get(interval)
    if minutes is not None:
        length = minutes * MINUTE_MS
        start = ts_ms - ts_ms % length
        return start, start + length
    if interval == "W":
        start = ts_ms - (ts_ms - MONDAY_MS) % (7 * DAY_MS)
        return start, start + 7 * DAY_MS
    first = datetime.fromtimestamp(ts_ms / 1000, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()) * 1000, int(after.timestamp()) * 1000


class CandleSeries:
    """A week of minutes, oldest first; a minute without trades repeats the close before it."""

    def __init__(self) -> None:
        self._minutes: deque[Candle] = deque(maxlen=KEPT_MINUTES)
        self._day_of = (0, 0)
        self._finished: Candle | None = None
        self._hour_ago: int | None = None

    def add(self, ts_ms: int, ticks: int, qty: Decimal, price: Decimal) -> None:
        """Take in one trade."""
        start = ts_ms - ts_ms % MINUTE_MS
        self._fill_up(start, ticks)
        last = self._minutes[-1]
        last.high = max(last.high, ticks)
        last.low = min(last.low, ticks)
        last.close = ticks
        last.volume += qty
        last.turnover += qty * price

    def _fill_up(self, start: int, ticks: int) -> None:
        zero = Decimal(0)
        if not self._minutes:
            self._minutes.append(Candle(start, ticks, ticks, ticks, ticks, zero, zero))
            return
        last = self._minutes[-1]
        if start - last.start_ms > KEPT_MINUTES * MINUTE_MS:
            self._minutes.clear()
            self._fill_up(start, ticks)
            return
        while last.start_ms < start:
            close = last.close
            last = Candle(last.start_ms + MINUTE_MS, close, close, close, close, zero, zero)
            self._minutes.append(last)

    def convert(self, ticks_of: Callable[[int], int]) -> None:
        """Express all prices in other ticks."""
        for one in self._minutes:
            one.open, one.close = ticks_of(one.open), ticks_of(one.close)
            one.high, one.low = ticks_of(one.high), ticks_of(one.low)
        self._day_of = (0, 0)

    def newest_first(self, interval: str) -> Iterator[Candle]:
        """Yield candles of an interval, the unfinished one first."""
        current: Candle | None = None
        parts: list[Candle] = []
        start = 0
        for minute in reversed(self._minutes):
            if current is None or minute.start_ms < start:
                if parts:
                    yield _joined(start, parts)
                start, _ = period(interval, minute.start_ms)
                parts = []
                current = minute
            parts.append(minute)
        if parts:
            yield _joined(start, parts)

    def day(self, now_ms: int) -> tuple[Candle | None, int | None]:
        """Return the last 24 hours as one candle, and the close of an hour ago in ticks."""
        if not self._minutes:
            return None, None
        last = self._minutes[-1]
        if self._day_of != (last.start_ms, now_ms // MINUTE_MS):
            self._day_of = last.start_ms, now_ms // MINUTE_MS
            self._finished, self._hour_ago = self._finished_day(now_ms)
        if self._finished is None:
            return replace(last), self._hour_ago
        day = replace(self._finished)
        day.add(last)
        return day, self._hour_ago

    def _finished_day(self, now_ms: int) -> tuple[Candle | None, int | None]:
        """Return the same without the newest minute; it changes once a minute."""
        parts: list[Candle] = []
        hour_ago: int | None = None
        for minute in islice(reversed(self._minutes), 1, None):
            if minute.start_ms <= now_ms - DAY_MS:
                break
            parts.append(minute)
            if hour_ago is None and minute.start_ms <= now_ms - 3_600_000:
                hour_ago = minute.close
        return (_joined(parts[-1].start_ms, parts) if parts else None), hour_ago


def _joined(start_ms: int, newest_first: list[Candle]) -> Candle:
    oldest = newest_first[-1]
    joined = Candle(
        start_ms, oldest.open, oldest.high, oldest.low, oldest.close, oldest.volume, oldest.turnover
    )
    for part in reversed(newest_first[:-1]):
        joined.add(part)
    return joined
