"""What stops a kind of order that the exchange refuses again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gridcore.growing_rest import GrowingRest
from gridcore.stored_time import moment_of, moment_or_none, text_or_none

REJECT_WINDOW = timedelta(minutes=5)
REJECTS_UNTIL_TRIP = 3


class RejectBreaker:
    """Three refusals of one kind within five minutes stop that kind.

    A size of the leg that is confirmed later ends it, the first time at once, then after a rest
    that grows when it comes back; `reset` ends it by hand.
    """

    def __init__(self) -> None:
        self._times: deque[datetime] = deque(maxlen=REJECTS_UNTIL_TRIP)
        self._rest = GrowingRest()
        self.tripped_ts: datetime | None = None
        self.ends_from: datetime | None = None

    @property
    def is_tripped(self) -> bool:
        """Whether that kind of order is stopped."""
        return self.tripped_ts is not None

    def add(self, now: datetime) -> bool:
        """Count one refusal; True when it trips here."""
        self._times.append(now)
        full = len(self._times) == REJECTS_UNTIL_TRIP
        if self.is_tripped or not full or now - self._times[0] > REJECT_WINDOW:
            return False
        self.tripped_ts, self.ends_from = now, self._rest.begin(now)
        return True

    def confirmed(self, ts: datetime) -> bool:
        """Take in that the exchange confirmed the leg's size as of `ts`; True when it ends here."""
        if self.tripped_ts is None or self.ends_from is None:
            return False
        if ts <= self.tripped_ts or ts < self.ends_from:
            return False
        self._end()
        return True

    def _end(self) -> None:
        self._times.clear()
        self.tripped_ts = self.ends_from = None

    def reset(self) -> None:
        """Start anew."""
        self._end()
        self._rest.reset()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return {
            "times": [ts.isoformat() for ts in self._times],
            "tripped_ts": text_or_none(self.tripped_ts),
            "ends_from": text_or_none(self.ends_from),
            "rest": self._rest.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._times = deque(map(moment_of, state["times"]), maxlen=REJECTS_UNTIL_TRIP)
        self.tripped_ts, self.ends_from = (
            moment_or_none(state["tripped_ts"]),
            moment_or_none(state["ends_from"]),
        )
        self._rest.restore(state["rest"])
