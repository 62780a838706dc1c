"""Moments as they stand in a snapshot: ISO text, or microseconds since 1970 where size matters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def text_or_none(ts: datetime | None) -> str | None:
    """Return a moment as text, None for none."""
    return None if ts is None else ts.isoformat()


def moment_or_none(text: str | None) -> datetime | None:
    """Parse what `text_or_none` gave. Raises ValueError."""
    return None if text is None else moment_of(text)


def moment_of(text: str) -> datetime:
    """Parse a moment. Raises ValueError for one without a time zone."""
    ts = datetime.fromisoformat(text)
    if ts.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return ts


def to_us(ts: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return (ts - _EPOCH) // _MICROSECOND


def all_to_us(moments: Mapping[str, datetime | None]) -> dict[str, int | None]:
    """Return moments in microseconds since 1970 under their names; none stays none."""
    return {name: None if ts is None else to_us(ts) for name, ts in moments.items()}


def of_us(value: int) -> datetime:
    """Return the moment of so many microseconds since 1970."""
    return _EPOCH + int(value) * _MICROSECOND
