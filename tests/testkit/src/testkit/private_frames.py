"""Frames of private streams."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 8, 9, 21, 27, tzinfo=UTC)


SENT_MS = 1762199126022


def private(topic: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "topic": topic, "creationTime": SENT_MS, "data": list(rows)}
