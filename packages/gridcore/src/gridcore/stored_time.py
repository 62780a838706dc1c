"""Moments as they stand in a snapshot: ISO text."""

from __future__ import annotations

from datetime import datetime


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
