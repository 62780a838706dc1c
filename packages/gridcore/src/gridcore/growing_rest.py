"""How long something that was stopped rests before it may go on, longer each time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gridcore.stored_time import moment_or_none, text_or_none

FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
FORGIVEN_AFTER = timedelta(hours=2)


class GrowingRest:
    """How long something stays shut: not at all the first time, then 1, 2, 4 ... 60 minutes.

    Event time. Two hours without a further occasion begin anew.
    """

    def __init__(self) -> None:
        self._count = 0
        self._last: datetime | None = None

    def begin(self, now: datetime) -> datetime:
        """Note one more occasion; return from when on it may end."""
        if self._last is not None and now - self._last > FORGIVEN_AFTER:
            self._count = 0
        earlier, self._count, self._last = self._count, self._count + 1, now
        if not earlier:
            return now
        return now + min(FIRST_REST * (1 << min(earlier - 1, 10)), LONGEST_REST)

    def reset(self) -> None:
        """Forget what was."""
        self._count, self._last = 0, None

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return {"count": self._count, "last": text_or_none(self._last)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._count, self._last = int(state["count"]), moment_or_none(state["last"])
