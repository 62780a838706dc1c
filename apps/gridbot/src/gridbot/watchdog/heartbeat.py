"""Whether the bot is alive, judged by its status file alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridbot.views.status import Heartbeat, StatusError, StatusFile
from gridbot.words.snapshot import RunState

BEATS_MISSED = 2  # heartbeats that have to be missed before our own eyes


class HeartbeatState(StrEnum):
    """What a look at the status file tells."""

    FRESH = "fresh"
    SUSPECT = "suspect"  # old or of the future, and watched not long enough to be sure
    STALE = "stale"
    STOPPED = "stopped"  # because somebody asked for it, so its orders are meant to rest
    BLIND = "blind"  # no heartbeat was ever seen, or it cannot be read any more: nobody knows


@dataclass(frozen=True, slots=True)
class HeartbeatLook:
    """One judgement, and why; `beat` is the last heartbeat that could be read."""

    state: HeartbeatState
    reason: str
    beat: Heartbeat | None = None


class HeartbeatWatch:
    """Judges the heartbeat by two clocks, so that a clock that is set never looks like a death.

    A heartbeat is stale when it is older than `stale_after_s` by the wall clock and did not move
    for two beats while we watched; or, where the wall clock says that it lies in the future, when
    it did not move for `stale_after_s`. A file that is gone or unreadable counts as its last
    heartbeat, unless that told of a stop: what came after it is not known then.
    """

    def __init__(self, file: StatusFile, stale_after_s: float, beat_interval_s: float) -> None:
        self._file = file
        self._stale_after_s = stale_after_s
        self._watched_s = min(BEATS_MISSED * beat_interval_s, stale_after_s)
        self._last: Heartbeat | None = None
        self._moved_at = 0.0
        self._has_moved = False

    @property
    def watched_s(self) -> float:
        """How long a heartbeat has to be watched before it is judged stale."""
        return self._watched_s

    def look(self, now: datetime, clock_s: float) -> HeartbeatLook:
        """Read the file and judge. `clock_s` is of a clock that never goes back."""
        problem = ""
        try:
            found = self._file.heartbeat()
        except StatusError as error:
            problem = f" ({error})"
        else:
            if self._last is None or (found.at, found.pid) != (self._last.at, self._last.pid):
                self._moved_at = clock_s
                self._has_moved = self._last is not None
            self._last = found
        last = self._last
        if last is None:
            return HeartbeatLook(HeartbeatState.BLIND, f"there is no heartbeat to read{problem}")
        if last.state is RunState.STOPPED:
            stopped = f"the bot was stopped in order at {last.at.isoformat()}"
            if problem and self._file.path.exists():
                return HeartbeatLook(
                    HeartbeatState.BLIND, f"{stopped}; what came then is not known{problem}", last
                )
            return HeartbeatLook(HeartbeatState.STOPPED, stopped, last)
        state, reason = self._judged(last, last.age_s(now), clock_s - self._moved_at)
        return HeartbeatLook(state, f"{reason}{problem}", last)

    def _judged(self, last: Heartbeat, age_s: float, still_s: float) -> tuple[HeartbeatState, str]:
        needed_s = self._stale_after_s if age_s < 0 else self._watched_s
        told_s = max(age_s, still_s)
        who = f"the bot (process {last.pid})"
        is_old = age_s >= self._stale_after_s
        if last.state is RunState.FAILED:
            end = f"{who} failed {told_s:.0f} s ago: {last.reason}"
        else:
            end = f"no heartbeat of {who} for {told_s:.0f} s"
        if (age_s < 0 or is_old) and still_s >= needed_s:
            return HeartbeatState.STALE, end
        if is_old:
            return HeartbeatState.SUSPECT, f"the last heartbeat of {who} is {age_s:.0f} s old"
        if age_s < -self._watched_s and not self._has_moved:
            return (
                HeartbeatState.SUSPECT,
                f"the heartbeat of {who} is of the future, by {-age_s:.0f} s",
            )
        if last.state is RunState.FAILED:
            return HeartbeatState.SUSPECT, end
        return HeartbeatState.FRESH, f"heartbeat of {who} {told_s:.0f} s ago"
