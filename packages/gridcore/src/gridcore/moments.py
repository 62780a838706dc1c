"""Times as whole microseconds since 1970 UTC, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

LONGEST_LAG: Final = timedelta(minutes=10)  # of a list of the exchange behind its events
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=4)  # several parts ask for the time of the row that is looked at
def moment(ts_us: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return EPOCH + MICROSECOND * ts_us


def all_to_us(moments: Iterable[datetime | None]) -> list[int | None]:
    """Return aware datetimes as microseconds since 1970 UTC; none stays none."""
    return [None if ts is None else (ts - EPOCH) // MICROSECOND for ts in moments]


def to_us(ts: datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC."""
    delta = ts - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
